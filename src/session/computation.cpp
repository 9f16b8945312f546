#include "session/computation.hpp"

#include <ashlar/codec.hpp>
#include <ashlar/error.hpp>

#include <algorithm>
#include <utility>

#include "base/shape.hpp"
#include "runtime/clock.hpp"
#include "session/boxes.hpp"
#include "session/progress_bar.hpp"

namespace ashlar::session {

Inputs::Inputs(Core& core, const array::Lowered& lowered)
    : core_(core), lowered_(lowered), ids_(lowered.externals.size()) {
  std::vector<std::uint64_t> bytes;
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    if (const auto* there = std::get_if<array::DatumRef>(&lowered.externals[i])) {
      const auto output =
          std::static_pointer_cast<const Output>(there->keepalive);  // as Session::persist made it
      if (output->core() != &core) {
        throw BadInput("an array that another session persisted cannot be used in this one: "
                       "compute() it there and pass it on with from_host");
      }
      ids_[i] = there->datum;
    } else {
      const auto& region = std::get<array::HostRegion>(lowered.externals[i]);
      bytes.push_back(checked_bytes(region.array.dtype(), region.extents));
      regions_.push_back(i);
    }
  }
  if (!regions_.empty()) promised_ = core.promise(std::move(bytes));
  for (std::size_t i = 0; i < regions_.size(); ++i) ids_[regions_[i]] = promised_[i]->id();
}

void Inputs::bring() {
  Core::Filled filled;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const auto& region = std::get<array::HostRegion>(lowered_.externals[regions_[i]]);
    auto buffer = store::Buffer::allocate(core_.arena(),
                                          checked_bytes(region.array.dtype(), region.extents));
    if (buffer.size() > 0) {
      copy_out_of_box(region.array, region.start, region.extents, buffer.writable());
    }
    bytes += buffer.size();
    filled.emplace_back(std::move(promised_[i]), std::move(buffer));
    if (bytes < batch_bytes && i + 1 < regions_.size()) continue;
    core_.fulfil(filled);
    core_.loop().try_turn();  // those who wait for these go on
    filled.clear();
    bytes = 0;
  }
}

Computation::Computation(std::shared_ptr<Core> core, std::span<const Array> arrays)
    : core_(std::move(core)),
      begin_(runtime::now()),
      lowered_(array::lower(arrays, {.partial_suffix = partial_suffix()})) {
  submitted_ = core_->prepare(lowered_.graph, true);
  submitted_.run->called_at = begin_;
  submitted_.run->ends_on_failure = true;
  submitted_.run->repetition = Repetition::perhaps;
  const auto& wanted = lowered_.graph->wanted;
  for (std::size_t root = 0; root < lowered_.roots.size(); ++root) {
    const auto& lowered = lowered_.roots[root];
    allocate_result(lowered.dtype, lowered.grid.shape());
    for (std::size_t chunk = 0; chunk < lowered.data.size(); ++chunk) {
      const auto it = std::lower_bound(wanted.begin(), wanted.end(), lowered.data[chunk]);
      targets_.push_back({static_cast<std::uint32_t>(it - wanted.begin()),
                          static_cast<std::uint32_t>(root), static_cast<std::int64_t>(chunk)});
    }
  }
  std::stable_sort(targets_.begin(), targets_.end(),
                   [](const Target& a, const Target& b) { return a.position < b.position; });
}

void Computation::allocate_result(DType dtype, const Shape& shape) {
  const std::size_t header = detail::encoded_array_size(shape.size(), 0);
  const std::size_t bytes = checked_bytes(dtype, shape);
  const auto memory = core_->results().allocate_result(header + bytes);
  Writer writer({memory.get(), header});
  detail::write_array_header(writer, dtype, shape, false);
  const std::shared_ptr<std::byte> elements(memory, memory.get() + header);
  results_.emplace_back(dtype, shape, elements);
}

detail::Bytes Computation::encoded_result(std::size_t root) const {
  const HostArray& array = results_[root];
  const std::size_t header = detail::encoded_array_size(array.ndim(), 0);
  return {array.storage(), {array.storage().get() - header, header + array.size_bytes()}};
}

void Computation::start() {
  Inputs inputs(*core_, lowered_);
  core_->start(*submitted_.run, inputs.ids(), lowered_.files);
  try {
    inputs.bring();
  } catch (...) {
    core_->cancel(submitted_.run->number);
    throw;
  }
}

void Computation::merge_arrived() {
  Run& run = *submitted_.run;
  std::vector<std::uint32_t> arrived;
  {
    std::lock_guard lock(run.mutex);
    arrived.swap(run.arrived);
    run.has_arrived = false;
  }
  for (const auto position : arrived) {
    const detail::Bytes bytes = submitted_.outputs[position]->get();
    auto target = std::lower_bound(
        targets_.begin(), targets_.end(), position,
        [](const Target& t, std::uint32_t value) { return t.position < value; });
    for (; target != targets_.end() && target->position == position; ++target) {
      const auto& grid = lowered_.roots[target->root].grid;
      const Shape at = grid.position(target->chunk);
      const Shape extents = grid.extents(at);
      HostArray& result = results_[target->root];
      if (bytes.bytes.size() != checked_bytes(result.dtype(), extents)) {
        throw TaskFailed("a chunk of the result has " + std::to_string(bytes.bytes.size()) +
                         " bytes, expected were " +
                         std::to_string(checked_bytes(result.dtype(), extents)));
      }
      copy_into_box(result, grid.start(at), extents, bytes.bytes);
    }
    submitted_.outputs[position].reset();
  }
}

void Computation::finish() {
  Run& run = *submitted_.run;
  ProgressBar bar(core_->shows_progress(), run.graph->task_count());
  while (!run.is_finished && !core_->is_disconnected()) {
    core_->loop().drive_until(
        [&] { return run.has_arrived || run.is_finished || core_->is_disconnected(); },
        runtime::now() + bar.interval());
    merge_arrived();
    bar.show(run.tasks_done);
  }
  core_->wait(run);
  merge_arrived();
  run.finished_at = runtime::now();
}

}  // namespace ashlar::session
