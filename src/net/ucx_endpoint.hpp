#pragma once

#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "net/ucx_worker.hpp"

namespace ashlar::net {

/// The header of each active message.
struct UcxHead {
  static constexpr unsigned message_id = 1;
  static constexpr std::uint32_t magic_value = 0x55485341;  // "ASHU"
  enum Kind : std::uint32_t {
    greeting,  ///< of the side that accepted, its first
    stream,    ///< part of the stream of frames
    bulk,      ///< part of a payload, received where it belongs
    end,       ///< the last
  };

  std::uint32_t magic = magic_value;
  std::uint32_t kind = stream;
  std::uint64_t sequence = 0;  ///< of the message on its endpoint and way
};
static_assert(sizeof(UcxHead) == 16);

/// Both ways of messages between two processes, each in order whatever UCX makes of them: it counts
/// them, and hands over the next one only when those before it are complete.
///
/// It outlives whoever uses it until both sides have said that they are done, or five seconds, and
/// until UCX lets go of the memory that it was given.
/// Threads: on the io_context's turn.
class UcxEndpoint final : public UcxActor, public std::enable_shared_from_this<UcxEndpoint> {
 public:
  /// Where a bulk message goes. `owner` keeps the place until UCX is done with it.
  struct Place {
    std::span<std::byte> bytes;
    std::shared_ptr<const void> owner;
  };

  /// Who gets what arrives. May leave within each call.
  class User {
   public:
    virtual ~User() = default;
    virtual void on_greeting() = 0;
    virtual void on_stream(std::span<const std::byte> bytes) = 0;
    /// Of exactly so many bytes; anything else refuses, and the user has left then. Asked before
    /// earlier bulk messages are complete.
    virtual Place on_bulk_announced(std::uint64_t bytes) = 0;
    /// The first of those announced is complete.
    virtual void on_bulk(std::uint64_t bytes) = 0;
    /// What could be handed over has been.
    virtual void on_batch_end() = 0;
    /// Bulk bytes that the peer has now; there may be room for more messages.
    virtual void on_sent(std::uint64_t bulk_bytes) = 0;
    /// Nothing comes any more; why not, for people.
    virtual void on_end(const std::string& reason) = 0;
  };

  static constexpr std::size_t stream_bytes_max = 64 << 10;  ///< of a message
  static constexpr std::size_t bulk_bytes_max = 1 << 20;     ///< likewise

  /// Errors: Disconnected, when UCX refuses at once.
  static std::shared_ptr<UcxEndpoint> connect(UcxWorker& worker, const sockaddr* address,
                                              std::size_t address_bytes, std::string peer_name);
  static std::shared_ptr<UcxEndpoint> accept(UcxWorker& worker, ucp_conn_request_h request,
                                             std::string peer_name);

  UcxEndpoint(UcxWorker& worker, std::string peer_name);

  UcxWorker& worker() { return worker_; }
  ucp_ep_h native() const { return native_; }
  const std::string& peer_name() const { return peer_name_; }

  /// Whoever uses it from now on. What arrives waits until it reads.
  void attach(User& user);
  void read();
  /// Nobody listens any more. What was sent still arrives.
  void leave();
  /// At once, whatever is on its way.
  void cut_off();

  /// False: what is on its way is enough for now.
  bool has_room() const;
  void send_stream(std::vector<std::byte> bytes);
  /// `bytes` must not change while `owner` lives.
  void send_bulk(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

  void act() override;

  // For the worker's callback.
  struct Message {
    void* data = nullptr;  ///< null: nothing to let go of
    std::size_t bytes = 0;
    bool is_announced = false;  ///< data stand for what is to be received
    std::uint32_t kind = 0;
  };
  /// Returns whether the data are kept.
  bool on_message(std::span<const std::byte> header, Message message);

 private:
  struct Sending;
  struct Receiving;

  void open(ucp_ep_params_t& params);
  void send(UcxHead::Kind kind, std::span<const std::byte> bytes, std::vector<std::byte> owned,
            std::shared_ptr<const void> owner);
  static void on_sent(void* request, ucs_status_t status, void* sending);
  static void on_received(void* request, ucs_status_t status, std::size_t bytes, void* receiving);
  void sent(const Sending& sending, ucs_status_t status);
  bool take_received();
  bool take_next();
  void take(Message message);
  void take_bulk(Message message);
  static std::uint64_t waiting(const Message& message);
  void release(const Message& message);
  void fail(const std::string& reason);
  void tell_of_end();
  void end_soon();
  void close();
  void act_later() { worker_.act_later(weak_from_this()); }

  UcxWorker& worker_;
  std::string peer_name_;
  boost::asio::steady_timer patience_;  ///< once nobody listens
  ucp_ep_h native_ = nullptr;
  User* user_ = nullptr;
  std::string failure_;
  bool is_reading_ = false;
  bool has_left_ = false;
  bool is_end_sent_ = false;
  bool is_end_here_ = false;
  bool is_end_told_ = false;

  std::uint64_t sequence_ = 0;  ///< of the next message to send
  int streams_sending_ = 0;
  std::size_t bulk_sending_ = 0;
  std::uint64_t stream_bytes_sending_ = 0;
  std::uint64_t stream_bytes_behind_ = 0;  ///< sent while bulk messages were on their way
  std::uint64_t bulk_bytes_sent_ = 0;      ///< not told of yet
  bool has_sent_ = false;                  ///< likewise

  std::map<std::uint64_t, Message> arrived_;  ///< by sequence
  std::uint64_t next_ = 0;                    ///< the sequence to hand over next
  std::uint64_t waiting_bytes_ = 0;           ///< what has arrived counts for
  std::deque<std::shared_ptr<Receiving>> receiving_;
};

}  // namespace ashlar::net
