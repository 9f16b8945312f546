#pragma once

#include <ashlar/tasks.hpp>

#include <map>
#include <string>
#include <vector>

#include "kernels/registry.hpp"

namespace ashlar::detail {

/// One function of the user's program.
struct NamedTask {
  std::string name;
  Thunk thunk = nullptr;
  bool is_pure = false;
};

struct TasksData {
  std::vector<NamedTask> tasks;
  std::map<TaskKey, std::size_t> positions;
};

/// Makes a kernel of each of the user's functions.
/// Errors: BadInput when a name is taken already, say by a built-in kernel.
void register_tasks(const Tasks& tasks, kernels::Registry& registry);

}  // namespace ashlar::detail
