#include "net/ucx.hpp"

#include <ashlar/error.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "net/newcomers.hpp"
#include "net/socket.hpp"
#include "net/ucx_link.hpp"
#include "net/ucx_worker.hpp"

namespace ashlar::net {

namespace {

using Tcp = boost::asio::ip::tcp;

constexpr std::string_view scheme = "ucx://";
constexpr std::size_t requests_max = 1024;  ///< waiting to be accepted in one turn

std::string text_of(const sockaddr_storage& storage) {
  NativeAddress native;
  native.storage = storage;
  const std::string tcp = tcp_text(native);
  return tcp.empty() ? "ucx peer" : std::string(scheme) + tcp.substr(std::strlen("tcp://"));
}

Tcp::endpoint parse(const std::string& text) {
  boost::system::error_code error;
  if (text.starts_with(scheme)) {
    const Address address = Address::parse("tcp://" + text.substr(scheme.size()));
    const auto host = boost::asio::ip::make_address(address.host, error);
    if (!error) return {host, address.port};
  }
  throw BadInput("\"" + text +
                 "\" is not an address of UCX: expected ucx://host:port, with the "
                 "host's IP address");
}

[[noreturn]] void refuse(const Address& wanted, const std::string& why) {
  throw Disconnected("cannot listen by UCX on " + wanted.to_string() + ": " + why +
                     "; choose an address of this host whose network UCX knows (UCX_NET_DEVICES)");
}

/// Shared with those who call it back, so that the callback may destroy the listener.
class UcxListener final : public UcxActor, public std::enable_shared_from_this<UcxListener> {
 public:
  UcxListener(UcxWorker& worker, std::function<void(std::shared_ptr<Link>)> on_link, Limits limits)
      : worker_(worker), on_link_(std::move(on_link)), limits_(limits), newcomers_(limits) {}

  void open(const Address& wanted, const Tcp::endpoint& endpoint) {
    ucp_listener_params_t params{};
    params.field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR | UCP_LISTENER_PARAM_FIELD_CONN_HANDLER;
    params.sockaddr.addr = endpoint.data();
    params.sockaddr.addrlen = static_cast<socklen_t>(endpoint.size());
    params.conn_handler.arg = this;
    params.conn_handler.cb = [](ucp_conn_request_h request, void* self) {
      static_cast<UcxListener*>(self)->asked(request);
    };
    const UcxLibrary& ucx = worker_.ucx();
    auto status = ucx.listener_create(worker_.get(), &params, &native_);
    if (status != UCS_OK) refuse(wanted, ucx.status_string(status));
    ucp_listener_attr_t attributes{};
    attributes.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR;
    status = ucx.listener_query(native_, &attributes);
    if (status != UCS_OK) {
      stop();
      refuse(wanted, ucx.status_string(status));
    }
    address_ = Address::parse("tcp://" + text_of(attributes.sockaddr).substr(scheme.size()));
    worker_.go_on_later();
  }

  /// No links any more.
  void stop() {
    is_stopped_ = true;
    if (native_ == nullptr || worker_.get() == nullptr) return;
    for (const auto request : std::exchange(requests_, {}))
      worker_.ucx().listener_reject(native_, request);
    worker_.ucx().listener_destroy(std::exchange(native_, nullptr));
  }

  void act() override {
    while (!requests_.empty() && !is_stopped_) {  // accept() may lead to stop()
      const auto request = requests_.front();
      requests_.erase(requests_.begin());
      accept(request);
    }
  }

  const Address& address() const { return address_; }

 private:
  /// In a callback of UCX.
  void asked(ucp_conn_request_h request) {
    if (requests_.size() == requests_max)
      return void(worker_.ucx().listener_reject(native_, request));
    requests_.push_back(request);
    worker_.act_later(weak_from_this());
  }

  void accept(ucp_conn_request_h request) {
    // Who is rejected comes by TCP.
    if (!newcomers_.has_room()) return void(worker_.ucx().listener_reject(native_, request));
    ucp_conn_request_attr_t attributes{};
    attributes.field_mask = UCP_CONN_REQUEST_ATTR_FIELD_CLIENT_ADDR;
    const auto status = worker_.ucx().conn_request_query(request, &attributes);
    const std::string peer = status == UCS_OK ? text_of(attributes.client_address) : "ucx peer";
    try {
      const auto link =
          std::make_shared<UcxLink>(UcxEndpoint::accept(worker_, request, peer), limits_);
      newcomers_.add(link);
      on_link_(link);
    } catch (const Disconnected&) {
      // It went away again; or this process is short of something, which the peer will notice.
    }
  }

  UcxWorker& worker_;
  std::function<void(std::shared_ptr<Link>)> on_link_;
  Limits limits_;
  Newcomers newcomers_;
  ucp_listener_h native_ = nullptr;
  Address address_;
  std::vector<ucp_conn_request_h> requests_;
  bool is_stopped_ = false;
};

class UcxListenerHandle final : public Listener {
 public:
  explicit UcxListenerHandle(std::shared_ptr<UcxListener> listener)
      : listener_(std::move(listener)) {}
  ~UcxListenerHandle() override { listener_->stop(); }
  Address address() const override { return listener_->address(); }

 private:
  std::shared_ptr<UcxListener> listener_;
};

/// One call of connect_by_ucx(), which waits for the peer's greeting. Kept by its timer.
class UcxConnecting final : public std::enable_shared_from_this<UcxConnecting>,
                            private UcxEndpoint::User {
 public:
  using Done = std::function<void(std::shared_ptr<Link>, const NoLink&)>;

  UcxConnecting(boost::asio::io_context& io, std::string text, Done done, Limits limits)
      : io_(io), deadline_(io), text_(std::move(text)), done_(std::move(done)), limits_(limits) {}

  void start(const Tcp::endpoint& address, int timeout_ms) {
    deadline_.expires_after(std::chrono::milliseconds(timeout_ms));
    deadline_.async_wait([self = shared_from_this(), timeout_ms](const auto& error) {
      if (!error) self->fail("no answer within " + std::to_string(timeout_ms) + " ms");
    });
    try {
      endpoint_ = UcxEndpoint::connect(UcxWorker::of(io_), address.data(), address.size(), text_);
      endpoint_->attach(*this);
      endpoint_->read();
    } catch (const Disconnected& error) {
      fail(error.what());
    }
  }

 private:
  void on_greeting() override {
    finish(std::make_shared<UcxLink>(std::exchange(endpoint_, nullptr), limits_), {});
  }
  void on_stream(std::span<const std::byte>) override { fail("another program is there"); }
  UcxEndpoint::Place on_bulk_announced(std::uint64_t) override {
    fail("another program is there");
    return {};
  }
  void on_bulk(std::uint64_t) override {}
  void on_batch_end() override {}
  void on_sent(std::uint64_t) override {}
  void on_end(const std::string& reason) override { fail(reason); }

  void fail(const std::string& why) {
    finish(nullptr, {"cannot connect to " + text_ + ": " + why +
                     "; check the network between the hosts, their firewalls, and that UCX on both "
                     "knows a way (UCX_TLS, UCX_NET_DEVICES)"});
  }

  void finish(std::shared_ptr<Link> link, NoLink why_not) {
    if (!done_) return;
    if (endpoint_) endpoint_->leave();
    deadline_.cancel();
    boost::asio::post(io_, [done = std::exchange(done_, nullptr), link = std::move(link),
                            why_not = std::move(why_not)] { done(link, why_not); });
  }

  boost::asio::io_context& io_;
  boost::asio::steady_timer deadline_;
  std::string text_;
  Done done_;
  Limits limits_;
  std::shared_ptr<UcxEndpoint> endpoint_;
};

}  // namespace

void need_ucx() { UcxLibrary::get(); }

std::unique_ptr<Listener> listen_by_ucx(boost::asio::io_context& io, const Address& address,
                                        std::function<void(std::shared_ptr<Link>)> on_link,
                                        Limits limits) {
  boost::system::error_code error;
  Tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(address.host, std::to_string(address.port), Tcp::resolver::passive, error);
  if (error || found.empty()) refuse(address, error.message());
  const Tcp::endpoint endpoint = found.begin()->endpoint();
  auto listener = std::make_shared<UcxListener>(UcxWorker::at(io, endpoint.address()),
                                                std::move(on_link), limits);
  listener->open(address, endpoint);
  return std::make_unique<UcxListenerHandle>(std::move(listener));
}

void connect_by_ucx(boost::asio::io_context& io, const std::string& address, int timeout_ms,
                    std::function<void(std::shared_ptr<Link>, const NoLink&)> done, Limits limits) {
  const Tcp::endpoint endpoint = parse(address);
  UcxWorker::of(io);
  std::make_shared<UcxConnecting>(io, address, std::move(done), limits)
      ->start(endpoint, timeout_ms);
}

std::string ucx_text(const Address& address) {
  return std::string(scheme) + address.to_string().substr(std::strlen("tcp://"));
}

}  // namespace ashlar::net
