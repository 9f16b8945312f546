#include <map>
#include <sstream>

#include "base/check.hpp"
#include "scheduler/core.hpp"

namespace ashlar::scheduler {
namespace {

class Hash {
 public:
  void add(std::uint64_t value) {
    state_ = (state_ ^ value) * 0x9E3779B97F4A7C15u + (state_ >> 29);
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

}  // namespace

std::size_t Core::state_bytes() const {
  std::size_t total = sizeof(Core) + workers_.bytes() + replicas_.bytes() + costs_.bytes() +
                      runs_.capacity() * sizeof(runs_[0]) + ended_runs_.bytes() + outbox_.bytes();
  for (const auto& run : runs_) total += run ? run->bytes() : 0;
  for (const auto& [id, session] : sessions_) {
    for (const auto& [number, kept] : session.templates) total += kept.bytes();
  }
  return total;
}

std::string Core::dump() const {
  std::ostringstream out;
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    const Peer& peer = workers_.at(p);
    out << (peer.is_worker ? "worker " : "driver ") << peer.id.value << " " << peer.name
        << (peer.is_alive ? "" : " gone") << (peer.is_leaving ? " leaving" : "");
    if (peer.is_worker) out << ": " << peer.assigned << " tasks, " << peer.queued_ns << " ns";
    out << (broken_.is_isolated(p, now_) ? ", isolated\n" : "\n");
  }
  for (const auto& [ends, link] : broken_.all()) {
    out << broken_text(ends, link.reason) << (now_ < link.until ? "\n" : "; to be tried again\n");
  }
  for (const auto& run : runs_) {
    if (!run) continue;
    out << run->label() << " of session " << run->id.session.value
        << (run->is_ended ? " (ended)" : "") << ":";
    for (std::size_t s = 0; s < task_state_count && run->graph; ++s) {
      const auto state = static_cast<TaskState>(s);
      out << " " << run->tasks.count(state) << " " << name_of(state);
    }
    if (run->is_instantiated) out << "; placed as template " << run->template_number;
    out << "; data pinned " << run->pinned << ", used by others " << run->outside_uses << "\n";
    for (std::uint32_t d = 0; d < run->data.size(); ++d) {
      const Datum& datum = run->data[d];
      if (!datum.is_available() && !datum.is_needed()) continue;
      out << "  datum " << d << ": " << datum.uses << " uses" << (datum.is_wanted ? ", wanted" : "")
          << (datum.is_made ? ", made" : "") << (datum.is_lost ? ", lost" : "") << "; at";
      if (datum.is_available()) out << " " << workers_.at(datum.primary).name;
      for (std::uint32_t n = datum.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
        out << " " << workers_.at(replicas_.at(n).peer).name
            << (replicas_.at(n).is_actual ? "" : "?");
      }
      out << "\n";
    }
  }
  return out.str();
}

std::uint64_t Core::digest() const {
  Hash hash;
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    hash.add(workers_.at(p).assigned);
    hash.add(static_cast<std::uint64_t>(workers_.at(p).queued_ns));
    hash.add(workers_.at(p).is_alive);
  }
  for (const auto& [key, twin] : twins_) {
    hash.add(std::uint64_t{key.run} << 32 | key.index);
    hash.add(std::uint64_t{twin.worker} << 32 | twin.attempt);
  }
  for (const auto& run : runs_) {
    hash.add(run ? run->id.number : ~std::uint64_t{0});
    if (!run) continue;
    for (std::uint32_t t = 0; t < run->tasks.size(); ++t) {
      const TaskRecord& record = run->tasks.at(t);
      hash.add(static_cast<std::uint64_t>(record.state) << 32 | record.worker);
      hash.add(std::uint64_t{record.attempt} << 32 | record.blocked);
    }
    for (const Datum& d : run->data) {
      hash.add(std::uint64_t{d.primary} << 32 | d.uses);
      hash.add(d.is_made | d.is_wanted << 1 | d.is_lost << 2);
      for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
        hash.add(replicas_.at(n).peer);
      }
    }
  }
  for (const auto& [id, session] : sessions_) {
    for (const auto& [number, kept] : session.templates) {
      hash.add(std::uint64_t{id.value} << 32 | number);
      hash.add(kept.is_with_workers);
      for (const PeerIndex worker : kept.where) hash.add(worker);
    }
  }
  return hash.value();
}

/// A task ends without a result because it failed, or reads what will never be; or its run ended.
void Core::check_ended(const Run& run, std::uint32_t task) const {
  const TaskRecord& record = run.tasks.at(task);
  ASHLAR_CHECK(record.blocked < run.causes.size(), story(run.id, task));
  if (record.state == TaskState::failed || run.is_ended || run.end_cause) return;
  bool reads_lost = false;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    reads_lost |= ref.run == DataRef::no_run || run_at(ref.run).data[ref.index].is_lost;
  }
  ASHLAR_CHECK(reads_lost, story(run.id, task));
}

void Core::check_task(const Run& run, std::uint32_t task) const {
  const TaskRecord& record = run.tasks.at(task);
  const auto who = [&] { return story(run.id, task); };
  if (record.state == TaskState::failed || record.state == TaskState::cancelled) {
    check_ended(run, task);
  }
  if (!is_unfinished(record.state)) return;
  std::uint32_t blocked = set_aside_.contains({run.slot, task}) ? 1 : 0;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    ASHLAR_CHECK(ref.run != DataRef::no_run, who());
    blocked += !run_at(ref.run).data[ref.index].is_available();
  }
  ASHLAR_CHECK(record.blocked == blocked, who() + "\nblocked: " + std::to_string(record.blocked));
  ASHLAR_CHECK((record.state == TaskState::waiting) == (blocked > 0), who());
  if (record.state != TaskState::assigned) return;
  ASHLAR_CHECK(workers_.at(record.worker).is_alive, who());
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    ASHLAR_CHECK(run.data[d].is_available(), who());
    ASHLAR_CHECK(run.data[d].is_made || run.data[d].primary == record.worker, who());
  }
}

void Core::check_run(const Run& run) const {
  run.tasks.check_invariants();
  ASHLAR_CHECK(
      !run.is_ended || run.pinned > 0 || run.outside_uses > 0 || run.tasks.unfinished() > 0,
      run.label() + " is kept for nothing");
  const bool is_ready = run.tasks.ready_count() > 0;
  ASHLAR_CHECK(run.is_in_ready_set == is_ready, run.label());
  if (is_ready) {
    const auto& ready = sessions_.at(run.id.session).ready;
    ASHLAR_CHECK(ready.contains({-std::int64_t{run.ready_priority}, run.sequence, run.slot}),
                 run.label());
  }
  for (std::uint32_t t = 0; t < run.tasks.size(); ++t) check_task(run, t);
  std::uint32_t pinned = 0;
  for (std::uint32_t i = 0; i < run.data.size(); ++i) {
    const Datum& d = run.data[i];
    const auto who = [&] {
      return "datum " + std::to_string(i) + " of " + run.label() + "\n" + dump();
    };
    pinned += d.is_wanted;
    ASHLAR_CHECK(!d.is_made || (d.is_available() && d.is_needed()), who());
    ASHLAR_CHECK(!d.is_lost || (!d.is_available() && d.uses == 0), who());
    ASHLAR_CHECK(!d.is_lost || !d.is_wanted || run.why_lost(i) != nullptr, who());
    ASHLAR_CHECK(d.is_available() || d.replicas == ReplicaPool::end, who());
    ASHLAR_CHECK(!d.is_available() || workers_.at(d.primary).is_alive, who());
    for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
      ASHLAR_CHECK(workers_.at(replicas_.at(n).peer).is_alive, who());
      ASHLAR_CHECK(replicas_.at(n).peer != d.primary, who());
    }
    if (!run.graph || d.is_made) continue;
    const TaskState producer = run.tasks.state(run.producer[i]);
    ASHLAR_CHECK(d.is_available() == (producer == TaskState::assigned), who());
    ASHLAR_CHECK(d.is_lost || !d.is_needed() || is_unfinished(producer), who());
  }
  ASHLAR_CHECK(pinned == run.pinned, run.label());
  std::vector<std::uint32_t> owned(run.owned_left.size(), 0);
  for (std::uint32_t t = 0; t < run.owners.size(); ++t) {
    const bool is_counted = run.owners[t] != no_host && is_unfinished(run.tasks.state(t));
    if (is_counted) ++owned.at(run.owners[t]);
  }
  ASHLAR_CHECK(owned == run.owned_left, run.label());
}

void Core::check_uses() const {
  std::map<DataRef, std::uint32_t> uses;
  std::map<std::uint32_t, std::uint64_t> outside;
  std::vector<std::uint32_t> assigned(workers_.size(), 0), beside(workers_.size(), 0);
  std::vector<std::int64_t> queued(workers_.size(), 0), kept(workers_.size(), 0),
      home(workers_.size(), 0);
  std::size_t kept_count = 0;
  for (const auto& run : runs_) {
    for (std::uint32_t t = 0; run && t < run->tasks.size(); ++t) {
      const TaskRecord& record = run->tasks.at(t);
      if (!is_unfinished(record.state)) continue;
      for (const std::uint32_t name : run->graph->inputs_of(t)) {
        const DataRef ref = run->resolve(name);
        ++uses[ref];
        if (ref.run != run->slot) ++outside[ref.run];
      }
      if (record.is_kept) {
        ASHLAR_CHECK(kept_.contains(record.worker, entry_of(*run, t)), story(run->id, t));
        ASHLAR_CHECK(!workers_.has_room(record.worker), story(run->id, t));
        ASHLAR_CHECK(workers_.is_usable(record.worker), story(run->id, t));
        kept[record.worker] += static_cast<std::int64_t>(record.expected_ns);
        ++kept_count;
      }
      if (record.is_at_home) home[record.worker] += static_cast<std::int64_t>(record.expected_ns);
      if (record.state != TaskState::assigned) continue;
      ++assigned[record.worker];
      beside[record.worker] += record.is_beside ? 1 : 0;
      queued[record.worker] += static_cast<std::int64_t>(record.expected_ns);
    }
  }
  for (const auto& [key, twin] : twins_) {
    const Run& run = run_at(key.run);
    const TaskRecord& record = run.tasks.at(key.index);
    ASHLAR_CHECK(record.state == TaskState::assigned && !record.takes_over &&
                     record.attempt < twin.attempt && record.worker != twin.worker,
                 story(run.id, key.index));
    if (twin.worker == no_peer) continue;
    ASHLAR_CHECK(workers_.at(twin.worker).is_alive, story(run.id, key.index));
    ++assigned[twin.worker];
    queued[twin.worker] += static_cast<std::int64_t>(twin.expected_ns);
  }
  for (const auto& [key, steal] : steals_) {
    const Run& run = run_at(key.run);
    ASHLAR_CHECK(run.tasks.state(key.index) == TaskState::assigned, story(run.id, key.index));
  }
  for (const auto& [key, worker] : remakers_) {
    const Run& run = run_at(key.run);
    ASHLAR_CHECK(is_unfinished(run.tasks.state(key.index)), story(run.id, key.index));
  }
  for (const DataRef& key : set_aside_) {
    const Run& run = run_at(key.run);
    ASHLAR_CHECK(is_unfinished(run.tasks.state(key.index)), story(run.id, key.index));
  }
  for (const auto& [id, session] : sessions_) {
    ASHLAR_CHECK(static_cast<double>(session.twin_ns) <=
                     limits_.twin_share * static_cast<double>(session.task_ns),
                 "second attempts take too much");
  }
  for (const auto& run : runs_) {
    if (!run) continue;
    for (std::uint32_t d = 0; d < run->data.size(); ++d) {
      const auto found = uses.find({run->slot, d});
      ASHLAR_CHECK(run->data[d].uses == (found == uses.end() ? 0 : found->second),
                   "uses of datum " + std::to_string(d) + " of " + run->label());
    }
    ASHLAR_CHECK(run->outside_uses == outside[run->slot], "outside uses of " + run->label());
  }
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    ASHLAR_CHECK(workers_.at(p).assigned == assigned[p], workers_.at(p).name);
    ASHLAR_CHECK(workers_.at(p).beside == beside[p], workers_.at(p).name);
    ASHLAR_CHECK(workers_.at(p).queued_ns == queued[p], workers_.at(p).name);
    ASHLAR_CHECK(workers_.at(p).kept_ns == kept[p], workers_.at(p).name);
    ASHLAR_CHECK(workers_.at(p).home_ns == home[p], workers_.at(p).name);
  }
  ASHLAR_CHECK(kept_count == kept_.size(), "kept tasks");
}

void Core::check_invariants() const {
  workers_.check_invariants();
  check_uses();
  check_templates();
  std::uint64_t unfinished = 0;
  std::size_t replicas = 0;
  std::vector<std::uint64_t> incoming(workers_.size(), 0), outgoing(workers_.size(), 0);
  for (const auto& run : runs_) {
    if (!run) continue;
    check_run(*run);
    unfinished += run->tasks.unfinished();
    for (const Datum& d : run->data) {
      for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
        ++replicas;
        const ReplicaPool::Replica& replica = replicas_.at(n);
        if (replica.coming_bytes == 0) continue;
        ASHLAR_CHECK(!replica.is_actual, run->label());
        incoming[replica.peer] += replica.coming_bytes;
        outgoing[replica.from] += replica.coming_bytes;
      }
    }
  }
  ASHLAR_CHECK(unfinished == unfinished_, "unfinished tasks");
  ASHLAR_CHECK(failures_.empty() && doomed_.empty() && hurt_.empty(), "failures are applied");
  ASHLAR_CHECK(replicas == replicas_.size(), "replicas");
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    ASHLAR_CHECK(replicas_.incoming(p) == incoming[p], workers_.at(p).name);
    ASHLAR_CHECK(replicas_.outgoing(p) == outgoing[p], workers_.at(p).name);
  }
}

}  // namespace ashlar::scheduler
