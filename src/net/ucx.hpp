#pragma once

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>

#include "net/address.hpp"
#include "net/link.hpp"

/// Links by UCX, which moves bytes over RDMA fabrics, shared memory or TCP, whichever of them it
/// finds between two processes. An address is "ucx://host:port", host an IP address; the way there
/// is set up over TCP or the fabric's connection manager.
///
/// UCX believes what arrives: who can reach its ports can harm the process, token or not. It is for
/// networks on which nobody does. What connects there and does not speak UCX's protocol is kept by
/// UCX out of reach from here: silence costs it a descriptor, 4 KiB of zeros end the process. It
/// has a port at the address where a process listens, and one on the network interface that has it;
/// who listens nowhere or at any address has one on each interface. UCX_NET_DEVICES names others.
///
/// libucp is loaded when it is first needed, so programs that never ask for it have nothing of it.
/// It then installs no signal handlers, hooks no memory functions and prints nothing, unless the
/// environment says so (UCX_ERROR_SIGNALS or UCX_HANDLE_ERRORS, UCX_MEM_EVENTS, UCX_LOG_LEVEL). It
/// has a thread of its own for setting up connections.
namespace ashlar::net {

/// Errors: Unsupported, with what to do, if Ashlar was built without UCX or the system lacks it.
void need_ucx();

/// As Listener::open. Its address() is that of a TCP listener; see ucx_text.
/// Errors: Unsupported, Disconnected.
std::unique_ptr<Listener> listen_by_ucx(boost::asio::io_context& io, const Address& address,
                                        std::function<void(std::shared_ptr<Link>)> on_link,
                                        Limits limits = {});

/// As connect().
/// Errors: Unsupported; BadInput for an address that is none.
void connect_by_ucx(boost::asio::io_context& io, const std::string& address, int timeout_ms,
                    std::function<void(std::shared_ptr<Link>, const NoLink&)> done,
                    Limits limits = {});

/// "ucx://host:port" for where such a listener listens.
std::string ucx_text(const Address& address);

}  // namespace ashlar::net
