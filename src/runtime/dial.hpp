#pragma once

#include <memory>
#include <string>

#include "base/time.hpp"
#include "net/link.hpp"
#include "net/tls.hpp"
#include "runtime/loop.hpp"

namespace ashlar::runtime {

/// The Unix address at which a scheduler that listens on this TCP port is also reached by
/// processes of its host: cheaper than TCP, and arenas can be shared.
std::string local_address_of_port(std::uint16_t port);

/// Connects to a scheduler, driving the loop meanwhile. A loopback TCP address is tried as a
/// local one first. With a `tls` the link is encrypted, unless it is local; its handshake has as
/// much time again.
/// Errors: BadInput for an address that is none; Disconnected, naming it, when nobody answers.
std::shared_ptr<net::Link> dial(Loop& loop, const std::string& address, Duration timeout,
                                std::shared_ptr<const net::Tls> tls = {});

/// The address by which this host is reached from the side of `address`: loopback for loopback,
/// else that of the interface towards it; empty for a Unix address.
std::string own_host_towards(const std::string& address);

/// Whether that is the transport meant. Errors: BadInput for what is neither "tcp" nor "ucx".
bool is_ucx(const std::string& transport);

}  // namespace ashlar::runtime
