#include "session/array_result.hpp"

#include <ashlar/error.hpp>

#include <exception>
#include <utility>
#include <vector>

#include "session/computation.hpp"
#include "session/gathered.hpp"

namespace ashlar::session {

/// What all arrays of a run share. Changes on the loop's turn, until the run has ended.
struct ArrayResult::Merging {
  Computation computation;
  std::exception_ptr error;

  void merge_arrived() {
    try {
      computation.merge_arrived();
    } catch (...) {  // for the program, not for the loop
      error = std::current_exception();
    }
  }
};

ArrayResult::ArrayResult(std::shared_ptr<Core> core, std::shared_ptr<Merging> merging,
                         std::size_t root)
    : RunEnd(std::move(core), merging->computation.run()),
      merging_(std::move(merging)),
      root_(root) {}

detail::DatumHandle ArrayResult::start(std::shared_ptr<Core> core, std::span<const Array> arrays) {
  const std::shared_ptr<Merging> merging(new Merging{Computation(core, arrays), nullptr});
  Computation& computation = merging->computation;
  merge_as_they_come(merging);
  std::vector<detail::DatumHandle> results;
  for (std::size_t root = 0; root < arrays.size(); ++root) {
    results.push_back(std::shared_ptr<ArrayResult>(new ArrayResult(core, merging, root)));
  }
  computation.start();
  return std::make_shared<Gathered>(std::move(results),
                                    std::make_shared<RunEnd>(core, computation.run()));
}

detail::DatumHandle ArrayResult::start_into(std::shared_ptr<Core> core, const Array& array,
                                            detail::Destination to) {
  const std::shared_ptr<Merging> merging(
      new Merging{Computation(core, array, std::move(to)), nullptr});
  if (merging->computation.reads_destination()) {
    throw BadInput(
        "compute_into_async: the array reads the memory that it is to be written to: "
        "use compute_into, or other memory");
  }
  merge_as_they_come(merging);
  const std::shared_ptr<ArrayResult> result(new ArrayResult(std::move(core), merging, 0));
  merging->computation.start();
  return result;
}

void ArrayResult::merge_as_they_come(const std::shared_ptr<Merging>& merging) {
  merging->computation.run()->on_arrived = [weak = std::weak_ptr(merging)] {
    if (const auto self = weak.lock()) self->merge_arrived();
  };
}

detail::Bytes ArrayResult::get() {
  RunEnd::get();
  if (merging_->error) std::rethrow_exception(merging_->error);
  return merging_->computation.encoded_result(root_);
}

}  // namespace ashlar::session
