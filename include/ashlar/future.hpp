#pragma once

#include <ashlar/codec.hpp>
#include <ashlar/detail/session_core.hpp>
#include <ashlar/error.hpp>
#include <ashlar/report.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ashlar {

/// A value that a task makes on some worker: may be waited for, brought here, or passed on to
/// further tasks without ever coming here. Also what a call whose name ends in _async gives: the
/// result to come, which no task can take.
///
/// Copies are handles of the same value; when the last one goes, the cluster forgets the value. The
/// task runs all the same: cancel() is what stops it.
/// Threads: handles are independent; any thread may wait. A program that must not be blocked asks
/// then(), which tells it when get() returns at once.
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
    if constexpr (detail::IsVector<T>::value) {
      if (const auto* elements = datum().elements()) {
        T values;
        values.reserve(elements->size());
        for (const auto& element : *elements) {
          values.push_back(Future<typename T::value_type>(element).get());
        }
        return values;
      }
    }
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

  /// Calls f(future) once when is_ready(): on whichever thread works for the session then, be it
  /// one of the program's that waits in get(), or at once if it is already. `f` must not block, and
  /// must not throw: that ends the program, as an exception does that leaves a thread.
  template <std::invocable<Future> F>
  void then(F f) const {
    datum().then(
        [f = std::move(f), future = *this]() mutable noexcept { f(std::move(future)); });
  }

  /// How the run that makes the value went. Waits for the end of that run: it has come when a
  /// compute_async, a wait_async or GraphRun::done() is ready; for the value of a single task or
  /// node it may come later than the value.
  /// Errors: as get(); BadInput for what no run makes (put) or several do (gather_async).
  RunReport report() const { return datum().report(); }

  /// Says, for people, what the task that makes the value waits for; or where it went and why, what
  /// the next best worker would have meant, and what of its inputs is there. For a whole run
  /// (compute_async, wait_async, GraphRun::done): how far it is, and what bounds it or bounded it.
  ///
  /// Asks the scheduler: costs it microseconds, and may be asked at any time, also when all is
  /// over. The scheduler remembers the runs that ended last. Not to be called from then().
  /// Errors: BadInput for what no task makes (put, gather_async); Disconnected; Unsupported by a
  /// scheduler of an older version.
  std::string explain() const;
  /// The same without waiting.
  Future<std::string> explain_async() const;

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

template <class T>
Future<std::string> Future<T>::explain_async() const {
  return Future<std::string>(datum().explain());
}

template <class T>
std::string Future<T>::explain() const {
  return explain_async().get();
}

namespace detail {
template <class T>
struct GatheredValues {
  using Type = std::vector<T>;
};
template <>
struct GatheredValues<void> {
  using Type = void;
};
}  // namespace detail

/// The values of all futures, in order, as one future: ready when all are. A task takes the vector
/// of futures itself.
/// Errors: BadInput for an empty future.
template <class T>
Future<typename detail::GatheredValues<T>::Type> gather_async(
    const std::vector<Future<T>>& futures) {
  std::vector<detail::DatumHandle> data;
  data.reserve(futures.size());
  for (const auto& future : futures) data.push_back(future.handle());
  return Future<typename detail::GatheredValues<T>::Type>(detail::gathered(std::move(data)));
}

/// The values of all futures, in order. Errors: as Future::get, of the first that has one.
template <class T>
auto gather(const std::vector<Future<T>>& futures) {
  return gather_async(futures).get();
}

}  // namespace ashlar
