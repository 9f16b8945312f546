#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "net/address.hpp"
#include "net/link.hpp"
#include "runtime/loop.hpp"
#include "wire/codec.hpp"

namespace ashlar::runtime {

/// One end of a link to the scheduler: says Hello and keeps the answer.
class Newcomer : public net::LinkEvents {
 public:
  Newcomer(Loop& loop, const net::Address& scheduler, const protocol::Hello& hello) {
    net::connect(loop.io(), scheduler, 10'000,
                 [this, hello](std::shared_ptr<net::Link> link, const net::NoLink& why_not) {
                   if (!link) {
                     closed = "not connected: " + why_not.reason;
                     return;
                   }
                   link_ = std::move(link);
                   link_->start(*this);
                   link_->send({wire::encode(wire::Handshake(hello)), {}, {}, -1});
                   link_->flush();
                 });
  }
  ~Newcomer() override {
    if (link_) link_->detach();
  }

  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t, int) override {
    if (!answer) answer = wire::decode_handshake(control).message;
    return {};
  }
  void on_payload(bool) override {}
  void on_batch_end() override {}
  void on_closed(const std::string& reason) override { closed = reason; }

  std::optional<wire::Handshake> answer;
  std::string closed;  ///< why; empty: not closed

 private:
  std::shared_ptr<net::Link> link_;
};

}  // namespace ashlar::runtime
