#include <ashlar/error.hpp>

#include "net/tls.hpp"

// In a build without OpenSSL.

namespace ashlar::net {

std::shared_ptr<const Tls> Tls::load(const TlsFiles& files) {
  throw Unsupported("certificates are given (" + files.certificate +
                    "), but this Ashlar was built without TLS: install OpenSSL 3 (libssl-dev) and "
                    "build it with -DASHLAR_TLS=ON");
}

std::string Tls::library() { return "none: built without OpenSSL"; }

}  // namespace ashlar::net
