#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "net/frame_reader.hpp"
#include "net/link.hpp"
#include "net/ucx_endpoint.hpp"

namespace ashlar::net {

/// A link by UCX. Its frames are the same stream of bytes as on a socket, cut into stream messages;
/// only payloads of 64 KiB and more go in bulk messages between, which UCX moves from where they
/// lie to where they belong.
class UcxLink final : public Link, private FrameSink, private UcxEndpoint::User {
 public:
  UcxLink(std::shared_ptr<UcxEndpoint> endpoint, const Limits& limits);
  ~UcxLink() override;

  void start(LinkEvents& events) override;
  void detach() override;
  void send(Frame frame) override;
  void flush() override;
  void trust() override { reader_.trust(); }
  bool is_newcomer() const override { return is_open_ && !reader_.is_trusted(); }
  bool is_spoiled() const override { return reader_.is_spoiled(); }
  void add_checksums() override { adds_checksums_ = true; }
  void share_memory() override {}
  void close(const std::string& reason) override;
  std::string peer_name() const override { return endpoint_->peer_name(); }
  bool is_local() const override { return false; }
  std::uint64_t queued_bytes() const override { return queued_bytes_; }
  std::uint64_t bytes_sent() const override { return bytes_sent_; }
  std::uint64_t bytes_received() const override { return bytes_received_; }
  SendingRate sending_rate() const override { return rate_; }

 private:
  /// A frame on its way out: its stream bytes, or those after its payload, then the rest.
  struct Queued {
    Frame frame;
    std::array<std::byte, FrameHeader::bytes + FrameSums::bytes> head{};
    std::array<std::byte, FrameSums::payload_sum_bytes> payload_sum{};
    std::size_t head_bytes = FrameHeader::bytes;
    std::size_t taken = 0;      ///< of the stream bytes
    std::size_t bulk_sent = 0;  ///< of the payload

    bool has_payload_sum() const;
    bool is_bulk() const;
    std::size_t bytes() const;
    std::size_t bytes_before_bulk() const;
    void take(std::vector<std::byte>& chunk, std::size_t chunk_max);
  };

  // FrameSink
  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                int descriptor) override;
  void on_payload(bool is_intact) override;
  std::string on_ring(std::uint64_t bytes, int descriptor) override;
  bool wants_more() const override { return is_open_ && events_ != nullptr; }

  // UcxEndpoint::User
  void on_greeting() override {}
  void on_stream(std::span<const std::byte> bytes) override;
  UcxEndpoint::Place on_bulk_announced(std::uint64_t bytes) override;
  void on_bulk(std::uint64_t bytes) override;
  void on_batch_end() override;
  void on_sent(std::uint64_t bulk_bytes) override;
  void on_end(const std::string& reason) override;

  Queued queued(Frame frame) const;
  void hand_over(std::size_t bytes);
  void send_stream();
  void send_bulk(Queued& front);
  void measure(std::uint64_t bulk_bytes);
  void linger();
  void report_closed();
  void discard_queue();

  boost::asio::io_context& io_;
  std::shared_ptr<UcxEndpoint> endpoint_;
  boost::asio::steady_timer linger_timer_;
  Limits limits_;
  FrameReader reader_;
  LinkEvents* events_ = nullptr;
  std::string closed_reason_;
  bool is_open_ = true;
  bool is_started_ = false;
  bool is_detached_ = false;
  bool is_batch_open_ = false;
  bool is_flush_due_ = false;
  bool is_writing_ = false;
  bool adds_checksums_ = false;

  std::deque<Queued> queue_;
  Checksum payload_sum_;  ///< of what was sent of the first payload in the queue
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;

  std::shared_ptr<const void> payload_owner_;
  /// Where messages are received of a payload whose place nobody keeps; copied from there.
  std::deque<std::shared_ptr<std::vector<std::byte>>> stand_ins_;
  std::uint64_t announced_ = 0;  ///< of the payload, in bulk messages that are not complete

  SendingRate rate_;
  std::uint64_t bulk_bytes_due_ = 0;  ///< handed to UCX, not with the peer yet
  std::uint64_t measured_bytes_ = 0;
  double measured_seconds_ = 0;
  std::chrono::steady_clock::time_point measured_since_;
};

}  // namespace ashlar::net
