#pragma once

#include <string>
#include <vector>

namespace ashlar::scheduler {

/// What bounds a run, or bounded it: each as a share of the run's length.
///
/// Some are times that no schedule could have been shorter than (the longest chain, the work of a
/// worker, the bytes of a link); some are shares of the slots' time that went into something else
/// than the run's kernels. They overlap, and need not add up.
class Bounds {
 public:
  struct Part {
    double share = 0;
    std::string what;
    std::string detail;  ///< or empty
  };

  /// Values out of range are made 0 or 1.
  void add(double share, std::string what, std::string detail);
  /// The largest first, those that count: "critical path 97 %, workers 60 %".
  std::string line() const;
  /// A line for each, the largest first.
  std::string table() const;

 private:
  std::vector<Part> sorted() const;

  std::vector<Part> parts_;
};

}  // namespace ashlar::scheduler
