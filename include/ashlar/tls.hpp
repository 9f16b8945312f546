#pragma once

#include <string>

namespace ashlar {

/// Encrypts the links of a process to other hosts, with TLS 1.3: PEM files of its certificate, the
/// private key of that, and the authority that signs all of the cluster's certificates.
///
/// All of a cluster's processes have such files, or none. A process whose certificate the authority
/// has signed belongs to the cluster, whatever its name is; docs/tls.md shows how to make them.
/// Links on one host need none. What is empty is taken from $ASHLAR_TLS_CERT, $ASHLAR_TLS_KEY,
/// $ASHLAR_TLS_CA; when these are empty, too, nothing is encrypted.
struct TlsOptions {
  std::string cert = {};  ///< certificates between it and the authority's may follow in the file
  std::string key = {};   ///< without a passphrase
  std::string ca = {};
};

}  // namespace ashlar
