#pragma once

#include <chrono>
#include <deque>
#include <memory>

#include "net/link.hpp"

namespace ashlar::net {

/// The links that a listener has accepted and whose other ends have not introduced themselves. Only
/// so many of them are kept open, so that strangers cannot use up the process's descriptors.
class Newcomers {
 public:
  explicit Newcomers(const Limits& limits) : limits_(limits) {}

  /// Whether one more may come now: there are not too many, or the oldest has had its time.
  bool has_room();
  /// One has come; closes the oldest if there are too many.
  void add(const std::shared_ptr<Link>& link);

 private:
  struct Newcomer {
    std::weak_ptr<Link> link;
    std::chrono::steady_clock::time_point since;
  };

  Limits limits_;
  std::deque<Newcomer> waiting_;  ///< by age
};

}  // namespace ashlar::net
