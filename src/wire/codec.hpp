#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "protocol/peer_messages.hpp"

/// Protocol structs to bytes and back (Cap'n Proto, schema in messages.capnp). Decoding refuses
/// bad bytes: it never throws, never reads outside, and allocates in proportion to its input.
namespace ashlar::wire {

using Handshake = std::variant<protocol::Hello, protocol::Welcome, protocol::Refusal>;

std::vector<std::byte> encode(const Handshake& message);
std::vector<std::byte> encode(const protocol::DriverToScheduler& message);
std::vector<std::byte> encode(const protocol::SchedulerToDriver& message);
std::vector<std::byte> encode(const protocol::SchedulerToWorker& message);
std::vector<std::byte> encode(const protocol::WorkerToScheduler& message);
std::vector<std::byte> encode(const protocol::PeerMessage& message);

/// A message, or why the bytes are not one.
template <class Message>
struct Decoded {
  std::optional<Message> message;
  std::string error;
};

Decoded<Handshake> decode_handshake(std::span<const std::byte> bytes);
/// A graph in the message is validated; `session` completes ids, which travel without it.
Decoded<protocol::DriverToScheduler> decode_driver_to_scheduler(std::span<const std::byte> bytes,
                                                                SessionId session);
Decoded<protocol::SchedulerToDriver> decode_scheduler_to_driver(std::span<const std::byte> bytes);
Decoded<protocol::SchedulerToWorker> decode_scheduler_to_worker(std::span<const std::byte> bytes);
Decoded<protocol::WorkerToScheduler> decode_worker_to_scheduler(std::span<const std::byte> bytes);
Decoded<protocol::PeerMessage> decode_peer(std::span<const std::byte> bytes);

}  // namespace ashlar::wire
