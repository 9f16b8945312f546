#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/scheduler_engine.hpp"
#include "wire/codec.hpp"
#include "worker/worker_engine.hpp"

/// What engines were told and what they did, as bytes: the log from which a run can be replayed.
/// Messages lie in it as on the wire, but for the token of a Hello, which is left out.
namespace ashlar::wire {

/// What an engine was made with. Limits that are not here are the defaults.
struct SchedulerMade {
  scheduler::PolicyKind policy = scheduler::PolicyKind::least_loaded;
  std::uint64_t seed = 1;
  Duration no_worker_wait = scheduler::Limits{}.no_worker_wait;
  Duration growth_wait = scheduler::Limits{}.growth_wait;
};
struct WorkerMade {
  PeerId worker;
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  std::string host_identity;
  bool can_spill = false;
};

/// One step of an engine: what happened when, and what it did, encoded.
struct SchedulerStep {
  Instant now;
  std::vector<scheduler::Event> events;
  std::vector<std::byte> actions;
};
struct WorkerStep {
  PeerId worker;
  Instant now;
  std::vector<worker::Event> events;
  std::vector<std::byte> actions;
};

using LogRecord = std::variant<SchedulerMade, WorkerMade, SchedulerStep, WorkerStep>;

std::vector<std::byte> encode(const SchedulerMade& made);
std::vector<std::byte> encode(const WorkerMade& made);
std::vector<std::byte> encode_step(std::span<const scheduler::Event> events, Instant now,
                                   const scheduler::Actions& actions);
std::vector<std::byte> encode_step(PeerId worker, std::span<const worker::Event> events,
                                   Instant now, const worker::Actions& actions);
/// A record, or why the bytes are none.
Decoded<LogRecord> decode_log_record(std::span<const std::byte> bytes);

/// Equal actions have equal bytes, others others.
std::vector<std::byte> encode(const scheduler::Actions& actions);
std::vector<std::byte> encode(const worker::Actions& actions);

}  // namespace ashlar::wire
