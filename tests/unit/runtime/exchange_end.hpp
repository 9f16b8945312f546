#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "runtime/exchange.hpp"

namespace ashlar::runtime {

/// An exchange as a process of another host has it; gives whatever it is asked for.
struct End : ExchangeEvents {
  End(Loop& loop, PeerId self, telemetry::Log& log, Exchange::Options options = {})
      : exchange(loop, arena, table, *this, log, at_loopback(std::move(options))) {
    exchange.set_self(self);
    loop.add_turn_hook([this] { return exchange.flush(), false; });
  }

  protocol::PeerInfo info() const {
    protocol::PeerInfo info{exchange.self(), "end", exchange.endpoint()};
    info.endpoint.host_identity = "elsewhere";
    return info;
  }

  void keep(const DatumId& id, std::span<const std::byte> content) {
    auto buffer = store::Buffer::allocate(arena, content.size());
    std::memcpy(buffer.writable().data(), content.data(), content.size());
    table.put(id, std::move(buffer));
  }
  bool has(const DatumId& id, std::span<const std::byte> content) const {
    const store::Buffer* buffer = table.find(id);
    return buffer != nullptr && buffer->size() == content.size() &&
           std::memcmp(buffer->bytes().data(), content.data(), content.size()) == 0;
  }

  void on_fetched(DatumId, std::uint64_t, bool, bool) override { ++fetched; }
  void on_fetch_failed(DatumId, PeerId, const std::string&) override { ++failed; }
  void on_asked(PeerId peer, std::uint64_t request, DatumId id,
                const protocol::Urgency& urgency) override {
    exchange.answer(peer, request, id, urgency);
  }
  void on_unasked(PeerId, std::uint64_t) override {}
  void on_loans_wanted(PeerId) override {}
  void on_pushed(DatumId, std::uint64_t, bool) override {}

  std::shared_ptr<store::Arena> arena = std::make_shared<store::Arena>(64 << 20);
  DataTable table;
  Exchange exchange;
  std::atomic<std::uint32_t> fetched = 0;
  std::atomic<std::uint32_t> failed = 0;

 private:
  static Exchange::Options at_loopback(Exchange::Options options) {
    options.listen_host = "127.0.0.1";
    return options;
  }
};

}  // namespace ashlar::runtime
