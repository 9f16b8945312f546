#include "scheduler/task_table.hpp"

#include <string>

#include "base/check.hpp"

namespace ashlar::scheduler {

std::string_view name_of(TaskState state) {
  switch (state) {
    case TaskState::waiting:
      return "waiting";
    case TaskState::assignable:
      return "assignable";
    case TaskState::assigned:
      return "assigned";
    case TaskState::done:
      return "done";
    case TaskState::failed:
      return "failed";
    case TaskState::cancelled:
      return "cancelled";
  }
  return "?";
}

TaskTable::TaskTable(std::uint32_t count, std::vector<std::uint32_t> rank,
                     std::vector<std::uint32_t> order)
    : records_(count), rank_(std::move(rank)), order_(std::move(order)) {
  counts_[static_cast<std::size_t>(TaskState::waiting)] = count;
}

bool TaskTable::is_allowed(TaskState from, TaskState to) {
  using enum TaskState;
  switch (from) {
    case waiting:
      return to == assignable || to == failed || to == cancelled;
    case assignable:
      return to == waiting || to == assigned || to == failed || to == cancelled;
    case assigned:
      return to != assigned;
    case done:
      return to == waiting || to == assignable;  // its output was lost
    case failed:
      return false;
    case cancelled:
      return false;
  }
  return false;
}

void TaskTable::transition(std::uint32_t task, TaskState to) {
  TaskRecord& record = records_[task];
  const TaskState from = record.state;
  ASHLAR_CHECK(is_allowed(from, to) && !record.is_kept, "task " + std::to_string(task) + ": " +
                                                            std::string{name_of(from)} + " -> " +
                                                            std::string{name_of(to)});
  TaskClass& task_class = classes_[record.task_class];
  if (from == TaskState::assignable) task_class.ready.erase(rank_[task]);
  if (to == TaskState::assignable) task_class.ready.insert(rank_[task]);
  if (is_unfinished(from) && !is_unfinished(to)) --task_class.unfinished;
  if (!is_unfinished(from) && is_unfinished(to)) ++task_class.unfinished;
  --counts_[static_cast<std::size_t>(from)];
  ++counts_[static_cast<std::size_t>(to)];
  record.state = to;
}

void TaskTable::set_kept(std::uint32_t task, bool is_kept) {
  TaskRecord& record = records_[task];
  ASHLAR_CHECK(record.state == TaskState::assignable && record.is_kept != is_kept,
               "task " + std::to_string(task) + " is kept, or let go");
  RankSet& ready = classes_[record.task_class].ready;
  if (is_kept) {
    ready.erase(rank_[task]);
    ++kept_;
  } else {
    ready.insert(rank_[task]);
    --kept_;
  }
  record.is_kept = is_kept;
}

void TaskTable::join_class(std::uint32_t task, std::uint16_t task_class) {
  records_[task].task_class = task_class;
  ++classes_[task_class].unfinished;
}

std::size_t TaskTable::bytes() const {
  std::size_t total = records_.capacity() * sizeof(TaskRecord) +
                      (rank_.capacity() + order_.capacity()) * sizeof(std::uint32_t) +
                      classes_.capacity() * sizeof(TaskClass);
  for (const TaskClass& task_class : classes_) total += task_class.ready.bytes();
  return total;
}

void TaskTable::check_invariants() const {
  std::array<std::uint32_t, task_state_count> counts{};
  std::vector<std::uint32_t> unfinished(classes_.size(), 0);
  std::uint32_t kept = 0;
  for (std::uint32_t t = 0; t < size(); ++t) {
    const TaskRecord& record = records_[t];
    ++counts[static_cast<std::size_t>(record.state)];
    unfinished[record.task_class] += is_unfinished(record.state);
    const bool is_ready = classes_[record.task_class].ready.contains(rank_[t]);
    kept += record.is_kept;
    ASHLAR_CHECK(!record.is_kept || record.state == TaskState::assignable,
                 "kept task " + std::to_string(t));
    ASHLAR_CHECK(is_ready == (record.state == TaskState::assignable && !record.is_kept),
                 "ready set of task " + std::to_string(t));
    ASHLAR_CHECK(order_[rank_[t]] == t, "rank of task " + std::to_string(t));
  }
  ASHLAR_CHECK(counts == counts_ && kept == kept_, "task state counts");
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    ASHLAR_CHECK(unfinished[c] == classes_[c].unfinished, "unfinished tasks of a class");
  }
}

}  // namespace ashlar::scheduler
