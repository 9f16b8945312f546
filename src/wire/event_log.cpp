#include "wire/event_log.hpp"

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "wire/byte_stream.hpp"

namespace ashlar::wire {
namespace {

// ---- events of the scheduler

void put_hello(protocol::Hello hello, ByteWriter& out) {
  hello.token.clear();
  out.blob(encode(Handshake(std::move(hello))));
}

struct SchedulerEventWriter {
  ByteWriter& out;

  void operator()(const scheduler::WorkerJoined& event) {
    out.number(event.worker.value);
    put_hello(event.hello, out);
  }
  void operator()(const scheduler::WorkerLost& event) {
    out.number(event.worker.value);
    out.text(event.reason);
    out.number(std::uint8_t{event.running.has_value()});
    if (!event.running) return;
    out.number(std::uint64_t{event.running->size()});
    for (const DatumId& task : *event.running) out.datum(task);
  }
  void operator()(const scheduler::SessionOpened& event) {
    out.number(event.session.value);
    out.number(event.driver.value);
    put_hello(event.hello, out);
  }
  void operator()(const scheduler::SessionClosed& event) { out.number(event.session.value); }
  void operator()(const scheduler::FromWorker& event) {
    out.number(event.worker.value);
    out.blob(encode(event.message));
  }
  void operator()(const scheduler::FromDriver& event) {
    out.number(event.session.value);
    out.blob(encode(event.message));
  }
  void operator()(const scheduler::Tick&) {}
  void operator()(const scheduler::ForgetLearned&) {}
};

/// What was decoded. Errors: Malformed when nothing was.
template <class Message>
Message needed(Decoded<Message> decoded) {
  if (!decoded.message) throw Malformed(decoded.error);
  return std::move(*decoded.message);
}

void put_urgency(const protocol::Urgency& urgency, ByteWriter& out) {
  out.number(urgency.priority);
  out.number(urgency.run);
  out.number(urgency.rank);
}

PeerId get_peer(ByteReader& in) { return PeerId{in.number<std::uint32_t>()}; }
SessionId get_session(ByteReader& in) { return SessionId{in.number<std::uint32_t>()}; }

protocol::Hello get_hello(ByteReader& in) {
  Handshake handshake = needed(decode_handshake(in.blob()));
  auto* hello = std::get_if<protocol::Hello>(&handshake);
  require(hello != nullptr, "expected Hello");
  return std::move(*hello);
}

void get(ByteReader& in, scheduler::WorkerJoined& event) {
  event.worker = get_peer(in);
  event.hello = get_hello(in);
}
void get(ByteReader& in, scheduler::WorkerLost& event) {
  event.worker = get_peer(in);
  event.reason = in.text();
  if (!in.truth()) return;
  constexpr std::size_t datum_bytes = 12;
  std::vector<DatumId> running(in.count(datum_bytes));
  for (DatumId& task : running) task = in.datum();
  event.running = std::move(running);
}
void get(ByteReader& in, scheduler::SessionOpened& event) {
  event.session = get_session(in);
  event.driver = get_peer(in);
  event.hello = get_hello(in);
}
void get(ByteReader& in, scheduler::SessionClosed& event) { event.session = get_session(in); }
void get(ByteReader& in, scheduler::FromWorker& event) {
  event.worker = get_peer(in);
  event.message = needed(decode_worker_to_scheduler(in.blob()));
}
void get(ByteReader& in, scheduler::FromDriver& event) {
  event.session = get_session(in);
  event.message = needed(decode_driver_to_scheduler(in.blob(), event.session));
}
void get(ByteReader&, scheduler::Tick&) {}
void get(ByteReader&, scheduler::ForgetLearned&) {}

// ---- events of a worker

struct WorkerEventWriter {
  ByteWriter& out;

  void operator()(const worker::FromScheduler& event) { out.blob(encode(event.message)); }
  void operator()(const worker::TaskEnded& event) {
    out.number(event.handle);
    out.number(event.elapsed_ns);
    out.number(std::uint8_t{event.is_ok});
    out.number(static_cast<std::uint8_t>(event.error_kind));
    out.text(event.error);
    out.number(std::uint64_t{event.output_bytes.size()});
    for (const std::uint64_t bytes : event.output_bytes) out.number(bytes);
  }
  void operator()(const worker::FetchDone& event) {
    out.datum(event.datum);
    out.number(event.bytes);
    out.number(std::uint8_t{event.is_in_place});
    out.number(std::uint8_t{event.is_local});
  }
  void operator()(const worker::FetchFailed& event) {
    out.datum(event.datum);
    out.number(event.peer.value);
    out.text(event.broken);
  }
  void operator()(const worker::FetchAsked& event) {
    out.number(event.peer.value);
    out.number(event.request);
    out.datum(event.datum);
    put_urgency(event.urgency, out);
  }
  void operator()(const worker::FetchUnasked& event) {
    out.number(event.peer.value);
    out.number(event.request);
  }
  void operator()(const worker::Tick&) {}
  void operator()(const worker::Resting&) {}
  void operator()(const worker::ReadDone& event) { out.datum(event.datum); }
  void operator()(const worker::SpillDone& event) { out.number(event.copy); }
  void operator()(const worker::SpillFailed& event) {
    out.number(event.copy);
    out.text(event.error);
  }
  void operator()(const worker::LoadDone& event) { out.number(event.copy); }
  void operator()(const worker::LoadFailed& event) {
    out.number(event.copy);
    out.text(event.error);
  }
  void operator()(const worker::LoansWanted& event) { out.number(event.peer.value); }
};

void get(ByteReader& in, worker::FromScheduler& event) {
  event.message = needed(decode_scheduler_to_worker(in.blob()));
}
void get(ByteReader& in, worker::TaskEnded& event) {
  event.handle = in.number<std::uint32_t>();
  event.elapsed_ns = in.number<std::uint64_t>();
  event.is_ok = in.truth();
  event.error_kind = read_error_kind(static_cast<schema::ErrorKind>(in.number<std::uint8_t>()));
  event.error = in.text();
  event.output_bytes.resize(in.count(sizeof(std::uint64_t)));
  for (std::uint64_t& bytes : event.output_bytes) bytes = in.number<std::uint64_t>();
}
void get(ByteReader& in, worker::FetchDone& event) {
  event.datum = in.datum();
  event.bytes = in.number<std::uint64_t>();
  event.is_in_place = in.truth();
  event.is_local = in.truth();
}
void get(ByteReader& in, worker::FetchFailed& event) {
  event.datum = in.datum();
  event.peer = get_peer(in);
  event.broken = in.text();
}
void get(ByteReader& in, worker::FetchAsked& event) {
  event.peer = get_peer(in);
  event.request = in.number<std::uint64_t>();
  event.datum = in.datum();
  event.urgency.priority = in.number<std::int32_t>();
  event.urgency.run = in.number<std::uint32_t>();
  event.urgency.rank = in.number<std::uint32_t>();
}
void get(ByteReader& in, worker::FetchUnasked& event) {
  event.peer = get_peer(in);
  event.request = in.number<std::uint64_t>();
}
void get(ByteReader&, worker::Tick&) {}
void get(ByteReader&, worker::Resting&) {}
void get(ByteReader& in, worker::ReadDone& event) { event.datum = in.datum(); }
void get(ByteReader& in, worker::SpillDone& event) { event.copy = in.number<std::uint64_t>(); }
void get(ByteReader& in, worker::SpillFailed& event) {
  event.copy = in.number<std::uint64_t>();
  event.error = in.text();
}
void get(ByteReader& in, worker::LoadDone& event) { event.copy = in.number<std::uint64_t>(); }
void get(ByteReader& in, worker::LoadFailed& event) {
  event.copy = in.number<std::uint64_t>();
  event.error = in.text();
}
void get(ByteReader& in, worker::LoansWanted& event) { event.peer = get_peer(in); }

// ---- actions

struct SchedulerActionWriter {
  ByteWriter& out;

  void operator()(const scheduler::ToWorker& action) {
    out.number(action.worker.value);
    out.blob(encode(action.message));
  }
  void operator()(const scheduler::ToDriver& action) {
    out.number(action.session.value);
    out.blob(encode(action.message));
  }
  void operator()(const scheduler::DropPeer& action) {
    out.number(action.peer.value);
    out.text(action.reason);
  }
};

struct WorkerActionWriter {
  ByteWriter& out;

  void operator()(const worker::ToScheduler& action) { out.blob(encode(action.message)); }
  void operator()(const worker::StartTask& action) {
    out.number(action.handle);
    out.number(action.reuse_input);
  }
  void operator()(const worker::StartFetch& action) {
    out.datum(action.datum);
    out.number(action.peer.value);
    out.number(action.bytes);
    out.number(std::uint8_t{action.is_copied});
    put_urgency(action.urgency, out);
  }
  void operator()(const worker::AbandonFetch& action) { out.datum(action.datum); }
  void operator()(const worker::AnswerFetch& action) {
    out.number(action.peer.value);
    out.number(action.request);
    out.datum(action.datum);
    put_urgency(action.urgency, out);
  }
  void operator()(const worker::RefuseFetch& action) {
    out.number(action.peer.value);
    out.number(action.request);
  }
  void operator()(const worker::PushDatum& action) {
    out.number(action.driver.value);
    out.datum(action.datum);
  }
  void operator()(const worker::WithdrawTask& action) { out.number(action.handle); }
  void operator()(const worker::DropDatum& action) { out.datum(action.datum); }
  void operator()(const worker::KnowPeer& action) {
    out.blob(encode(protocol::SchedulerToWorker(action.info)));
  }
  void operator()(const worker::ForgetPeer& action) { out.number(action.peer.value); }
  void operator()(const worker::Exit& action) { out.text(action.reason); }
  void operator()(const worker::SpillDatum& action) {
    out.datum(action.datum);
    out.number(action.copy);
  }
  void operator()(const worker::LoadDatum& action) {
    out.datum(action.datum);
    out.number(action.copy);
    out.number(action.bytes);
  }
  void operator()(const worker::DropCopy& action) { out.number(action.copy); }
  void operator()(const worker::RecallLoans&) {}
};

// ---- variants, by their positions

template <class Writer, class Range>
void put_all(const Range& values, ByteWriter& out) {
  out.number(std::uint64_t{values.size()});
  for (const auto& value : values) {
    out.number(static_cast<std::uint8_t>(value.index()));
    std::visit(Writer{out}, value);
  }
}

template <class Variant, std::size_t position = 0>
Variant get_member(ByteReader& in, std::size_t wanted) {
  if constexpr (position == std::variant_size_v<Variant>) {
    throw Malformed("unknown event " + std::to_string(wanted));
  } else {
    if (position != wanted) return get_member<Variant, position + 1>(in, wanted);
    std::variant_alternative_t<position, Variant> member;
    get(in, member);
    return member;
  }
}

template <class Variant>
std::vector<Variant> get_all(ByteReader& in) {
  const std::size_t count = in.count(1);
  std::vector<Variant> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(get_member<Variant>(in, in.number<std::uint8_t>()));
  }
  return values;
}

// ---- records

enum class Kind : std::uint8_t { scheduler_made, worker_made, scheduler_step, worker_step };

ByteWriter begin(Kind kind) {
  ByteWriter out;
  out.number(static_cast<std::uint8_t>(kind));
  return out;
}

std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

SchedulerMade get_scheduler(ByteReader& in) {
  SchedulerMade made;
  const auto policy = static_cast<scheduler::PolicyKind>(in.number<std::uint8_t>());
  require(std::ranges::find(scheduler::policy_kinds, policy) != std::end(scheduler::policy_kinds),
          "unknown policy");
  made.policy = policy;
  made.seed = in.number<std::uint64_t>();
  made.no_worker_wait = Duration{in.number<std::int64_t>()};
  made.growth_wait = Duration{in.number<std::int64_t>()};
  return made;
}

WorkerMade get_worker(ByteReader& in) {
  WorkerMade made;
  made.worker = get_peer(in);
  made.slots = in.number<std::uint32_t>();
  require(made.slots > 0, "a worker without slots");
  made.memory_limit = in.number<std::uint64_t>();
  made.host_identity = in.text();
  made.can_spill = in.truth();
  return made;
}

LogRecord get_record(ByteReader& in) {
  switch (Kind{in.number<std::uint8_t>()}) {
    case Kind::scheduler_made:
      return get_scheduler(in);
    case Kind::worker_made:
      return get_worker(in);
    case Kind::scheduler_step: {
      SchedulerStep step;
      step.now = Instant{in.number<std::int64_t>()};
      step.events = get_all<scheduler::Event>(in);
      step.actions = copy_of(in.blob());
      return step;
    }
    case Kind::worker_step: {
      WorkerStep step;
      step.worker = get_peer(in);
      step.now = Instant{in.number<std::int64_t>()};
      step.events = get_all<worker::Event>(in);
      step.actions = copy_of(in.blob());
      return step;
    }
  }
  throw Malformed("unknown record");
}

}  // namespace

std::vector<std::byte> encode(const SchedulerMade& made) {
  ByteWriter out = begin(Kind::scheduler_made);
  out.number(static_cast<std::uint8_t>(made.policy));
  out.number(made.seed);
  out.number(made.no_worker_wait.ns);
  out.number(made.growth_wait.ns);
  return out.take();
}

std::vector<std::byte> encode(const WorkerMade& made) {
  ByteWriter out = begin(Kind::worker_made);
  out.number(made.worker.value);
  out.number(made.slots);
  out.number(made.memory_limit);
  out.text(made.host_identity);
  out.number(std::uint8_t{made.can_spill});
  return out.take();
}

std::vector<std::byte> encode_step(std::span<const scheduler::Event> events, Instant now,
                                   const scheduler::Actions& actions) {
  ByteWriter out = begin(Kind::scheduler_step);
  out.number(now.ns);
  put_all<SchedulerEventWriter>(events, out);
  out.blob(encode(actions));
  return out.take();
}

std::vector<std::byte> encode_step(PeerId worker, std::span<const worker::Event> events,
                                   Instant now, const worker::Actions& actions) {
  ByteWriter out = begin(Kind::worker_step);
  out.number(worker.value);
  out.number(now.ns);
  put_all<WorkerEventWriter>(events, out);
  out.blob(encode(actions));
  return out.take();
}

Decoded<LogRecord> decode_log_record(std::span<const std::byte> bytes) {
  Decoded<LogRecord> decoded;
  try {
    ByteReader in(bytes);
    decoded.message = get_record(in);
    require(in.is_at_end(), "bytes behind its end");
  } catch (const std::exception& error) {
    decoded.message.reset();
    decoded.error = std::string("unsound record: ") + error.what();
  }
  return decoded;
}

std::vector<std::byte> encode(const scheduler::Actions& actions) {
  ByteWriter out;
  put_all<SchedulerActionWriter>(actions, out);
  return out.take();
}

std::vector<std::byte> encode(const worker::Actions& actions) {
  ByteWriter out;
  put_all<WorkerActionWriter>(actions, out);
  return out.take();
}

}  // namespace ashlar::wire
