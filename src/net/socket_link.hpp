#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <deque>
#include <memory>

#include "net/frame_reader.hpp"
#include "net/link.hpp"
#include "net/link_poll.hpp"
#include "net/shared_ring.hpp"
#include "net/tls.hpp"

namespace ashlar::net {

/// A link on a non-blocking native socket, perhaps encrypted, and after share_memory() through a
/// ring: then a byte on the socket wakes the peer, and descriptors still travel there.
///
/// Its handlers hold it weakly, so dropping the last reference closes it, except after detach(),
/// when a timer keeps it until what is queued has been written and the peer has closed too.
class SocketLink final : public Link, private FrameSink, private PolledLink {
 public:
  SocketLink(boost::asio::io_context& io, int socket, const Limits& limits,
             std::unique_ptr<TlsStream> tls = {});
  ~SocketLink() override;

  void start(LinkEvents& events) override;
  void detach() override;
  void send(Frame frame) override;
  void flush() override;
  void trust() override { reader_.trust(); }
  bool is_newcomer() const override { return is_open_ && !reader_.is_trusted(); }
  void add_checksums() override { adds_checksums_ = !is_local_ && !tls_; }
  void share_memory() override;
  void close(const std::string& reason) override;
  bool is_spoiled() const override { return reader_.is_spoiled() || (tls_ && tls_->is_spoiled()); }
  std::string peer_name() const override { return peer_name_; }
  bool is_local() const override { return is_local_; }
  std::uint64_t queued_bytes() const override { return queued_bytes_; }
  std::uint64_t bytes_sent() const override { return bytes_sent_; }
  std::uint64_t bytes_received() const override { return bytes_received_; }
  SendingRate sending_rate() const override;

 private:
  struct Queued {
    std::array<std::byte, FrameHeader::bytes + FrameSums::bytes> head{};
    std::size_t head_bytes = FrameHeader::bytes;
    Frame frame;
    bool is_ring = false;    ///< the last that goes by the socket
    std::size_t summed = 0;  ///< of the payload, when it is to have a checksum
    std::array<std::byte, FrameSums::payload_sum_bytes> payload_sum{};

    bool has_payload_sum() const {
      return head_bytes > FrameHeader::bytes && !frame.payload.empty();
    }
    std::span<const std::byte> header() const { return std::span(head).first(head_bytes); }
    std::size_t bytes() const {
      return head_bytes + frame.control.size() + frame.payload.size() +
             (has_payload_sum() ? payload_sum.size() : 0);
    }
  };

  /// Calls a member function later, if the link still exists and is open.
  template <class Member>
  auto later(Member member);

  // FrameSink
  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                int descriptor) override;
  void on_payload(bool is_intact) override;
  std::string on_ring(std::uint64_t bytes, int descriptor) override;
  void fetch_descriptors() override { listen_for_bell(); }
  bool wants_more() const override { return is_open_ && events_ != nullptr; }

  // PolledLink
  bool poll() override;
  bool await() override;
  void look() override;
  void listen() override;

  enum class Read { full, partial, nothing };

  bool is_secured() const { return !tls_ || tls_->is_established(); }
  void begin_handshake();
  void miss_handshake();
  void arm_read();
  void socket_ready();
  void read_turn();
  Read read_once(std::size_t& bytes_left);
  Read read_ring(std::size_t& bytes_left);
  void hand_over(std::size_t count);
  void read_last_and_close(const std::string& reason);
  void discard_ready();
  long receive(std::array<std::span<std::byte>, 2> parts);

  bool is_ring_ready() const;
  bool uses_ring() const { return reads_ring_ || writes_ring_; }
  void send_switch(std::uint32_t magic, Descriptor descriptor);
  long listen_for_bell();
  void ring_turn();
  void await_or_go_on();
  long ring_bell(int descriptor = -1);
  long write_ring();

  bool has_to_write() const;
  void arm_write();
  void want_room();
  static Queued queued(const FrameHeader& header, Frame frame);
  long send_some();
  bool sum_up(Queued& queued, std::size_t written);
  void drop_written(std::size_t count);
  void fail_write(int error);

  void linger();
  void report_closed();
  void discard_queue();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer linger_timer_;
  boost::asio::steady_timer handshake_timer_;
  Limits limits_;
  FrameReader reader_;
  LinkPoll& poll_;
  std::unique_ptr<TlsStream> tls_;  ///< or none
  std::unique_ptr<SharedRing> ring_;
  LinkEvents* events_ = nullptr;
  std::string peer_name_;
  std::string closed_reason_;
  std::string write_problem_;
  bool is_local_ = false;
  bool is_open_ = false;
  bool is_started_ = false;
  bool is_detached_ = false;
  bool is_shut_ = false;        ///< detached, and nothing more will be written
  bool is_peer_done_ = false;   ///< detached, and nothing more will be read
  bool is_batch_open_ = false;  ///< frames were handed over since the last on_batch_end
  bool is_flush_due_ = false;
  bool is_read_armed_ = false;
  bool is_write_armed_ = false;
  bool is_writing_ = false;
  bool adds_checksums_ = false;
  bool is_sharing_wanted_ = false;  ///< once started
  bool reads_ring_ = false;         ///< no longer the socket
  bool writes_ring_ = false;        ///< likewise
  bool owes_bell_ = false;          ///< once it writes to the ring
  bool wants_room_ = false;         ///< the ring was full
  bool is_ring_turn_posted_ = false;

  std::deque<Queued> queue_;
  std::size_t written_of_front_ = 0;
  Checksum payload_sum_;  ///< of the first payload in the queue that is not summed up
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace ashlar::net
