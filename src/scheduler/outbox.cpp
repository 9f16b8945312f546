#include "scheduler/outbox.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace ashlar::scheduler {
namespace {

/// Messages that take more memory are not kept.
constexpr std::size_t spare_bytes_max = std::size_t{1} << 16;

/// The entry of `run`, most often the last one; a new one at the end when there is none.
template <class Message>
Message& entry_of(std::vector<Message>& messages, RunId run) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(),
                                  [&](const Message& message) { return message.run == run; });
  if (found != messages.rend()) return *found;
  messages.emplace_back().run = run;
  return messages.back();
}

/// Those with an entry for most tasks; `visit` is also told about how many there are for each.
template <class Message, class Visit>
void for_columns(Message& message, Visit visit) {
  const auto each = [&](std::size_t per_task, auto&... columns) {
    (visit(columns, per_task), ...);
  };
  each(1, message.task, message.attempt, message.kernel, message.rank, message.expected_ns,
       message.reuse_input, message.input_count, message.output_count, message.param_bytes,
       message.deliver, message.outputs, message.output_bytes);
  each(3, message.inputs, message.input_bytes, message.input_holder);
}

/// For some tasks: growing each vector from nothing costs more than what is not used.
void make_room(protocol::AssignTasks& message) {
  for_columns(message, [](auto& column, std::size_t per_task) { column.reserve(16 * per_task); });
}

std::size_t bytes_of(const protocol::AssignTasks& message) {
  std::size_t total =
      message.params.capacity() + message.priority.capacity() * sizeof(message.priority[0]);
  for_columns(message, [&](const auto& column, std::size_t) {
    total += column.capacity() * sizeof(column[0]);
  });
  return total;
}

void clear(protocol::AssignTasks& message) {
  for_columns(message, [](auto& column, std::size_t) { column.clear(); });
  message.params.clear();
  message.priority.clear();
  message.run = {};
  message.driver = {};
  message.template_number = protocol::no_template;
  ASHLAR_CHECK(message == protocol::AssignTasks{});
}

}  // namespace

void Outbox::begin(Actions& actions) {
  spare_.clear();
  spare_ids_.clear();
  for (Action& action : actions) {
    auto* to = std::get_if<ToWorker>(&action);
    if (to == nullptr) continue;
    if (auto* assigned = std::get_if<protocol::AssignTasks>(&to->message)) {
      if (assigned->task.capacity() == 0 || bytes_of(*assigned) > spare_bytes_max) continue;
      clear(*assigned);
      spare_.push_back(std::move(*assigned));
    } else if (auto* freed = std::get_if<protocol::FreeData>(&to->message)) {
      if (freed->data.capacity() * sizeof(DatumId) > spare_bytes_max) continue;
      freed->data.clear();
      spare_ids_.push_back(std::move(freed->data));
    }
  }
  actions.clear();
  actions_ = &actions;
}

std::size_t Outbox::bytes() const {
  std::size_t total = spare_.capacity() * sizeof(protocol::AssignTasks) +
                      spare_ids_.capacity() * sizeof(spare_ids_[0]);
  for (const auto& ids : spare_ids_) total += ids.capacity() * sizeof(DatumId);
  for (const auto& message : spare_) total += bytes_of(message);
  return total;
}

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

Outbox::Gathered& Outbox::seldom_gathered(PeerIndex peer) {
  Gathered& all = gathered(peer);
  all.has_seldom = true;
  return all;
}

void Outbox::revoke(PeerIndex worker, RunId run, std::uint32_t task, Attempt attempt) {
  if (!workers_.at(worker).is_alive) return;
  protocol::RevokeTasks& message = entry_of(seldom_gathered(worker).revocations, run);
  message.task.push_back(task);
  message.attempt.push_back(attempt);
}

void Outbox::free(PeerIndex peer, DatumId datum) {
  if (!workers_.at(peer).is_alive) return;
  std::vector<DatumId>& freed = gathered(peer).freed;
  if (freed.capacity() == 0 && !spare_ids_.empty()) {
    freed = std::move(spare_ids_.back());
    spare_ids_.pop_back();
  }
  freed.push_back(datum);
}

void Outbox::relocate(PeerIndex worker, DatumId datum, PeerIndex holder) {
  if (!workers_.at(worker).is_alive || !workers_.at(worker).is_worker) return;
  introduce(worker, holder);
  Gathered& before = gathered(worker);
  const bool has_templates = before.has_seldom && !before.templates.empty();
  if (!before.assignments.empty() || has_templates) flush(worker, before);
  protocol::Relocate& message = seldom_gathered(worker).relocations;
  message.data.push_back(datum);
  message.holder.push_back(workers_.at(holder).id);
}

void Outbox::prefetch(PeerIndex worker, DatumId datum, std::uint64_t bytes, PeerIndex holder,
                      std::uint32_t rank) {
  introduce(worker, holder);
  protocol::Prefetch& message = entry_of(seldom_gathered(worker).prefetches, datum.run);
  message.datum.push_back(datum.index);
  message.bytes.push_back(bytes);
  message.holder.push_back(workers_.at(holder).id);
  message.rank.push_back(rank);
}

protocol::AssignTasks& Outbox::assignment(PeerIndex worker, RunId run) {
  std::vector<protocol::AssignTasks>& messages = gathered(worker).assignments;
  const auto found =
      std::ranges::find(messages.rbegin(), messages.rend(), run, &protocol::AssignTasks::run);
  if (found != messages.rend()) return *found;
  if (spare_.empty()) {
    make_room(messages.emplace_back());
  } else {
    messages.push_back(std::move(spare_.back()));
    spare_.pop_back();
  }
  messages.back().run = run;
  return messages.back();
}

void Outbox::drop_template(PeerIndex worker, SessionId session, std::uint32_t number) {
  if (!workers_.at(worker).is_alive) return;
  auto& messages = seldom_gathered(worker).templates_dropped;
  if (messages.empty() || messages.back().session != session) messages.push_back({session, {}});
  messages.back().numbers.push_back(number);
}

void Outbox::flush(PeerIndex index, Gathered& all) {
  all.is_open = false;
  const Peer& peer = workers_.at(index);
  const auto send = [&](auto& messages) {
    if (peer.is_alive && peer.is_worker) {
      for (auto& message : messages) to_worker(index, std::move(message));
    }
    messages.clear();
  };
  if (all.has_seldom) {
    send(all.templates_dropped);
    send(all.revocations);
  }
  if (!all.freed.empty() && peer.is_alive) {
    if (peer.is_worker) {
      to_worker(index, protocol::FreeData{std::move(all.freed)});
    } else {
      to_driver(peer.session, protocol::PutDataUnused{std::move(all.freed)});
    }
  }
  all.freed.clear();
  if (all.has_seldom) {
    if (peer.is_alive && peer.is_worker && !all.relocations.data.empty()) {
      to_worker(index, std::move(all.relocations));
    }
    all.relocations = {};
    send(all.prefetches);
  }
  send(all.assignments);
  if (all.has_seldom) send(all.templates);
  all.has_seldom = false;
}

void Outbox::flush() {
  for (const PeerIndex peer : open_) flush(peer, gathered_[peer]);
  open_.clear();
}

}  // namespace ashlar::scheduler
