// What tests need that play a peer of the data plane byte by byte.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "net/checksum.hpp"
#include "net/frame_reader.hpp"
#include "runtime/exchange.hpp"
#include "wire/codec.hpp"

namespace ashlar::runtime {

using Bytes = std::vector<std::byte>;

inline constexpr PeerId us{1};
inline constexpr PeerId them{2};
inline constexpr std::size_t datum_bytes = 300'000;

inline DatumId datum(std::uint32_t index) { return {{SessionId{1}, 1}, index}; }

inline Bytes content_of(const DatumId& id) {
  Bytes bytes(datum_bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(i * 7 + i / 256 + id.index);
  return bytes;
}

inline void append(Bytes& to, const void* from, std::size_t bytes) {
  const auto* first = static_cast<const std::byte*>(from);
  to.insert(to.end(), first, first + bytes);
}

inline Bytes summed_frame(const Bytes& control, const Bytes& payload) {
  const net::FrameHeader header{.magic = net::FrameHeader::magic_with_checksums,
                                .control_bytes = static_cast<std::uint32_t>(control.size()),
                                .payload_bytes = payload.size()};
  const auto sums = net::FrameSums::of(header, net::Checksum::of(control));
  Bytes frame;
  append(frame, header.encode().data(), net::FrameHeader::bytes);
  append(frame, &sums, net::FrameSums::bytes);
  append(frame, control.data(), control.size());
  append(frame, payload.data(), payload.size());
  const std::uint64_t sum = net::Checksum::of(payload);
  if (!payload.empty()) append(frame, &sum, sizeof sum);
  return frame;
}

/// Its header promises so many bytes of payload.
inline Bytes plain_frame(const Bytes& control, std::uint64_t payload_bytes) {
  net::FrameHeader header;
  header.control_bytes = static_cast<std::uint32_t>(control.size());
  header.payload_bytes = payload_bytes;
  Bytes frame;
  append(frame, header.encode().data(), net::FrameHeader::bytes);
  append(frame, control.data(), control.size());
  return frame;
}

/// One connection to the exchange, played byte by byte.
class Connection {
 public:
  /// `is_local`: frames have no checksums.
  explicit Connection(int socket, bool is_local = false) : socket_(socket), is_local_(is_local) {}

  /// As one that was connected to: takes the Hello and welcomes.
  protocol::Hello welcome() {
    auto hello = std::get<protocol::Hello>(wire::decode_handshake(receive()).message.value());
    protocol::Welcome welcome;
    welcome.peer = them;
    send(frame(wire::encode(wire::Handshake(welcome))));
    is_welcomed_ = true;
    return hello;
  }
  std::uint64_t take_request() {
    const auto message = wire::decode_peer(receive()).message.value();
    return std::get<protocol::Fetch>(message).requests.at(0);
  }

  void send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const long count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;  // the exchange has hung up, as some tests want
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  void send(const protocol::PeerMessage& message) { send(frame(wire::encode(message))); }

  void hang_up() { socket_ = {}; }
  bool is_hung_up_on() {
    std::byte some[4096];
    long count = 0;
    while ((count = ::recv(socket_.get(), some, sizeof some, 0)) > 0) {
    }
    return count == 0 || errno == ECONNRESET;
  }

 private:
  Bytes frame(const Bytes& control) const {
    return is_local_ ? plain_frame(control, 0) : summed_frame(control, {});
  }
  /// The control part of the next frame. Between hosts the first one has no checksums.
  Bytes receive() {
    Bytes head = receive(net::FrameHeader::bytes);
    const auto header = net::FrameHeader::decode(std::span(head).first<net::FrameHeader::bytes>());
    if (is_welcomed_ && !is_local_) receive(net::FrameSums::bytes);
    return receive(header.control_bytes);
  }
  Bytes receive(std::size_t count) {
    Bytes bytes(count);
    for (std::size_t done = 0; done < count;) {
      const long came = ::recv(socket_.get(), bytes.data() + done, count - done, 0);
      if (came <= 0) throw std::runtime_error("the exchange says nothing");
      done += static_cast<std::size_t>(came);
    }
    return bytes;
  }

  store::FileDescriptor socket_;
  bool is_local_;
  bool is_welcomed_ = false;
};

/// What the exchange says, for the thread of the test.
class Heard : public ExchangeEvents {
 public:
  void on_fetched(DatumId datum, std::uint64_t bytes, bool, bool) override {
    note("fetched " + std::to_string(datum.index) + ": " + std::to_string(bytes));
  }
  void on_fetch_failed(DatumId datum, PeerId peer, const std::string&) override {
    note("failed " + std::to_string(datum.index) + " at " + std::to_string(peer.value));
  }
  void on_asked(PeerId, std::uint64_t, DatumId, const protocol::Urgency&) override {
    note("asked");
  }
  void on_unasked(PeerId, std::uint64_t) override { note("unasked"); }
  void on_loans_wanted(PeerId) override { note("loans wanted"); }
  void on_pushed(DatumId, std::uint64_t, bool) override { note("pushed"); }

  /// The next event, or what says that none comes.
  std::string next() {
    std::unique_lock lock(mutex_);
    if (!has_come_.wait_for(lock, std::chrono::seconds(30), [&] { return !events_.empty(); })) {
      return "nothing";
    }
    std::string event = std::move(events_.front());
    events_.erase(events_.begin());
    return event;
  }

 private:
  void note(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    has_come_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable has_come_;
  std::vector<std::string> events_;
};

}  // namespace ashlar::runtime
