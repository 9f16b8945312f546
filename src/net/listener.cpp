#include <ashlar/error.hpp>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstring>
#include <vector>

#include "net/address.hpp"
#include "net/newcomers.hpp"
#include "net/socket.hpp"

namespace ashlar::net {

namespace {

/// After a failure that is the process's own (no descriptors left), accepting rests this long.
constexpr auto accept_rest = std::chrono::milliseconds(100);
/// While there are too many newcomers, this long.
constexpr auto crowded_rest = std::chrono::milliseconds(10);
constexpr int accepted_per_turn_max = 64;

[[noreturn]] void refuse(const Address& address, int error) {
  std::string remedy;
  struct stat file {};
  const bool is_local = address.kind != Address::Kind::tcp;
  if (is_local && ::lstat(address.host.c_str(), &file) == 0 && !S_ISSOCK(file.st_mode)) {
    throw Disconnected("cannot listen on " + address.to_string() +
                       ": there is a file of that name; choose another name");
  }
  if (error == EADDRINUSE)
    remedy = address.kind == Address::Kind::tcp
                 ? "; stop who uses it, or choose another port (0: any free one)"
                 : "; stop who uses it, or choose another name";
  if (error == EADDRNOTAVAIL) remedy = "; choose an address that this host has";
  if (error == EACCES)
    remedy = address.kind == Address::Kind::tcp ? "; choose a port above 1023"
                                                : "; choose a folder you may write to";
  if (error == ENOENT) remedy = "; make its folder first";
  throw Disconnected("cannot listen on " + address.to_string() + ": " + error_text(error) + remedy);
}

std::vector<NativeAddress> resolve_here(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int problem =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (problem != 0)
    throw Disconnected("cannot listen on " + address.to_string() + ": " + ::gai_strerror(problem) +
                       "; expected a name or address of this host");
  std::vector<NativeAddress> natives;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    NativeAddress& native = natives.emplace_back();
    native.size = each->ai_addrlen;
    std::memcpy(&native.storage, each->ai_addr, each->ai_addrlen);
  }
  ::freeaddrinfo(found);
  return natives;
}

Descriptor listen_tcp(Address& address) {
  int error = EADDRNOTAVAIL;
  for (const NativeAddress& native : resolve_here(address)) {
    Descriptor socket = open_socket(native.storage.ss_family);
    const int on = 1;
    // Only lets a restart pass connections that linger; two listeners still collide.
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (socket.is_open() && ::bind(socket.get(), native.get(), native.size) == 0 &&
        ::listen(socket.get(), SOMAXCONN) == 0) {
      NativeAddress real;
      real.size = sizeof real.storage;
      ::getsockname(socket.get(), real.get(), &real.size);
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&real.storage);
      address.port = ntohs(v4->sin_port);  // lies at the same place in sockaddr_in6
      return socket;
    }
    error = errno;
  }
  refuse(address, error);
}

/// A socket file that nobody listens on, left by a process that was killed.
bool is_stale(const NativeAddress& native) {
  const Descriptor probe = open_socket(AF_UNIX);
  return ::connect(probe.get(), native.get(), native.size) != 0 && errno == ECONNREFUSED;
}

Descriptor listen_local(const Address& address) {
  const NativeAddress native = native_local_address(address);
  Descriptor socket = open_socket(AF_UNIX);
  int outcome = ::bind(socket.get(), native.get(), native.size);
  if (outcome != 0 && errno == EADDRINUSE) {
    struct stat file {};
    const bool is_file = !address.host.starts_with('@');
    if (is_file && ::lstat(address.host.c_str(), &file) == 0 && S_ISSOCK(file.st_mode) &&
        is_stale(native)) {
      ::unlink(address.host.c_str());
      outcome = ::bind(socket.get(), native.get(), native.size);
    } else {
      errno = EADDRINUSE;
    }
  }
  if (outcome != 0 || ::listen(socket.get(), SOMAXCONN) != 0) refuse(address, errno);
  return socket;
}

/// Shared with its handlers, so that the callback may destroy the listener.
class SocketListener final : public std::enable_shared_from_this<SocketListener> {
 public:
  SocketListener(boost::asio::io_context& io, Address address,
                 std::function<void(std::shared_ptr<Link>)> on_link, Limits limits,
                 std::shared_ptr<const Tls> tls)
      : io_(io),
        socket_(io),
        rest_(io),
        address_(std::move(address)),
        on_link_(std::move(on_link)),
        limits_(limits),
        tls_(std::move(tls)),
        newcomers_(limits) {}

  ~SocketListener() {
    struct stat now {};
    if (file_.st_ino != 0 && ::lstat(address_.host.c_str(), &now) == 0 &&
        now.st_ino == file_.st_ino && now.st_dev == file_.st_dev)
      ::unlink(address_.host.c_str());
  }

  void open() {
    const bool is_local = address_.kind == Address::Kind::local;
    Descriptor socket = is_local ? listen_local(address_) : listen_tcp(address_);
    if (is_local && !address_.host.starts_with('@')) ::lstat(address_.host.c_str(), &file_);
    boost::system::error_code error;
    socket_.assign(socket.get(), error);
    if (error) refuse(address_, error.value());
    socket.release();
    wait();
  }

  /// No links any more.
  void stop() {
    is_stopped_ = true;
    boost::system::error_code ignored;
    socket_.close(ignored);
    rest_.cancel();
  }

  const Address& address() const { return address_; }

 private:
  void wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [weak = weak_from_this()](const boost::system::error_code& error) {
                         const auto listener = weak.lock();
                         if (listener && !error && !listener->is_stopped_) listener->accept();
                       });
  }

  void accept() {
    for (int i = 0; i < accepted_per_turn_max && !is_stopped_; ++i) {
      if (!newcomers_.has_room()) return rest_then_wait(crowded_rest);
      Descriptor peer(
          ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!peer.is_open()) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) break;
        if (errno == EINTR || errno == ECONNABORTED) continue;
        return rest_then_wait(accept_rest);
      }
      if (address_.kind == Address::Kind::local && !is_peer_of_same_user(peer.get())) continue;
      const auto link =
          Link::adopt(io_, peer.release(), limits_, tls_.get(), Link::Side::accepting);
      newcomers_.add(link);
      on_link_(link);
    }
    if (!is_stopped_) wait();
  }

  void rest_then_wait(std::chrono::milliseconds rest) {
    rest_.expires_after(rest);
    rest_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto listener = weak.lock();
      if (listener && !error && !listener->is_stopped_) listener->wait();
    });
  }

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer rest_;
  Address address_;
  std::function<void(std::shared_ptr<Link>)> on_link_;
  Limits limits_;
  std::shared_ptr<const Tls> tls_;
  Newcomers newcomers_;
  struct stat file_ {};  ///< the socket file made here
  bool is_stopped_ = false;
};

class ListenerHandle final : public Listener {
 public:
  explicit ListenerHandle(std::shared_ptr<SocketListener> listener)
      : listener_(std::move(listener)) {}
  ~ListenerHandle() override { listener_->stop(); }
  Address address() const override { return listener_->address(); }

 private:
  std::shared_ptr<SocketListener> listener_;
};

}  // namespace

std::unique_ptr<Listener> Listener::open(boost::asio::io_context& io, const Address& address,
                                         std::function<void(std::shared_ptr<Link>)> on_link,
                                         Limits limits, std::shared_ptr<const Tls> tls) {
  auto listener =
      std::make_shared<SocketListener>(io, address, std::move(on_link), limits, std::move(tls));
  listener->open();
  return std::make_unique<ListenerHandle>(std::move(listener));
}

}  // namespace ashlar::net
