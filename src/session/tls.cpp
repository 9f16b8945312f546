#include "session/tls.hpp"

#include <ashlar/error.hpp>

#include <cstdlib>

namespace ashlar::session {

namespace {

std::string given(const std::string& option, const char* variable) {
  const char* value = std::getenv(variable);
  return !option.empty() || value == nullptr ? option : value;
}

}  // namespace

std::shared_ptr<const net::Tls> load_tls(const TlsOptions& options) {
  const net::TlsFiles files{given(options.cert, "ASHLAR_TLS_CERT"),
                            given(options.key, "ASHLAR_TLS_KEY"),
                            given(options.ca, "ASHLAR_TLS_CA")};
  std::string missing;
  if (files.certificate.empty()) missing += " --tls-cert (tls.cert)";
  if (files.key.empty()) missing += " --tls-key (tls.key)";
  if (files.authority.empty()) missing += " --tls-ca (tls.ca)";
  const bool is_none = files.certificate.empty() && files.key.empty() && files.authority.empty();
  if (is_none) return nullptr;
  if (!missing.empty()) {
    throw BadInput("TLS needs a certificate, its key and the authority's certificate; missing:" +
                   missing);
  }
  return net::Tls::load(files);
}

}  // namespace ashlar::session
