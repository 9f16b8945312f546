#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "scheduler/core.hpp"
#include "scheduler/words.hpp"

// What bounds a run: from its measured times and bytes, and what became of the slots meanwhile.

namespace ashlar::scheduler {
namespace {

double ratio(std::int64_t a, std::int64_t b) {
  return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0;
}

std::string time_of(std::int64_t ns) { return time_text(static_cast<double>(ns)); }

}  // namespace

Duration Core::length_of(const Run& run) const {
  return (run.is_ended ? run.ended : now_) - run.submitted;
}

/// What became of the slots of all workers while the run went on, up to the last event.
SlotAccount Core::slot_time_of(const Run& run) const {
  if (run.is_ended) return run.slot_time;
  return slot_time_ - run.slot_time;
}

/// Texts beside the names are made only if they are asked for: the end of each run comes here.
Bounds Core::bounds_of(const Run& run, bool is_detailed) const {
  Bounds bounds;
  const auto detail = [&](auto make) { return is_detailed ? make() : std::string{}; };
  const std::int64_t length = std::max<std::int64_t>(length_of(run).ns, 1);
  const SlotAccount slots = slot_time_of(run);
  const auto of_slots = [&](std::int64_t ns, const char* what, const char* why) {
    bounds.add(ratio(ns, slots.present_ns), what, detail([&] {
                 return time_of(ns) + " of the slots' " + time_of(slots.present_ns) + " " + why;
               }));
  };
  bounds.add(ratio(static_cast<std::int64_t>(run.path_ns), length), "critical path",
             detail([&] { return path_text(run); }));
  of_slots(run.task_ns, "workers", "in kernels of this run");
  add_busiest(run, bounds);
  add_links(run, bounds);
  of_slots(slots.short_ns, "memory", "on workers that ran nothing while tasks waited for room");
  of_slots(slots.idle_ns, "few ready tasks", "without a task to do");
  of_slots(slots.busy_ns - run.task_ns, "other runs", "in kernels of other runs");
  const std::int64_t accounted = slots.busy_ns + slots.idle_ns + slots.short_ns;
  of_slots(slots.present_ns - accounted, run.is_ended ? "waiting" : "under way or waiting",
           run.is_ended
               ? "with a task that waited: for an input, or for what is done beside kernels"
               : "with a task that has not come back");
  return bounds;
}

/// The worker that bounds the run more than the mean of all does.
void Core::add_busiest(const Run& run, Bounds& bounds) const {
  constexpr double clearly_more = 1.1;
  const std::int64_t length = std::max<std::int64_t>(length_of(run).ns, 1);
  const Share* busiest = nullptr;
  double most = 0, slots = 0;
  for (const Share& share : run.shares) {
    const double busy = ratio(share.busy_ns, length * workers_.at(share.worker).slots);
    slots += workers_.at(share.worker).slots;
    if (busiest != nullptr && busy <= most) continue;
    busiest = &share;
    most = busy;
  }
  const double mean = slots > 0 ? ratio(run.task_ns, length) / slots : 0;
  if (busiest == nullptr || most < clearly_more * mean) return;
  bounds.add(most, "worker " + peer_name(busiest->worker),
             "the busiest, " + time_of(busiest->busy_ns) + " in kernels on " +
                 count_text(workers_.at(busiest->worker).slots, "slot") + "; the mean " +
                 share_text(mean));
}

/// The link between hosts that was busy for longest, as far as rates are known.
void Core::add_links(const Run& run, Bounds& bounds) const {
  const std::int64_t length = std::max<std::int64_t>(length_of(run).ns, 1);
  double most_s = 0;
  std::string what, detail;
  for (const Traffic& traffic : run.traffic) {
    for (const bool is_sending : {false, true}) {
      const LinkModel::Rate learned = is_sending ? links_.learned_sending(traffic.peer)
                                                 : links_.learned_receiving(traffic.peer);
      const double rate = learned.samples > 0 ? learned.rate : links_.usual();
      const auto bytes = static_cast<double>(is_sending ? traffic.sent : traffic.received);
      if (bytes / rate <= most_s) continue;
      most_s = bytes / rate;
      what = "link of " + peer_name(traffic.peer);
      detail = (is_sending ? "it sent " : "it received ") + bytes_text(bytes) +
               (is_sending ? " to" : " from") + " other hosts, at " + bytes_text(rate) + "/s" +
               (learned.samples > 0 ? "" : ", which is not measured");
    }
  }
  if (most_s > 0) bounds.add(1e9 * most_s / static_cast<double>(length), what, detail);
}

/// What a task took, and which task of its run it came after on the longest path (or none).
std::uint64_t Core::elapsed_of(const Run& run, std::uint32_t task,
                               std::optional<std::uint32_t>* before) const {
  std::uint64_t path = 0;
  if (before != nullptr) before->reset();
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    if (name >= run.output_count()) continue;
    const std::uint32_t maker = run.producer[name];
    const std::uint64_t made = run.tasks.at(maker).path_ns;
    if (made < path || made == 0) continue;
    path = made;
    if (before != nullptr) *before = maker;
  }
  const std::uint64_t whole = run.tasks.at(task).path_ns;
  return whole - std::min(whole, path);
}

/// The longest chain of tasks that ended, by kernel and line.
std::string Core::path_text(const Run& run) const {
  constexpr std::size_t tasks_max = 100'000, kinds_max = 3;
  struct Kind {
    std::uint64_t ns = 0;
    std::size_t tasks = 0;
    std::uint32_t one = 0;
  };
  std::map<std::pair<std::uint32_t, std::uint32_t>, Kind> kinds;  // by kernel and source
  std::size_t tasks = 0;
  std::optional<std::uint32_t> next;
  if (run.path_ns > 0) next = run.path_end;
  for (; next && tasks < tasks_max; ++tasks) {
    const std::uint32_t task = *next;
    Kind& kind =
        kinds[{run.graph->kernel[task], run.graph->source.empty() ? 0 : run.graph->source[task]}];
    kind.ns += elapsed_of(run, task, &next);
    ++kind.tasks;
    kind.one = task;
  }
  std::vector<Kind> longest;
  for (const auto& [key, kind] : kinds) longest.push_back(kind);
  std::ranges::stable_sort(longest, std::ranges::greater{}, &Kind::ns);
  std::string text = time_of(static_cast<std::int64_t>(run.path_ns)) + " in " +
                     count_text(tasks, "task") + " one after the other";
  for (std::size_t i = 0; i < std::min(longest.size(), kinds_max); ++i) {
    text += (i == 0 ? ": " : "; ") + time_of(static_cast<std::int64_t>(longest[i].ns)) + " in " +
            std::to_string(longest[i].tasks) + " of " + kind_of(run, longest[i].one);
  }
  return longest.size() > kinds_max ? text + "; and others" : text;
}

}  // namespace ashlar::scheduler
