#pragma once

#include <ashlar/tls.hpp>

#include <memory>

#include "net/tls.hpp"

namespace ashlar::session {

/// What the options name, or the environment where they are empty; null when nothing is named.
/// Errors: BadInput when something is named and something is not; as net::Tls::load.
std::shared_ptr<const net::Tls> load_tls(const TlsOptions& options);

}  // namespace ashlar::session
