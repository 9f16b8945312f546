#include <ashlar/graph.hpp>

#include <utility>

#include "session/core.hpp"
#include "session/graph_builder.hpp"
#include "session/request_graph.hpp"
#include "session/run_end.hpp"

namespace ashlar::session {

detail::DatumHandle Core::submit(detail::TaskRequest request) {
  auto made = graph_of({&request, 1});
  std::vector<DatumId> externals;
  for (const auto& datum : made.externals) externals.push_back(id_of(datum));
  Submitted submitted = prepare(std::move(made.graph), true);
  start(*submitted.run, std::move(externals));
  return submitted.outputs.front();
}

detail::DatumHandle Core::put(const detail::EncodableValue& value) {
  auto buffer = store::Buffer::allocate(arena_, value.bytes);
  value.write(buffer.writable().first(value.bytes));
  return put(std::move(buffer));
}

GraphRun Core::run(detail::GraphData& data, bool is_compiled) {
  const auto frozen = data.frozen(tasks_);
  std::vector<OutputHandle> kept;
  std::vector<DatumId> externals;
  for (const auto& binding : data.bindings()) {
    if (binding.datum) {
      externals.push_back(id_of(binding.datum));
    } else {
      auto buffer = store::Buffer::allocate(arena_, binding.value.bytes);
      binding.value.write(buffer.writable().first(binding.value.bytes));
      kept.push_back(put(std::move(buffer)));
      externals.push_back(kept.back()->id());
    }
  }
  Submitted submitted = prepare(frozen, true);
  if (is_compiled) submitted.run->repetition = Repetition::certain;
  start(*submitted.run, std::move(externals));
  std::vector<detail::DatumHandle> outputs(submitted.outputs.begin(), submitted.outputs.end());
  const std::shared_ptr<const std::vector<std::uint32_t>> wanted(frozen, &frozen->wanted);
  return GraphRun(&data, wanted, std::move(outputs),
                  std::make_shared<RunEnd>(shared_from_this(), submitted.run, std::move(kept)));
}

}  // namespace ashlar::session
