#include <algorithm>
#include <memory>
#include <utility>

#include "worker/state.hpp"

// Tasks that are told once and run again and again.

namespace ashlar::worker {

void WorkerEngine::State::keep_template(const protocol::AssignTasks& message) {
  if (message.template_number == protocol::no_template) return;
  templates[{message.run.session, message.template_number}] =
      std::make_shared<const protocol::AssignTasks>(message);
}

void WorkerEngine::State::told(const protocol::RunTemplate& message) {
  const auto found = templates.find({message.run.session, message.template_number});
  if (found == templates.end()) {
    ++counters.odd_messages;
    return;
  }
  const protocol::AssignTasks& kept = *found->second;
  const auto is_outside = [&](const DatumId& id) { return id.run != kept.run; };
  const auto outside = std::ranges::count_if(kept.inputs, is_outside);
  if (static_cast<std::size_t>(outside) != message.inputs.size() ||
      message.inputs.size() != message.input_bytes.size() ||
      message.inputs.size() != message.input_holder.size()) {
    ++counters.odd_messages;
    return;
  }
  protocol::AssignTasks again = kept;
  again.run = message.run;
  again.template_number = protocol::no_template;
  std::size_t next = 0;
  for (std::size_t i = 0; i < again.inputs.size(); ++i) {
    if (!is_outside(kept.inputs[i])) {
      again.inputs[i].run = message.run;
      continue;
    }
    again.inputs[i] = message.inputs[next];
    again.input_bytes[i] = message.input_bytes[next];
    again.input_holder[i] = message.input_holder[next];
    ++next;
  }
  accept(std::move(again), true);
}

void WorkerEngine::State::told(const protocol::DropTemplates& message) {
  for (const std::uint32_t number : message.numbers) templates.erase({message.session, number});
}

}  // namespace ashlar::worker
