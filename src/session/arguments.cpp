#include <ashlar/detail/arguments.hpp>
#include <ashlar/detail/session_tasks.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace ashlar::detail {

void CallBuilder::add_word(ArgumentKind kind, std::size_t count) {
  if (count > argument_count_max) {
    throw BadInput("an argument of " + std::to_string(count) + " elements: at most " +
                   std::to_string(argument_count_max) + " can be sent");
  }
  const std::uint32_t word =
      static_cast<std::uint32_t>(kind) << argument_count_bits | static_cast<std::uint32_t>(count);
  std::array<std::byte, sizeof word> bytes;
  std::memcpy(bytes.data(), &word, sizeof word);
  params.insert(params.end(), bytes.begin(), bytes.end());
  ++argument_count;
}

void CallBuilder::require_next_array(const HostArray& array, DType dtype, std::size_t ndim) const {
  try {
    require_array(array.dtype(), array.ndim(), dtype, ndim);
  } catch (const BadInput& wrong) {
    throw BadInput("argument " + std::to_string(argument_count + 1) +
                   " of a task: " + wrong.what());
  }
}

void RequestInputs::add(const DatumHandle& datum) {
  if (datum == nullptr) throw BadInput("this Future is empty: no task was submitted for it");
  request_.inputs.push_back(datum);
}

void RequestInputs::add(const NodeRef&) {
  throw BadInput("a Node has a meaning only within its Graph; submit takes values and Futures");
}

void RequestInputs::add(EncodableValue value) { request_.inputs.push_back(port_.put(value)); }

TaskRequest begin_request(const SessionPort& port, const TaskIdentity& function,
                          const TaskOptions& options, std::uint64_t result_bytes) {
  TaskRequest request;
  request.kernel = port.tasks().name_of(function);
  request.priority = options.priority;
  request.cost_seconds = options.cost_seconds;
  request.resources = options.resources;
  request.where = options.where;
  request.output_bytes = result_bytes;
  return request;
}

void end_request(TaskRequest& request, const CallBuilder& call, InputSink& inputs,
                 const TaskOptions& options) {
  for (const AnyHandle& handle : options.after) handle.add_to(inputs);
  if (call.reuse_input == TaskRequest::no_reuse) return;
  // A buffer that is also read elsewhere in the same task cannot be taken over.
  const auto& all = request.inputs;
  const bool is_alone = std::count(all.begin(), all.end(), all[call.reuse_input]) == 1;
  if (is_alone) request.reuse_input = call.reuse_input;
}

}  // namespace ashlar::detail
