#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace ashlar::simulate {

/// Streams of bytes between hosts that share links fairly. A host has one link out and one link in,
/// of equal bandwidth; a stream uses the sender's link out and the receiver's link in. Rates are
/// max-min fair: no stream can get more without another that has no more getting less.
class Network {
 public:
  /// Bandwidth in bytes per second and direction; of some hosts their own, by their number.
  explicit Network(double bandwidth, std::vector<double> of_host = {})
      : bandwidth_(bandwidth), of_host_(std::move(of_host)) {}

  struct Route {
    std::uint32_t from = 0, to = 0;  ///< hosts, which differ
  };

  /// Starts a stream; `arrived` is called by advance() when its last byte is there.
  void start(Instant now, Route route, std::uint64_t bytes, std::function<void()> arrived);
  /// Forgets the streams from and to the host.
  void remove_host(Instant now, std::uint32_t host);
  /// What has arrived by now is told.
  void advance(Instant now);
  /// When the next stream ends; requires that there is one.
  Instant next_end();
  bool is_quiet() const { return streams_.empty(); }

  /// The streams' max-min fair rates, by progressive filling.
  static std::vector<double> fair_rates(std::span<const Route> routes, double bandwidth,
                                        std::span<const double> of_host = {});

 private:
  struct Stream {
    double bytes_left = 0;
    double rate = 0;  ///< bytes per second
    std::function<void()> arrived;
  };
  void flow(Instant now);
  void share();

  double bandwidth_;
  std::vector<double> of_host_;
  Instant now_;
  bool is_shared_ = true;  ///< rates are those of the streams there are
  std::vector<Stream> streams_;
  std::vector<Route> routes_;  ///< of each stream
};

}  // namespace ashlar::simulate
