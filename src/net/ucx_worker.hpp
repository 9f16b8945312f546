#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/link_poll.hpp"
#include "net/ucx_library.hpp"

namespace ashlar::net {

class UcxEndpoint;

/// Who acts outside of UCX's own callbacks on what came in them.
class UcxActor {
 public:
  virtual ~UcxActor() = default;
  virtual void act() = 0;
};

/// UCX for the links of an io_context, made when the first of them is. Whoever polls links lets UCX
/// go on with each look; nobody does while the process sleeps, and then a descriptor wakes it.
///
/// UCX's callbacks only note what happened. Everything else, and every call of others' code, comes
/// after them, in act() of those whom it concerns.
/// Threads: on the io_context's turn.
class UcxWorker : public boost::asio::execution_context::service, private PolledLink {
 public:
  using key_type = UcxWorker;
  static inline boost::asio::execution_context::id id;

  explicit UcxWorker(boost::asio::execution_context& context);
  /// Errors: Unsupported, saying why UCX does not start.
  static UcxWorker& of(boost::asio::io_context& io);
  /// The same for one that listens at this address of the host: when it is made for that, it uses
  /// only the network devices that ucx_devices_at() names, if UCX_NET_DEVICES does not name others.
  static UcxWorker& at(boost::asio::io_context& io, const boost::asio::ip::address& address);

  boost::asio::io_context& io() { return io_; }
  const UcxLibrary& ucx() const { return *ucx_; }
  ucp_worker_h get() const { return worker_; }

  /// An endpoint is known from when it is made until it is closed.
  void add(ucp_ep_h native, std::shared_ptr<UcxEndpoint> endpoint);
  void remove(ucp_ep_h native);
  /// Something waits for `actor` to act, soon.
  void act_later(std::weak_ptr<UcxActor> actor);
  /// UCX was given something: it has to go on before this process may sleep.
  void go_on_later();
  /// UCX reads or writes memory of ours for something more, or for something less.
  void count_unfinished(int change) { unfinished_ += change; }
  /// Keeps what must not die within a callback of UCX until after it.
  void bury(std::shared_ptr<const void> owner) { buried_.push_back(std::move(owner)); }
  /// Calls `flush` at the turn's end.
  void flush_later(std::function<void()> flush);

 private:
  static ucs_status_t on_message(void* worker, const void* header, std::size_t header_bytes,
                                 void* data, std::size_t bytes, const ucp_am_recv_param_t* param);

  void shutdown() override;
  void open(const std::string& devices);
  void open_worker();
  bool progress();
  bool act();
  bool arm();
  void wait();
  void turn();

  // PolledLink
  bool poll() override;
  bool await() override;
  void look() override {}
  void flush() override;
  void listen() override {}

  boost::asio::io_context& io_;
  LinkPoll& poll_;
  boost::asio::posix::stream_descriptor event_;
  const UcxLibrary* ucx_ = nullptr;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  std::map<ucp_ep_h, std::shared_ptr<UcxEndpoint>> endpoints_;
  std::vector<std::weak_ptr<UcxActor>> to_act_;
  std::vector<std::function<void()>> to_flush_;
  std::vector<std::shared_ptr<const void>> buried_;
  int unfinished_ = 0;
  bool is_waiting_ = false;  ///< for the descriptor
  bool has_news_ = false;    ///< so it says; it has not gone on since
  bool is_turn_posted_ = false;
};

}  // namespace ashlar::net
