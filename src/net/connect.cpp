#include <ashlar/error.hpp>

#include <sys/un.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstring>
#include <vector>

#include "net/address.hpp"
#include "net/socket.hpp"

namespace ashlar::net {

namespace {

using Tcp = boost::asio::ip::tcp;

/// A Unix listener whose queue is full is asked again after this long.
constexpr auto full_queue_rest = std::chrono::milliseconds(5);

constexpr const char* check_network =
    "; check the address, the network between the hosts and their firewalls";

/// One call of connect(): tries the addresses of a name in turn. Kept by its handlers.
class Connecting final : public std::enable_shared_from_this<Connecting> {
 public:
  using Done = std::function<void(std::shared_ptr<Link>, const NoLink&)>;

  Connecting(boost::asio::io_context& io, Address address, Done done, Limits limits,
             std::shared_ptr<const Tls> tls)
      : io_(io),
        socket_(io),
        resolver_(io),
        deadline_(io),
        rest_(io),
        address_(std::move(address)),
        done_(std::move(done)),
        limits_(limits),
        tls_(std::move(tls)) {}

  void start(int timeout_ms) {
    deadline_.expires_after(std::chrono::milliseconds(timeout_ms));
    deadline_.async_wait([self = shared_from_this(), timeout_ms](const auto& error) {
      if (error) return;
      self->fail("no answer within " + std::to_string(timeout_ms) + " ms" + self->remedy());
    });
    if (address_.kind == Address::Kind::local) return start_local();
    boost::system::error_code is_name;
    const auto numeric = boost::asio::ip::make_address(address_.host, is_name);
    if (!is_name) {
      add(Tcp::endpoint(numeric, address_.port));
      return try_next();
    }
    resolver_.async_resolve(address_.host, std::to_string(address_.port),
                            Tcp::resolver::numeric_service,
                            [self = shared_from_this()](const auto& error, const auto& found) {
                              self->resolved(error, found);
                            });
  }

 private:
  void start_local() {
    try {
      natives_.push_back(native_local_address(address_));
    } catch (const BadInput& error) {
      return finish(nullptr, {error.what()});
    }
    try_next();
  }

  void add(const Tcp::endpoint& endpoint) {
    NativeAddress& native = natives_.emplace_back();
    native.size = static_cast<socklen_t>(endpoint.size());
    std::memcpy(&native.storage, endpoint.data(), endpoint.size());
  }

  void resolved(const boost::system::error_code& error, const Tcp::resolver::results_type& found) {
    if (is_done_) return;
    if (error) {
      return fail("the name \"" + address_.host + "\" is not known: " + error.message() +
                  "; check its spelling, or give the host's IP address");
    }
    for (const auto& entry : found) add(entry.endpoint());
    try_next();
  }

  void try_next() {
    if (is_done_) return;
    if (tried_ == natives_.size()) return fail_last();
    const NativeAddress& native = natives_[tried_++];
    Descriptor socket = open_socket(native.storage.ss_family);
    if (!socket.is_open()) return failed_once(errno);
    const int outcome = ::connect(socket.get(), native.get(), native.size);
    const int error = outcome == 0 ? 0 : errno;
    if (error == EAGAIN) return try_again();
    if (error != 0 && error != EINPROGRESS) return failed_once(error);
    boost::system::error_code cannot_watch;
    socket_.assign(socket.get(), cannot_watch);
    if (cannot_watch) return failed_once(cannot_watch.value());
    socket.release();
    if (error == 0) return connected();
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                       [self = shared_from_this()](const auto&) {
                         if (!self->is_done_) self->connected();
                       });
  }

  void try_again() {
    --tried_;
    rest_.expires_after(full_queue_rest);
    rest_.async_wait([self = shared_from_this()](const auto& error) {
      if (!error) self->try_next();
    });
  }

  void failed_once(int error) {
    last_error_ = error;
    boost::asio::post(io_, [self = shared_from_this()] { self->try_next(); });
  }

  void connected() {
    Descriptor socket(socket_.release());
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0 && is_self_connected(socket.get())) error = ECONNREFUSED;
    if (error != 0) return failed_once(error);
    if (address_.kind == Address::Kind::local && !is_peer_of_same_user(socket.get()))
      return fail("it belongs to another user; use one of your own");
    finish(Link::adopt(io_, socket.release(), limits_, tls_.get(), Link::Side::connecting), {});
  }

  /// Connecting to a free port of the own host may meet oneself, when the system happens to
  /// choose that very port for this end.
  bool is_self_connected(int socket) const {
    if (address_.kind == Address::Kind::local) return false;
    NativeAddress here;
    NativeAddress there;
    here.size = there.size = sizeof here.storage;
    ::getsockname(socket, here.get(), &here.size);
    ::getpeername(socket, there.get(), &there.size);
    return here.size == there.size && std::memcmp(&here.storage, &there.storage, here.size) == 0;
  }

  void fail_last() {
    const bool is_refused = last_error_ == ECONNREFUSED || last_error_ == ENOENT;
    fail(error_text(last_error_) + (is_refused ? "" : remedy()), is_refused);
  }

  std::string remedy() const {
    return address_.kind == Address::Kind::local ? "; check the address" : check_network;
  }

  void fail(const std::string& why, bool is_refused = false) {
    finish(nullptr, {"cannot connect to " + address_.to_string() + ": " + why, is_refused});
  }

  void finish(std::shared_ptr<Link> link, NoLink why_not) {
    if (is_done_) return;
    is_done_ = true;
    boost::system::error_code ignored;
    socket_.close(ignored);
    resolver_.cancel();
    deadline_.cancel();
    rest_.cancel();
    boost::asio::post(io_, [done = std::move(done_), link = std::move(link),
                            why_not = std::move(why_not)] { done(link, why_not); });
  }

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor socket_;
  Tcp::resolver resolver_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer rest_;
  Address address_;
  Done done_;
  Limits limits_;
  std::shared_ptr<const Tls> tls_;
  std::vector<NativeAddress> natives_;
  std::size_t tried_ = 0;
  int last_error_ = EADDRNOTAVAIL;
  bool is_done_ = false;
};

}  // namespace

void connect(boost::asio::io_context& io, const Address& address, int timeout_ms,
             std::function<void(std::shared_ptr<Link>, const NoLink&)> done, Limits limits,
             std::shared_ptr<const Tls> tls) {
  std::make_shared<Connecting>(io, address, std::move(done), limits, std::move(tls))
      ->start(timeout_ms);
}

}  // namespace ashlar::net
