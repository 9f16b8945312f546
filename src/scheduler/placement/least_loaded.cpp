#include <algorithm>
#include <limits>
#include <vector>

#include "scheduler/placement/list_schedule.hpp"
#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// Bytes and number of the inputs that are, or will be, somewhere.
struct Held {
  std::uint64_t bytes = 0;
  std::uint32_t count = 0;
  std::uint32_t last_input = 0;  ///< 1 + the input counted last: counts an input once per place
};

struct Candidate {
  PeerIndex worker;
  std::uint32_t host;
};

/// The latest of several times, each at some peer, with or without one peer's.
class Latest {
 public:
  void note(PeerIndex peer, std::int64_t ns) {
    if (peer == peer_) {
      ns_ = std::max(ns_, ns);
    } else if (ns > ns_ || peer_ == no_peer) {
      others_ns_ = ns_;
      peer_ = peer;
      ns_ = ns;
    } else {
      others_ns_ = std::max(others_ns_, ns);
    }
  }
  std::int64_t without(PeerIndex peer) const { return peer == peer_ ? others_ns_ : ns_; }

 private:
  PeerIndex peer_ = no_peer;
  std::int64_t ns_ = 0, others_ns_ = 0;
};

/// The least estimate of when the task would be finished, over the workers that hold its inputs
/// and the least loaded one.
class LeastLoaded final : public Policy {
 public:
  bool minds_owners() const override { return true; }

  Schedule plan(const View& view, const Submission& run) override {
    return schedule_if_it_pays(view, run);
  }
  bool plans_again() const override { return true; }

  Choice choose(const View& view, const Question& question) override {
    if (is_as_planned(view, question)) {
      return {.worker = question.planned, .reason = Reason::planned};
    }
    const auto own = question.owner == no_host
                         ? std::span<const PeerIndex>{}
                         : view.workers.members_on(question.pool, question.owner);
    if (!own.empty()) {
      const Choice choice = choose_near_owner(view, question, own);
      if (choice.worker != no_peer) return choice;  // else none of them could hold it, say
    }
    if (question.sibling != no_peer && is_possible(view, question, question.sibling) &&
        view.workers.has_room(question.sibling)) {
      return {.worker = question.sibling, .reason = Reason::neighbours};
    }
    const PeerIndex idle = least_loaded_worker(view, question);
    const bool uneven = question.task_ns > view.limits.wake_up.ns && is_uneven(view, question.pool);
    if (question.inputs.empty() && !uneven) {
      if (!is_awake(view, question, idle)) {
        return {.worker = idle, .reason = Reason::least_loaded};
      }
      return {.worker = question.recent, .reason = Reason::awake};
    }
    gather(view, question);
    if (idle != no_peer) consider(view, idle);
    for (const PeerIndex worker : question.pool.members) {
      if (uneven || question.is_cut) consider(view, worker);
    }
    const Choice best = best_candidate(view, question);
    forget();
    return best;
  }

 private:
  /// Whether the plan holds: the worker is there, has memory left and its host to itself, and is
  /// not far behind the others.
  static bool is_as_planned(const View& view, const Question& question) {
    constexpr std::int64_t tasks_behind = 6;
    const PeerIndex worker = question.planned;
    if (worker == no_peer || !is_possible(view, question, worker)) return false;
    const Peer& peer = view.workers.at(worker);
    if (peer.load.is_hot() || pressure_ns(view, question, peer) > 0) return false;
    const PeerIndex idle = least_loaded_worker(view, question);
    if (idle == no_peer) return true;
    return view.workers.load_ns(worker) <=
           view.workers.load_ns(idle) + tasks_behind * question.task_ns;
  }

  /// One of the owner's workers, if it is not so busy that another host that has done all that it
  /// owns itself would be done clearly sooner.
  Choice choose_near_owner(const View& view, const Question& question,
                           std::span<const PeerIndex> own) {
    gather(view, question);
    holders_.swap(candidates_);
    for (const PeerIndex worker : own) consider(view, worker);
    const PeerIndex idle = least_loaded_worker(view, question);
    if (idle != no_peer && has_done_its_own(view, question, idle)) consider(view, idle);
    Choice best = best_candidate(view, question);
    forget();
    holders_.swap(candidates_);
    forget();
    const bool is_own =
        best.worker != no_peer && view.workers.at(best.worker).host == question.owner;
    if (is_own) best.reason = Reason::owner;
    return best;
  }

  static bool has_done_its_own(const View& view, const Question& question, PeerIndex worker) {
    if (question.is_owner_firm) return false;
    const std::uint32_t host = view.workers.at(worker).host;
    return host >= question.owned_left.size() || question.owned_left[host] == 0;
  }

  /// Whether a worker that was given something just now would be done with it before an idle one
  /// could be woken.
  static bool is_awake(const View& view, const Question& question, PeerIndex idle) {
    const PeerIndex recent = question.recent;
    return recent != no_peer && idle != no_peer && is_possible(view, question, recent) &&
           view.workers.has_room(recent) &&
           view.workers.busy_ns(recent) <= view.workers.busy_ns(idle) + view.limits.wake_up.ns;
  }

  /// A few workers of different speeds: the least loaded one need not be the first to finish, so
  /// that all are compared.
  static bool is_uneven(const View& view, const Pool& pool) {
    constexpr std::size_t few = 16;
    if (pool.members.size() > few) return false;
    double fastest = std::numeric_limits<double>::max(), slowest = 0;
    for (const PeerIndex worker : pool.members) {
      fastest = std::min(fastest, view.workers.at(worker).slowness);
      slowest = std::max(slowest, view.workers.at(worker).slowness);
    }
    return slowest > 1.5 * fastest;
  }

  struct Estimate {
    PeerIndex worker;
    std::int64_t start_ns;    ///< when it could start, were its inputs there
    std::int64_t finish_ns;   ///< when it would be done
    std::int64_t waiting_ns;  ///< of that, for its inputs
    std::int64_t due_ns;      ///< when it would be done if links were free
  };

  Choice best_candidate(const View& view, const Question& question) {
    estimates_.clear();
    std::int64_t least_waiting = std::numeric_limits<std::int64_t>::max();
    for (const Candidate candidate : candidates_) {
      if (!is_possible(view, question, candidate.worker)) continue;
      estimates_.push_back(estimate(view, question, candidate.worker));
      least_waiting = std::min(least_waiting, estimates_.back().waiting_ns);
    }
    // Predictions are seldom better than to a quarter.
    const std::int64_t slack = std::max(view.limits.locality_slack.ns, question.task_ns / 4);
    const Estimate *best = nullptr, *other = nullptr;
    std::int64_t best_ns = 0, other_ns = 0;
    for (const Estimate& e : estimates_) {
      std::int64_t finish = e.finish_ns;
      if (e.waiting_ns > least_waiting) {
        finish += std::min({e.start_ns / 2, slack, e.waiting_ns});
      }
      const bool is_elsewhere =
          question.owner != no_host && view.workers.at(e.worker).host != question.owner;
      if (is_elsewhere) {
        finish += slack;
        const bool goes_back = !question.inputs.empty();  // it has the owner's data
        if (goes_back) finish += question.task_ns + e.waiting_ns;
      }
      if (best == nullptr || finish < best_ns || (finish == best_ns && e.worker < best->worker)) {
        other = best;
        other_ns = best_ns;
        best = &e;
        best_ns = finish;
      } else if (other == nullptr || finish < other_ns) {
        other = &e;
        other_ns = finish;
      }
    }
    return choice_of(question, best, other);
  }

  static Choice choice_of(const Question& question, const Estimate* best, const Estimate* other) {
    if (best == nullptr) return {};
    const Datum* buffer = question.taken_over;
    const bool is_buffer = buffer != nullptr && buffer->primary == best->worker;
    Choice choice{.worker = best->worker,
                  .reason = is_buffer ? Reason::buffer : Reason::first_to_finish,
                  .finish_ns = best->finish_ns,
                  .due_ns = best->due_ns};
    if (other != nullptr) {
      choice.other = other->worker;
      choice.other_ns = other->finish_ns;
    }
    return choice;
  }

  void consider(const View& view, PeerIndex worker) {
    if (worker >= at_worker_.size()) at_worker_.resize(view.workers.size());
    const std::uint32_t host = view.workers.at(worker).host;
    if (host >= at_host_.size()) at_host_.resize(host + 1);
    for (const Candidate known : candidates_) {
      if (known.worker == worker) return;
    }
    candidates_.push_back({worker, host});
  }

  void count(const View& view, PeerIndex holder, const Datum& datum, std::uint32_t input) {
    consider(view, holder);
    for (Held* held : {&at_worker_[holder], &at_host_[view.workers.at(holder).host]}) {
      if (held->last_input == input) continue;
      held->last_input = input;
      held->bytes += known_bytes(datum);
      ++held->count;
    }
  }

  void gather(const View& view, const Question& question) {
    std::uint32_t input = 0;
    total_bytes_ = 0;
    makers_ = senders_ = {};
    for (const Datum* datum : question.inputs) {
      const std::int64_t made_ns = question.made_ns[input++];
      total_bytes_ += known_bytes(*datum);
      for_holders(view, *datum, [&](PeerIndex holder) { count(view, holder, *datum, input); });
      note_input(view, *datum, made_ns);
    }
  }

  /// One on another host comes after what its holder is to send already.
  void note_input(const View& view, const Datum& datum, std::int64_t made_ns) {
    const PeerIndex holder = datum.primary;
    if (!datum.is_made) makers_.note(holder, made_ns);
    const std::uint64_t outgoing = view.replicas.outgoing(holder);
    if (outgoing > 0) senders_.note(holder, transfer_ns(outgoing, view.links.sending(holder)));
  }

  /// When what is to use the same links as the inputs from other hosts already will be through.
  std::int64_t links_free_ns(const View& view, PeerIndex worker) const {
    const std::uint64_t incoming = view.replicas.incoming(worker);
    return std::max(transfer_ns(incoming, view.links.receiving(worker)), senders_.without(worker));
  }

  static std::int64_t transfer_ns(std::uint64_t bytes, double rate) {
    return static_cast<std::int64_t>(std::min(1e9 * static_cast<double>(bytes) / rate, 1e15));
  }

  Estimate estimate(const View& view, const Question& question, PeerIndex worker) const {
    const Peer& peer = view.workers.at(worker);
    const Held& here = at_worker_[worker];
    const Held& near = at_host_[peer.host];
    const auto far_bytes = static_cast<double>(total_bytes_ - near.bytes);
    const auto near_bytes = static_cast<double>(near.bytes - here.bytes);
    const auto far_count = static_cast<std::int64_t>(question.inputs.size()) - near.count;
    const auto near_count = static_cast<std::int64_t>(near.count) - here.count;
    double moving =
        1e9 * (far_bytes / view.links.receiving(worker) + near_bytes / view.limits.local_bandwidth);
    moving += static_cast<double>(far_count * view.limits.fetch_work.ns +
                                  near_count * view.limits.local_fetch_work.ns);
    if (question.taken_over != nullptr && question.taken_over->primary != worker) {
      moving +=
          1e9 * static_cast<double>(known_bytes(*question.taken_over)) / view.limits.copy_bandwidth;
    }
    if (far_count > 0) {
      moving += static_cast<double>(view.limits.remote_latency.ns);
    } else if (near_count > 0) {
      moving += static_cast<double>(view.limits.local_latency.ns);
    }
    const double running = question.ns_on(peer);
    const double pressure = pressure_ns(view, question, peer) + static_cast<double>(peer.heat_ns);
    std::int64_t queue = view.workers.load_ns(worker);
    if (view.kept.has_before(worker, question.turn)) queue += peer.kept_ns / peer.slots;
    if (question.home != no_peer && question.home != worker) queue += home_ns(view, question, peer);
    const std::int64_t made = makers_.without(worker);
    const std::int64_t sent = far_count > 0 ? made + links_free_ns(view, worker) : made;
    const std::int64_t start = std::max(queue, sent);
    return {worker, start, start + static_cast<std::int64_t>(moving + running + pressure),
            static_cast<std::int64_t>(moving),
            std::max(queue, made) + static_cast<std::int64_t>(moving + running)};
  }

  /// What will probably come to the worker, per slot. Of short tasks no more than it would be given
  /// now: more than that it does not keep from others, who have nothing to do.
  static std::int64_t home_ns(const View& view, const Question& question, const Peer& peer) {
    const std::int64_t all = peer.home_ns / peer.slots;
    return question.taken_over != nullptr ? all : std::min(all, view.limits.window_time.ns);
  }

  /// Grows from nothing at 80 % of the memory limit to ten windows of work at the limit.
  static double pressure_ns(const View& view, const Question& question, const Peer& peer) {
    if (peer.memory_limit == 0) return 0;
    const double used = static_cast<double>(peer.memory_used + question.output_bytes) /
                        static_cast<double>(peer.memory_limit);
    const double excess = std::clamp((used - 0.8) / 0.2, 0.0, 1.0);
    return excess * 10 * static_cast<double>(view.limits.window_time.ns);
  }

  void forget() {
    for (const Candidate candidate : candidates_) {
      at_worker_[candidate.worker] = {};
      at_host_[candidate.host] = {};
    }
    candidates_.clear();
  }

  std::vector<Held> at_worker_, at_host_;  ///< all zero between questions
  std::vector<Candidate> candidates_, holders_;
  std::vector<Estimate> estimates_;
  std::uint64_t total_bytes_ = 0;
  Latest makers_;   ///< when inputs that are being made will be
  Latest senders_;  ///< when what holders of inputs are to send already will have gone
};

}  // namespace

std::unique_ptr<Policy> make_least_loaded() { return std::make_unique<LeastLoaded>(); }

}  // namespace ashlar::scheduler::placement
