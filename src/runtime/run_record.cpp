#include "runtime/run_record.hpp"

#include <ashlar/error.hpp>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace ashlar::runtime {

RunRecord RunRecord::create(std::size_t positions) {
  RunRecord record;
  record.descriptor_ = store::FileDescriptor(::memfd_create("ashlar-record", MFD_CLOEXEC));
  if (!record.descriptor_.is_open()) {
    throw Unsupported(std::string("record of running tasks: memfd_create: ") +
                      std::strerror(errno));
  }
  const std::size_t bytes = positions * sizeof(Entry);
  if (::ftruncate(record.descriptor_.get(), static_cast<off_t>(bytes)) != 0) {
    throw Overloaded(std::string("record of running tasks: ftruncate: ") + std::strerror(errno));
  }
  record.map(bytes);
  return record;
}

RunRecord RunRecord::open(store::FileDescriptor descriptor) {
  RunRecord record;
  record.descriptor_ = std::move(descriptor);
  struct stat status = {};
  if (::fstat(record.descriptor_.get(), &status) != 0) {
    throw Unsupported(std::string("record of running tasks: fstat: ") + std::strerror(errno));
  }
  record.map(static_cast<std::size_t>(status.st_size));
  return record;
}

void RunRecord::map(std::size_t bytes) {
  static_assert(sizeof(Entry) == 16 && std::atomic<std::uint32_t>::is_always_lock_free);
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
  if (base == MAP_FAILED) {
    throw Overloaded(std::string("record of running tasks: mmap: ") + std::strerror(errno));
  }
  entries_ = {static_cast<Entry*>(base), bytes / sizeof(Entry)};  // zeros: nothing runs
}

RunRecord::~RunRecord() {
  if (!entries_.empty()) ::munmap(entries_.data(), entries_.size_bytes());
}

void RunRecord::swap(RunRecord& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(entries_, other.entries_);
}

std::vector<DatumId> RunRecord::running() const {
  std::vector<DatumId> found;
  for (const Entry& entry : entries_) {
    if (entry.is_running.load(std::memory_order_acquire) == 0) continue;
    found.push_back({{SessionId{entry.session.load(std::memory_order_relaxed)},
                      entry.run.load(std::memory_order_relaxed)},
                     entry.task.load(std::memory_order_relaxed)});
  }
  return found;
}

}  // namespace ashlar::runtime
