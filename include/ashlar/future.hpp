#pragma once

#include <ashlar/codec.hpp>
#include <ashlar/detail/session_core.hpp>
#include <ashlar/error.hpp>

#include <chrono>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

namespace ashlar {

/// A value that a task makes on some worker: may be waited for, brought here, or passed on to
/// further tasks without ever coming here.
///
/// Copies are handles of the same value; when the last one goes, the cluster forgets the value.
/// Threads: handles are independent; any thread may wait.
template <class T>
class Future {
 public:
  using value_type = T;

  /// A future of nothing: only assignment and is_valid() make sense.
  Future() = default;
  explicit Future(detail::DatumHandle datum) : datum_(std::move(datum)) {}

  /// Waits for the value and brings it here. May be called again.
  ///
  /// A HostArray (alone or within the value) shows the bytes in place, read-only: it is copied
  /// when you ask a handle that is not const for its elements.
  /// Errors: what the task failed with, naming kernel, worker and source line; Cancelled;
  /// Disconnected.
  T get() const {
    detail::Bytes bytes = datum().get();
    if constexpr (!std::is_void_v<T>) return decode<T>(bytes.bytes, std::move(bytes.owner));
  }

  /// Waits until is_ready().
  void wait() const {
    while (!wait_for(std::chrono::hours(1))) {
    }
  }

  /// Waits at most this long; returns is_ready().
  bool wait_for(std::chrono::nanoseconds timeout) const { return datum().wait(timeout); }

  /// The value exists, or is known never to be: get() does not wait for the task.
  bool is_ready() const { return datum().is_ready(); }

  /// Asks that the task be not run, or its value dropped; get() then throws Cancelled.
  void cancel() const { datum().cancel(); }

  /// Calls f(future) once when is_ready(), on the session's thread, or at once if it is already.
  /// `f` must not block.
  template <std::invocable<Future> F>
  void then(F f) const {
    datum().then([f = std::move(f), future = *this]() mutable { f(std::move(future)); });
  }

  bool is_valid() const { return datum_ != nullptr; }

  /// Not for programs.
  const detail::DatumHandle& handle() const { return datum_; }

 private:
  detail::Datum& datum() const {
    if (datum_ == nullptr) throw BadInput("this Future is empty: no task was submitted for it");
    return *datum_;
  }

  detail::DatumHandle datum_;
};

/// The values of all futures, in order. Errors: as Future::get, of the first that has one.
template <class T>
requires(!std::is_void_v<T>) std::vector<T> gather(const std::vector<Future<T>>& futures) {
  std::vector<T> values;
  values.reserve(futures.size());
  for (const auto& future : futures) values.push_back(future.get());
  return values;
}
inline void gather(const std::vector<Future<void>>& futures) {
  for (const auto& future : futures) future.get();
}

}  // namespace ashlar
