#pragma once

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>

#include "net/link.hpp"

namespace ashlar::net {

/// "tcp://host:port" (host may be an IPv6 address in brackets; port 0 means any free one),
/// "unix:/path" or "unix:@name" (abstract: vanishes with its process).
struct Address {
  enum class Kind { tcp, local } kind = Kind::tcp;
  std::string host;  ///< tcp: host; local: path, or @name
  std::uint16_t port = 0;

  /// Errors: BadInput, quoting the text and what was expected.
  static Address parse(const std::string& text);
  std::string to_string() const;
  /// 127.0.0.0/8, ::1, localhost, or a Unix socket.
  bool is_loopback() const;
};

/// Accepts links, encrypted ones when there is a `tls` and it is no Unix socket. Unix peers of
/// another user are turned away. A Unix socket file is removed with the listener; stale ones
/// (nobody listens) are replaced.
class Listener {
 public:
  /// Errors: Disconnected when the address is in use or cannot be had, naming it and a remedy.
  static std::unique_ptr<Listener> open(boost::asio::io_context& io, const Address& address,
                                        std::function<void(std::shared_ptr<Link>)> on_link,
                                        Limits limits = {}, std::shared_ptr<const Tls> tls = {});
  virtual ~Listener() = default;
  /// The address in use, with the real port.
  virtual Address address() const = 0;
};

/// Why there is no link.
struct NoLink {
  std::string reason;       ///< names the address; unless nobody listens, with a remedy
  bool is_refused = false;  ///< nobody listens there: what to start is for the caller to say
};

/// Connects; calls `done` once on the io_context with a link, or with nullptr and a reason. With a
/// `tls` the link is encrypted, unless it is a Unix socket; that this fails is said by the link.
void connect(boost::asio::io_context& io, const Address& address, int timeout_ms,
             std::function<void(std::shared_ptr<Link>, const NoLink&)> done, Limits limits = {},
             std::shared_ptr<const Tls> tls = {});

/// A name that two processes share exactly when they can share memory and abstract Unix
/// sockets: boot id, network namespace and user.
std::string host_identity();

}  // namespace ashlar::net
