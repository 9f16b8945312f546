#include "session/tasks.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <utility>

namespace ashlar {

Tasks::Tasks() : data_(std::make_shared<detail::TasksData>()) {}

std::size_t Tasks::size() const { return data_->tasks.size(); }

void Tasks::add(const detail::TaskIdentity& function, detail::Thunk thunk, std::string name,
                const TaskTraits& traits) {
  const std::string spelling(function.spelling);
  if (name.empty()) throw BadInput("task " + spelling + ": its name is empty");
  if (name.starts_with("ashlar.")) {
    throw BadInput("task " + spelling + ": the name \"" + name +
                   "\" begins with \"ashlar.\", as only Ashlar's own do");
  }
  if (const auto known = data_->positions.find(function.key); known != data_->positions.end()) {
    throw BadInput("task " + spelling + ": asked to be named \"" + name + "\", but it is \"" +
                   data_->tasks[known->second].name + "\" already");
  }
  const auto has_name = [&](const detail::NamedTask& task) { return task.name == name; };
  if (std::any_of(data_->tasks.begin(), data_->tasks.end(), has_name)) {
    throw BadInput("task " + spelling + ": the name \"" + name + "\" is taken");
  }
  data_->positions.emplace(function.key, data_->tasks.size());
  data_->tasks.push_back({std::move(name), thunk, traits.pure});
}

const std::string& Tasks::name_of(const detail::TaskIdentity& function) const {
  const auto found = data_->positions.find(function.key);
  if (found == data_->positions.end()) {
    const std::string spelling(function.spelling);
    throw BadInput("task " + spelling + " has no name: say tasks.add<" + spelling +
                   ">(\"...\") in main, before ashlar::init");
  }
  return data_->tasks[found->second].name;
}

namespace detail {
namespace {

class Outputs final : public TaskOutputs {
 public:
  explicit Outputs(kernels::OutputBuffers& buffers) : buffers_(buffers) {}
  std::span<std::byte> allocate(std::size_t index, std::size_t bytes) override {
    return buffers_.allocate(index, bytes);
  }

 private:
  kernels::OutputBuffers& buffers_;
};

}  // namespace

void register_tasks(const Tasks& tasks, kernels::Registry& registry) {
  for (const NamedTask& task : tasks.data().tasks) {
    kernels::Kernel kernel;
    kernel.name = task.name;
    kernel.is_repeatable = task.is_pure;
    kernel.cpu = [thunk = task.thunk](const kernels::Call& call) {
      Outputs outputs(call.outputs);
      thunk({call.params, call.inputs, call.reused_input, outputs});
    };
    registry.add(std::move(kernel));
  }
}

}  // namespace detail
}  // namespace ashlar
