#include "scheduler/outbox.hpp"

#include <algorithm>

namespace ashlar::scheduler {
namespace {

/// The entry of `run`, most often the last one; a new one at the end when there is none.
template <class Message>
Message& entry_of(std::vector<Message>& messages, RunId run) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(),
                                  [&](const Message& message) { return message.run == run; });
  if (found != messages.rend()) return *found;
  messages.emplace_back().run = run;
  return messages.back();
}

/// For some tasks: growing each vector from nothing costs more than what is not used.
void make_room(protocol::AssignTasks& message) {
  constexpr std::size_t tasks = 16, inputs = 3 * tasks;
  message.task.reserve(tasks);
  message.attempt.reserve(tasks);
  message.kernel.reserve(tasks);
  message.rank.reserve(tasks);
  message.expected_ns.reserve(tasks);
  message.reuse_input.reserve(tasks);
  message.input_count.reserve(tasks);
  message.output_count.reserve(tasks);
  message.param_bytes.reserve(tasks);
  message.deliver.reserve(tasks);
  message.inputs.reserve(inputs);
  message.input_bytes.reserve(inputs);
  message.input_holder.reserve(inputs);
  message.outputs.reserve(tasks);
  message.output_bytes.reserve(tasks);
}

}  // namespace

void Outbox::to_driver(SessionId session, protocol::SchedulerToDriver message) {
  actions_->emplace_back(ToDriver{session, std::move(message)});
}

void Outbox::to_worker(PeerIndex worker, protocol::SchedulerToWorker message) {
  ++workers_.edit(worker).sent;
  actions_->emplace_back(ToWorker{workers_.at(worker).id, std::move(message)});
}

void Outbox::drop(PeerId peer, std::string reason) {
  actions_->emplace_back(DropPeer{peer, std::move(reason)});
}

void Outbox::introduce(PeerIndex to, PeerIndex about) {
  if (to == about) return;
  Peer& listener = workers_.edit(to);
  if (about < listener.was_told.size() && listener.was_told[about]) return;
  if (!listener.is_alive) return;
  if (about >= listener.was_told.size()) listener.was_told.resize(workers_.size(), false);
  listener.was_told[about] = true;
  const Peer& peer = workers_.at(about);
  protocol::PeerInfo info{peer.id, peer.name, peer.endpoint};
  if (listener.is_worker) {
    to_worker(to, std::move(info));
  } else {
    to_driver(listener.session, std::move(info));
  }
}

void Outbox::announce_gone(PeerIndex peer, const std::string& reason) {
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    const Peer& listener = workers_.at(p);
    if (!listener.is_alive || peer >= listener.was_told.size() || !listener.was_told[peer]) {
      continue;
    }
    protocol::PeerGone gone{workers_.at(peer).id, reason};
    if (listener.is_worker) {
      to_worker(p, std::move(gone));
    } else {
      to_driver(listener.session, std::move(gone));
    }
  }
}

Outbox::Gathered& Outbox::gathered(PeerIndex peer) {
  if (peer >= gathered_.size()) gathered_.resize(workers_.size());
  Gathered& all = gathered_[peer];
  if (!all.is_open) {
    all.is_open = true;
    open_.push_back(peer);
  }
  return all;
}

void Outbox::revoke(PeerIndex worker, RunId run, std::uint32_t task, Attempt attempt) {
  if (!workers_.at(worker).is_alive) return;
  protocol::RevokeTasks& message = entry_of(gathered(worker).revocations, run);
  message.task.push_back(task);
  message.attempt.push_back(attempt);
}

void Outbox::free(PeerIndex peer, DatumId datum) {
  if (workers_.at(peer).is_alive) gathered(peer).freed.push_back(datum);
}

void Outbox::relocate(PeerIndex worker, DatumId datum, PeerIndex holder) {
  if (!workers_.at(worker).is_alive || !workers_.at(worker).is_worker) return;
  introduce(worker, holder);
  Gathered& before = gathered(worker);
  if (!before.assignments.empty() || !before.templates.empty()) flush(worker, before);
  protocol::Relocate& message = gathered(worker).relocations;
  message.data.push_back(datum);
  message.holder.push_back(workers_.at(holder).id);
}

void Outbox::prefetch(PeerIndex worker, DatumId datum, std::uint64_t bytes, PeerIndex holder,
                      std::uint32_t rank) {
  introduce(worker, holder);
  protocol::Prefetch& message = entry_of(gathered(worker).prefetches, datum.run);
  message.datum.push_back(datum.index);
  message.bytes.push_back(bytes);
  message.holder.push_back(workers_.at(holder).id);
  message.rank.push_back(rank);
}

protocol::AssignTasks& Outbox::assignment(PeerIndex worker, RunId run) {
  protocol::AssignTasks& message = entry_of(gathered(worker).assignments, run);
  if (message.task.capacity() == 0) make_room(message);
  return message;
}

void Outbox::drop_template(PeerIndex worker, SessionId session, std::uint32_t number) {
  if (!workers_.at(worker).is_alive) return;
  auto& messages = gathered(worker).templates_dropped;
  if (messages.empty() || messages.back().session != session) messages.push_back({session, {}});
  messages.back().numbers.push_back(number);
}

void Outbox::flush(PeerIndex index, Gathered& all) {
  all.is_open = false;
  const Peer& peer = workers_.at(index);
  if (peer.is_alive && peer.is_worker) {
    for (auto& message : all.templates_dropped) {
      to_worker(index, std::move(message));
    }
    for (auto& message : all.revocations) {
      to_worker(index, std::move(message));
    }
    if (!all.freed.empty()) {
      to_worker(index, protocol::FreeData{std::move(all.freed)});
    }
    if (!all.relocations.data.empty()) {
      to_worker(index, std::move(all.relocations));
    }
    for (auto& message : all.prefetches) {
      to_worker(index, std::move(message));
    }
    for (auto& message : all.assignments) {
      to_worker(index, std::move(message));
    }
    for (auto& message : all.templates) {
      to_worker(index, std::move(message));
    }
  } else if (peer.is_alive && !all.freed.empty()) {
    to_driver(peer.session, protocol::PutDataUnused{std::move(all.freed)});
  }
  all.revocations.clear();
  all.freed.clear();
  all.prefetches.clear();
  all.assignments.clear();
  all.templates.clear();
  all.templates_dropped.clear();
  all.relocations = {};
}

void Outbox::flush() {
  for (const PeerIndex peer : open_) flush(peer, gathered_[peer]);
  open_.clear();
}

}  // namespace ashlar::scheduler
