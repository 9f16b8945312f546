#pragma once

namespace ashlar::net {

/// How fast the network lately took what was sent, as TCP measures it; 0: not known, or no network.
struct SendingRate {
  double bytes_per_second = 0;
  bool is_lower_bound = false;  ///< there was not enough to send
  /// A long way on which the connection waits for room in a buffer, at either end, much of the
  /// time: several connections have more of them.
  bool is_held_up = false;
};

/// Of a TCP socket.
SendingRate sending_rate_of(int socket);

}  // namespace ashlar::net
