#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>

#include <vector>

namespace ashlar::net {

/// What a link offers to those who poll.
class PolledLink {
 public:
  virtual ~PolledLink() = default;
  /// Does what there is to do in memory shared with the peer, or in a device's; costs a few loads
  /// when there is nothing. Returns whether there was something.
  virtual bool poll() = 0;
  /// From now on the peer wakes this process; true when there is something to do already.
  virtual bool await() = 0;
  /// From now on somebody calls poll().
  virtual void look() = 0;
  virtual void flush() = 0;
  /// Takes note of what arrived on the socket beside the shared memory.
  virtual void listen() = 0;
};

/// The links of an io_context, for those who poll before they sleep: look(), then poll() and
/// flush() again and again, listen() now and then, and await() before sleeping. That saves system
/// calls, of the peers as well, who need not wake anybody. Who knows nothing of this just runs the
/// context.
/// Threads: on the io_context's turn.
class LinkPoll : public boost::asio::execution_context::service {
 public:
  using key_type = LinkPoll;
  static inline boost::asio::execution_context::id id;

  explicit LinkPoll(boost::asio::execution_context& context) : service(context) {}
  static LinkPoll& of(boost::asio::io_context& io) {
    return boost::asio::use_service<LinkPoll>(io);
  }

  /// Lets every link act. Returns whether one had something to do.
  bool poll();
  /// Flushes the links that asked for it.
  void flush();
  /// Whose socket became readable listens. A closed one is noticed then.
  void listen();
  /// Returns whether a link is ready: then there is no reason to sleep.
  bool await();
  void look();
  /// Somebody called look() once, and goes on as above.
  bool has_poller() const { return has_poller_; }

  // For links.
  void add(PolledLink& link) { links_.push_back(&link); }
  /// For links of a context that has a poller.
  void flush_later(PolledLink& link) { to_flush_.push_back(&link); }
  void listen_later(PolledLink& link) { to_listen_.push_back(&link); }
  /// Of a link that goes; also from inside poll() and flush().
  void remove(PolledLink& link);

 private:
  void shutdown() override;

  std::vector<PolledLink*> links_;                 ///< null: removed
  std::vector<PolledLink*> to_flush_, to_listen_;  ///< likewise
  bool is_looking_ = false;
  bool has_poller_ = false;
  bool is_iterating_ = false;
};

}  // namespace ashlar::net
