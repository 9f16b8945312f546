#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "scheduler/placement/hosts.hpp"
#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {

/// How long a run would take on hosts, roughly. Each starts what is ready in a given order as slots
/// are free. Its link brings one datum at a time, what is needed first, from any host that has it
/// and sends nothing else. What other graphs made is there already: everywhere, where the
/// submission does not say.
class Rehearsal {
 public:
  static constexpr std::size_t hosts_max = 64;
  static constexpr std::uint32_t anywhere = nowhere;

  static constexpr std::int64_t given_up = std::numeric_limits<std::int64_t>::max();

  /// `order`: of tasks, producers first. After so many looks at tasks, data and hosts in all it
  /// gives up. The arguments must outlive this.
  Rehearsal(const View& view, const Submission& run, const std::vector<std::uint32_t>& order,
            const std::vector<Host>& hosts, double looks_max);

  /// `where`: by task, the position of its host, where its inputs go as soon as they are made; or
  /// anywhere: when all are made it goes where it would be done first.
  std::int64_t makespan_ns(const std::vector<std::uint32_t>& where);

 private:
  using Hosts = std::uint64_t;  ///< one bit each
  struct Event {
    std::int64_t at_ns = 0;
    bool is_arrival = false;   ///< else a task ends
    std::uint32_t number = 0;  ///< of the datum; or the task's place in the order
    std::uint32_t from = 0, to = 0;
    auto operator<=>(const Event&) const = default;
  };
  template <class T>
  using LeastFirst = std::priority_queue<T, std::vector<T>, std::greater<>>;
  struct Site {
    std::uint32_t slots = 1, free = 1;
    double slowness = 1;                                        ///< of a slot
    std::int64_t backlog_ns = 0;                                ///< of tasks that are to run here
    LeastFirst<std::uint32_t> ready;                            ///< places in the order
    std::int64_t incoming_ns = 0;                               ///< of what is to come
    std::set<std::pair<std::uint32_t, std::uint32_t>> awaited;  ///< reader's place, datum
  };

  void begin(const std::vector<std::uint32_t>& where);
  void end(std::uint32_t task);
  void arrive(std::uint32_t datum, std::uint32_t host);
  void place(std::uint32_t task);
  std::uint32_t first_to_finish(std::uint32_t task) const;
  void ask(std::uint32_t datum, std::uint32_t host, std::uint32_t place);
  void send();
  void send_to(std::uint32_t host);
  void look(std::size_t times) { looks_left_ -= static_cast<double>(times); }
  void start(std::uint32_t host);
  static Hosts bit(std::uint32_t host) { return Hosts{1} << host; }

  const Submission& run_;
  const std::vector<std::uint32_t>& order_;
  std::vector<std::uint32_t> places_;              ///< in the order, by task
  std::vector<std::int64_t> task_ns_, moving_ns_;  ///< by task; by datum
  std::vector<Site> sites_;                        ///< by host
  std::vector<std::uint32_t> where_;               ///< by task
  std::vector<std::uint32_t> missing_;  ///< by task: inputs not there; or not made, while anywhere
  std::vector<Hosts> holders_, asked_;  ///< by datum: who has it; who does, or will
  std::vector<Hosts> holders_of_externals_;
  Hosts sends_nothing_ = 0, gets_nothing_ = 0;
  LeastFirst<Event> events_;
  double looks_left_ = 0;
  std::int64_t now_ns_ = 0;
};

}  // namespace ashlar::scheduler::placement
