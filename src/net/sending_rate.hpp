#pragma once

#include <cstdint>

namespace ashlar::net {

/// How fast the network lately took what was sent, as TCP measures it; 0: not known, or no network.
struct SendingRate {
  double bytes_per_second = 0;
  bool is_lower_bound = false;   ///< there was not enough to send
  std::uint64_t way_us = 0;      ///< the shortest there and back
  std::uint64_t busy_us = 0;     ///< since it began, with something to send or to be acknowledged
  std::uint64_t held_up_us = 0;  ///< of this, waiting for room in a buffer, at either end
};

/// Of a TCP socket.
SendingRate sending_rate_of(int socket);

}  // namespace ashlar::net
