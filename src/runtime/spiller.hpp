#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/mailbox.hpp"
#include "store/arena.hpp"
#include "store/buffer.hpp"
#include "store/spill_file.hpp"

namespace ashlar::runtime {

/// Moves data between the store and a spill file, on two threads of its own: one writes, one reads.
///
/// Threads: every member may be called from several threads.
class Spiller {
 public:
  /// What was asked for has ended.
  struct Result {
    std::uint64_t copy = 0;
    bool is_load = false;
    store::Buffer buffer;  ///< of a load
    std::string error;     ///< empty: it went well
  };

  /// `on_done` is called, on any thread, when there are results to take.
  /// Errors: as store::SpillFile.
  Spiller(std::shared_ptr<store::Arena> arena, const store::SpillFile::Options& options,
          std::function<void()> on_done);
  /// Waits for what is being written or read; what has not begun is left out.
  ~Spiller();
  Spiller(const Spiller&) = delete;
  Spiller& operator=(const Spiller&) = delete;

  /// Writes the buffer under a number never used before; a result follows.
  void spill(std::uint64_t copy, store::Buffer buffer);
  /// Reads a copy that was written; a result follows.
  void load(std::uint64_t copy);
  /// Frees the copy's space, once nothing is done with it.
  void drop(std::uint64_t copy);

  std::vector<Result> take_done() { return done_.take(); }

 private:
  /// A thread that does one thing after the other.
  class Queue {
   public:
    Queue();
    ~Queue();
    void push(std::function<void()> work);

   private:
    void serve();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> work_;
    bool has_ended_ = false;
    std::thread thread_;
  };

  struct Entry {
    store::SpillFile::Copy copy;
    std::uint32_t uses = 0;  ///< asked for and not ended
    bool is_dropped = false;
  };

  void write(std::uint64_t copy, store::Buffer buffer);
  void read(std::uint64_t copy);
  void end_use(std::uint64_t copy, Result result);

  std::shared_ptr<store::Arena> arena_;
  store::SpillFile file_;
  std::function<void()> on_done_;
  std::mutex mutex_;
  std::map<std::uint64_t, Entry> entries_;  ///< under the mutex
  Mailbox<Result> done_;
  Queue writes_, reads_;  ///< last: their threads end first
};

}  // namespace ashlar::runtime
