#include "runtime/spiller.hpp"

#include <exception>
#include <utility>

namespace ashlar::runtime {

Spiller::Queue::Queue() : thread_([this] { serve(); }) {}

Spiller::Queue::~Queue() {
  {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Spiller::Queue::push(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void Spiller::Queue::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return has_ended_ || !work_.empty(); });
    if (has_ended_) return;
    {
      const std::function<void()> work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
    }
    lock.lock();
  }
}

Spiller::Spiller(std::shared_ptr<store::Arena> arena, const store::SpillFile::Options& options,
                 std::function<void()> on_done)
    : arena_(std::move(arena)), file_(options), on_done_(std::move(on_done)) {}

Spiller::~Spiller() = default;

void Spiller::spill(std::uint64_t copy, store::Buffer buffer) {
  {
    const std::lock_guard lock(mutex_);
    ++entries_[copy].uses;
  }
  writes_.push([this, copy, held = std::make_shared<store::Buffer>(std::move(buffer))] {
    write(copy, std::exchange(*held, {}));
  });
}

void Spiller::load(std::uint64_t copy) {
  {
    const std::lock_guard lock(mutex_);
    ++entries_[copy].uses;
  }
  reads_.push([this, copy] { read(copy); });
}

void Spiller::drop(std::uint64_t copy) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(copy);
  if (entry == entries_.end()) return;
  entry->second.is_dropped = true;
  if (entry->second.uses > 0) return;
  file_.drop(entry->second.copy);
  entries_.erase(entry);
}

void Spiller::write(std::uint64_t copy, store::Buffer buffer) {
  Result result{.copy = copy, .is_load = false, .buffer = {}, .error = {}};
  store::SpillFile::Copy written;
  try {
    written = file_.write(buffer.bytes());
  } catch (const std::exception& error) {
    result.error = error.what();
  }
  buffer = {};  // its memory may be free when the result is seen
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[copy];
    entry.copy = std::move(written);
    entry.is_dropped = entry.is_dropped || !result.error.empty();
  }
  end_use(copy, std::move(result));
}

void Spiller::read(std::uint64_t copy) {
  Result result{.copy = copy, .is_load = true, .buffer = {}, .error = {}};
  store::SpillFile::Copy from;
  {
    const std::lock_guard lock(mutex_);
    from = entries_[copy].copy;
  }
  try {
    result.buffer = store::Buffer::allocate(arena_, from.bytes);
    file_.read(from, result.buffer.writable());
  } catch (const std::exception& error) {
    result.buffer = {};
    result.error = error.what();
  }
  end_use(copy, std::move(result));
}

void Spiller::end_use(std::uint64_t copy, Result result) {
  {
    const std::lock_guard lock(mutex_);
    const auto entry = entries_.find(copy);
    --entry->second.uses;
    if (entry->second.is_dropped && entry->second.uses == 0) {
      file_.drop(entry->second.copy);
      entries_.erase(entry);
    }
  }
  done_.put(std::move(result));
  on_done_();
}

}  // namespace ashlar::runtime
