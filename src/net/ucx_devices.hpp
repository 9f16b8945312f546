#pragma once

#include <boost/asio/ip/address.hpp>

#include <string>

namespace ashlar::net {

/// What UCX_NET_DEVICES may say for a process that listens at this address of the host: the
/// interface that has it, and the host's RDMA devices. UCX listens by TCP on each interface that it
/// uses. Empty: all of them, as for an address that means any.
std::string ucx_devices_at(const boost::asio::ip::address& address);

}  // namespace ashlar::net
