#include "runtime/token.hpp"

#include <algorithm>

namespace ashlar::runtime {

namespace {

bool is_equal(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

}  // namespace

std::string reason_to_refuse(const protocol::Hello& hello, const std::string& token) {
  if (hello.protocol_version != protocol::version) {
    return "incompatible versions: this side speaks protocol " +
           std::to_string(protocol::version) + ", the other side protocol " +
           std::to_string(hello.protocol_version) +
           (hello.software_version.empty() ? "" : " (ashlar " + hello.software_version + ")") +
           "; run the same version of Ashlar on both";
  }
  if (!is_equal(hello.token, token)) {
    return hello.token.empty()
               ? "this cluster asks for a token: pass the one its scheduler was started with"
               : "wrong token: pass the one the scheduler was started with";
  }
  return {};
}

}  // namespace ashlar::runtime
