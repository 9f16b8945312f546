#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "array/lower.hpp"

namespace ashlar::session {

/// What a run's unfinished files are called: their own name, this, and a number. Differs from call
/// to call, also between processes and hosts, and says whose they are.
std::string partial_suffix();

/// The files a run writes: under partial names until it has ended well, gone if it has not. What a
/// killed process leaves goes when another one of its host writes the same file.
/// Threads: any.
class PartialFiles {
 public:
  PartialFiles() = default;
  PartialFiles(const PartialFiles&) = delete;
  PartialFiles& operator=(const PartialFiles&) = delete;
  ~PartialFiles() { discard(); }

  /// Makes the files, all zero. Errors: BadInput when one cannot be written; Overloaded when the
  /// disk is too small.
  void create(const std::vector<array::WrittenFile>& files);
  /// Gives them their names, replacing what is there.
  /// Errors: TaskFailed when one cannot be renamed; it is removed then.
  void publish();
  /// Removes what was created and not published.
  void discard();

 private:
  std::mutex mutex_;
  std::vector<array::WrittenFile> files_;
};

}  // namespace ashlar::session
