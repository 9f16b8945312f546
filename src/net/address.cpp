#include "net/address.hpp"

#include <ashlar/error.hpp>

#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <string_view>

namespace ashlar::net {

namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw BadInput("\"" + text +
                 "\" is not an address: expected tcp://host:port, unix:/path or unix:@name");
}

bool is_number_below(std::string_view text, unsigned bound) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value < bound;
}

/// 127.0.0.0/8 in dotted form; a name that only begins like it is not.
bool is_loopback_v4(std::string_view host) {
  int parts = 0;
  if (!host.starts_with("127.")) return false;
  while (true) {
    const std::size_t dot = host.find('.');
    if (!is_number_below(host.substr(0, dot), 256)) return false;
    ++parts;
    if (dot == std::string_view::npos) return parts == 4;
    host.remove_prefix(dot + 1);
  }
}

}  // namespace

Address Address::parse(const std::string& text) {
  const std::string_view view = text;
  if (view.starts_with("unix:")) {
    const std::string_view name = view.substr(5);
    if (name.size() < 2 || (name[0] != '/' && name[0] != '@')) refuse(text);
    if (name.find('\0') != std::string_view::npos) refuse(text);
    return {.kind = Kind::local, .host = std::string(name)};
  }
  if (!view.starts_with("tcp://")) refuse(text);
  const std::string_view rest = view.substr(6);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) refuse(text);
  std::string_view host = rest.substr(0, colon);
  const std::string_view port = rest.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    refuse(text);
  }
  if (host.empty() || host.find_first_of("[]/\0 ", 0, 5) != std::string_view::npos ||
      !is_number_below(port, 65536))
    refuse(text);
  Address address{.kind = Kind::tcp, .host = std::string(host)};
  std::from_chars(port.data(), port.data() + port.size(), address.port);
  return address;
}

std::string Address::to_string() const {
  if (kind == Kind::local) return "unix:" + host;
  const bool is_v6 = host.find(':') != std::string::npos;
  return "tcp://" + (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Address::is_loopback() const {
  return kind == Kind::local || host == "localhost" || host == "::1" || is_loopback_v4(host);
}

std::string host_identity() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  std::array<char, 64> space{};
  const auto size = ::readlink("/proc/self/ns/net", space.data(), space.size());
  if (boot.empty() || size <= 0) return {};  // not known: shares memory with nobody
  return boot + "/" + std::string(space.data(), static_cast<std::size_t>(size)) + "/" +
         std::to_string(::geteuid());
}

}  // namespace ashlar::net
