#include "net/ucx_devices.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>

namespace ashlar::net {

namespace {

using boost::asio::ip::address;

bool is_at(const sockaddr* native, const address& wanted) {
  if (native == nullptr) return false;
  if (native->sa_family == AF_INET && wanted.is_v4()) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(native);
    return ntohl(v4->sin_addr.s_addr) == wanted.to_v4().to_uint();
  }
  if (native->sa_family == AF_INET6 && wanted.is_v6()) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(native);
    const auto bytes = wanted.to_v6().to_bytes();
    return std::equal(bytes.begin(), bytes.end(), v6->sin6_addr.s6_addr);
  }
  return false;
}

std::string interface_at(const address& wanted) {
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(found, &::freeifaddrs);
  for (const ifaddrs* each = found; each != nullptr; each = each->ifa_next) {
    if (is_at(each->ifa_addr, wanted)) return each->ifa_name;
  }
  return {};
}

}  // namespace

std::string ucx_devices_at(const address& wanted) {
  std::string devices = interface_at(wanted);
  if (devices.empty()) return {};
  std::error_code none;
  for (const auto& device : std::filesystem::directory_iterator("/sys/class/infiniband", none)) {
    for (const auto& port : std::filesystem::directory_iterator(device.path() / "ports", none)) {
      devices += ',';
      devices += device.path().filename().string();
      devices += ':';
      devices += port.path().filename().string();
    }
  }
  return devices;
}

}  // namespace ashlar::net
