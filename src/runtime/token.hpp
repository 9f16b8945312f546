#pragma once

#include <string>

#include "protocol/messages.hpp"

namespace ashlar::runtime {

/// Why a newcomer may not come in (version, token), or empty. The token is compared in constant
/// time.
std::string reason_to_refuse(const protocol::Hello& hello, const std::string& token);

}  // namespace ashlar::runtime
