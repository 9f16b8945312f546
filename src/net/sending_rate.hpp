#pragma once

namespace ashlar::net {

/// How fast the network lately took what was sent, as TCP measures it; 0: not known, or no network.
struct SendingRate {
  double bytes_per_second = 0;
  bool is_lower_bound = false;  ///< there was not enough to send
};

/// Of a TCP socket.
SendingRate sending_rate_of(int socket);

}  // namespace ashlar::net
