#pragma once

#include <ashlar/detail/task_call.hpp>
#include <ashlar/detail/task_function.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace ashlar {

namespace detail {
struct TasksData;
}  // namespace detail

/// What Ashlar may assume of a function.
struct TaskTraits {
  /// It does nothing but compute its result, the same for the same arguments: no files, no
  /// messages, no state that lasts. When a call takes far longer than predicted, a second one may
  /// then be begun on an idle worker; the result that is there first counts.
  bool pure = false;
};

/// The functions of your program that workers may run, each under a name.
///
/// Name them in main, before init; copies are handles of one list. A function takes and returns
/// values that have a Codec, `const T&`, and views: View<const T, N> reads an array in place,
/// View<T, N> (at most one, with a void result) updates it, and the task's future is the updated
/// HostArray.
///
///   double simulate(int seed, ashlar::View<const double, 2> grid);
///   ashlar::Tasks tasks;
///   tasks.add<simulate>("simulate");
///
/// Threads: fill it from one; then any may read.
class Tasks {
 public:
  Tasks();

  /// Names a function. Errors: BadInput for an empty or a taken name, for one that begins with
  /// "ashlar.", which are Ashlar's own, or for a function named already.
  template <auto fn>
  requires detail::TaskFunction<fn> Tasks& add(std::string name, const TaskTraits& traits = {}) {
    add(detail::task_identity<fn>(), detail::run_task<fn>, std::move(name), traits);
    return *this;
  }

  /// The name of `fn`. Errors: BadInput when it was not added.
  template <auto fn>
  const std::string& name_of() const {
    return name_of(detail::task_identity<fn>());
  }

  /// How many functions have names.
  std::size_t size() const;

  /// Not for programs.
  const std::string& name_of(const detail::TaskIdentity& function) const;
  const detail::TasksData& data() const { return *data_; }

 private:
  void add(const detail::TaskIdentity& function, detail::Thunk thunk, std::string name,
           const TaskTraits& traits);

  std::shared_ptr<detail::TasksData> data_;
};

}  // namespace ashlar
