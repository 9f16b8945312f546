#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "scheduler/run.hpp"

namespace ashlar::scheduler {

/// The last runs that ended and are forgotten otherwise, for whoever wants them explained. Of a
/// large one only the explanation as a whole is kept.
class EndedRuns {
 public:
  struct Entry {
    RunId id;
    std::uint64_t sequence = 0;
    std::unique_ptr<Run> run;  ///< without its data; or none
    std::size_t bytes = 0;
    std::string text;  ///< without a run
  };
  struct Limits {
    std::size_t runs = 0;
    std::size_t bytes = 0;  ///< of all of them
  };

  explicit EndedRuns(Limits limits) : limits_(limits) {}

  bool takes_whole(std::size_t bytes) const { return bytes <= limits_.bytes; }

  void add(Entry entry) {
    bytes_ += entry.bytes;
    entries_.push_back(std::move(entry));
    while (entries_.size() > limits_.runs || bytes_ > limits_.bytes) {
      bytes_ -= entries_.front().bytes;
      entries_.pop_front();
    }
  }

  const Entry* find(RunId id) const {
    for (const Entry& entry : entries_) {
      if (entry.id == id) return &entry;
    }
    return nullptr;
  }
  /// The session's that was submitted last.
  const Entry* last_of(SessionId session) const {
    const Entry* last = nullptr;
    for (const Entry& entry : entries_) {
      if (entry.id.session != session) continue;
      if (last == nullptr || entry.sequence > last->sequence) last = &entry;
    }
    return last;
  }
  const std::deque<Entry>& entries() const { return entries_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Limits limits_;
  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace ashlar::scheduler
