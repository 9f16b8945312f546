#include "session/tls.hpp"

#include <ashlar/error.hpp>

#include <cstdlib>

namespace ashlar::session {

namespace {

/// One of the files: what names it, and where.
struct Named {
  Named(const std::string& option, const char* command, const char* field, const char* variable)
      : missing(std::string(command) + " (" + field + ", $" + variable + ")") {
    const char* const value = std::getenv(variable);
    const bool is_option = !option.empty() || value == nullptr;
    path = is_option ? option : value;
    from = is_option ? std::string(command) + ", " + field : std::string("$").append(variable);
    given = is_option ? std::string(command) + " (" + field + ")" : from;
  }

  std::string path;
  // What messages call it: as a file, as given, as missing.
  std::string from, given, missing;
};

}  // namespace

std::shared_ptr<const net::Tls> load_tls(const TlsOptions& options) {
  const Named certificate(options.cert, "--tls-cert", "tls.cert", "ASHLAR_TLS_CERT");
  const Named key(options.key, "--tls-key", "tls.key", "ASHLAR_TLS_KEY");
  const Named authority(options.ca, "--tls-ca", "tls.ca", "ASHLAR_TLS_CA");
  std::string given;
  std::string missing;
  for (const Named* each : {&certificate, &key, &authority})
    each->path.empty() ? missing.append(" ").append(each->missing)
                       : given.append(" ").append(each->given);
  if (given.empty()) return nullptr;
  if (!missing.empty()) {
    throw BadInput("TLS needs a certificate, its key and the authority's certificate; given:" +
                   given + "; missing: " + missing.substr(1) + "; give all three, or none");
  }
  return net::Tls::load(
      {certificate.path, key.path, authority.path, certificate.from, key.from, authority.from});
}

}  // namespace ashlar::session
