#include "runtime/dial.hpp"

#include <ashlar/error.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/udp.hpp>

#include <utility>

#include "net/address.hpp"
#include "runtime/clock.hpp"

namespace ashlar::runtime {

namespace {

std::pair<std::shared_ptr<net::Link>, net::NoLink> try_dial(
    Loop& loop, const net::Address& address, Duration timeout,
    const std::shared_ptr<const net::Tls>& tls) {
  struct Outcome {
    std::atomic<bool> is_done{false};
    std::shared_ptr<net::Link> link;
    net::NoLink why_not;
  };
  const auto outcome = std::make_shared<Outcome>();
  const int timeout_ms = static_cast<int>(timeout.ns / 1'000'000);
  net::Limits limits;
  limits.handshake_ms = timeout_ms;
  loop.dispatch([&loop, &address, timeout_ms, limits, outcome, tls] {
    net::connect(
        loop.io(), address, timeout_ms,
        [outcome](std::shared_ptr<net::Link> link, const net::NoLink& why_not) {
          outcome->link = std::move(link);
          outcome->why_not = why_not;
          outcome->is_done = true;
        },
        limits, tls);
  });
  const bool is_done = loop.drive_until([&] { return outcome->is_done.load(); },
                                        now() + timeout + Duration::seconds(1));
  if (!is_done) return {nullptr, {"cannot connect to " + address.to_string() + ": no answer"}};
  return {std::move(outcome->link), outcome->why_not};
}

}  // namespace

std::string local_address_of_port(std::uint16_t port) {
  return "unix:@ashlar-scheduler-" + std::to_string(port);
}

std::shared_ptr<net::Link> dial(Loop& loop, const std::string& text, Duration timeout,
                                std::shared_ptr<const net::Tls> tls) {
  const net::Address address = net::Address::parse(text);
  if (address.kind == net::Address::Kind::tcp && address.is_loopback()) {
    const auto local = net::Address::parse(local_address_of_port(address.port));
    if (auto link = try_dial(loop, local, timeout, tls).first) return link;
  }
  auto [link, why_not] = try_dial(loop, address, timeout, tls);
  if (link) return link;
  const std::string remedy = why_not.is_refused ? "; start a scheduler there with `ashlar "
                                                  "scheduler --listen " +
                                                      text + "`, or check the address"
                                                : "";
  throw Disconnected(why_not.reason + remedy);
}

std::string own_host_towards(const std::string& text) {
  const net::Address address = net::Address::parse(text);
  if (address.kind == net::Address::Kind::local) return {};
  if (address.is_loopback()) return "127.0.0.1";
  // Connecting a datagram socket sends nothing, but chooses the interface.
  boost::asio::io_context io;
  boost::asio::ip::udp::resolver resolver(io);
  boost::asio::ip::udp::socket socket(io);
  boost::system::error_code error;
  const auto found = resolver.resolve(address.host, std::to_string(address.port), error);
  if (error) return {};
  boost::asio::connect(socket, found, error);
  if (error) return {};
  return socket.local_endpoint().address().to_string();
}

bool is_ucx(const std::string& transport) {
  if (transport == "tcp" || transport == "ucx") return transport == "ucx";
  throw BadInput("transport \"" + transport + "\": expected tcp or ucx");
}

}  // namespace ashlar::runtime
