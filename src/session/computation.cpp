#include "session/computation.hpp"

#include <ashlar/codec.hpp>
#include <ashlar/error.hpp>

#include <algorithm>
#include <utility>

#include "base/shape.hpp"
#include "runtime/clock.hpp"
#include "session/boxes.hpp"
#include "session/destination.hpp"
#include "session/progress_bar.hpp"

namespace ashlar::session {

namespace {
/// Chunks of persisted arrays that are merged at a time.
constexpr std::uint64_t merged_bytes_max = std::uint64_t{256} << 20;
}  // namespace

std::shared_ptr<const Output> persisted_output(const Core& core, const array::DatumRef& there) {
  auto output =
      std::static_pointer_cast<const Output>(there.keepalive);  // as Session::persist made it
  if (output->core() != &core) {
    throw BadInput(
        "an array that another session persisted cannot be used in this one: "
        "compute() it there and pass it on with from_host");
  }
  return output;
}

Inputs::Inputs(Core& core, const array::Lowered& lowered)
    : core_(core), lowered_(lowered), ids_(lowered.graph->external_bytes.size()) {
  std::vector<std::uint64_t> bytes;
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    if (const auto* there = std::get_if<array::DatumRef>(&lowered.externals[i])) {
      ids_[i] = persisted_output(core, *there)->id();
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
    auto buffer =
        store::Buffer::allocate(core_.arena(), checked_bytes(region.array.dtype(), region.extents));
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
    : Computation(std::move(core), arrays, {}) {}

Computation::Computation(std::shared_ptr<Core> core, const Array& array, detail::Destination to)
    : Computation(std::move(core), {&array, 1}, {std::move(to)}) {}

Computation::Computation(std::shared_ptr<Core> core, std::span<const Array> arrays,
                         std::vector<detail::Destination> destinations)
    : core_(std::move(core)),
      begin_(runtime::now()),
      lowered_(array::lower(
          arrays, {.shares_persisted_results = true, .partial_suffix = partial_suffix()})),
      destinations_(std::move(destinations)) {
  submitted_ = core_->prepare(lowered_.graph, true);
  submitted_.run->called_at = begin_;
  submitted_.run->ends_on_failure = true;
  submitted_.run->repetition = Repetition::perhaps;
  stream_.bytes_max = merged_bytes_max;
  stream_.is_in_order = false;
  for (std::uint32_t root = 0; root < lowered_.roots.size(); ++root) {
    const auto& lowered = lowered_.roots[root];
    if (destinations_.size() == root) allocate_result(lowered.dtype, lowered.grid.shape());
    for (std::size_t chunk = 0; chunk < lowered.data.size(); ++chunk) note_target(root, chunk);
  }
  std::stable_sort(targets_.begin(), targets_.end(),
                   [](const Target& a, const Target& b) { return a.position < b.position; });
}

Computation::~Computation() {
  if (!streamed_.empty() && !run()->is_finished) core_->end_stream(run()->number);
}

void Computation::note_target(std::uint32_t root, std::size_t chunk) {
  const std::uint32_t datum = lowered_.roots[root].data[chunk];
  const std::uint32_t outputs = lowered_.graph->output_count();
  Target target{0, root, static_cast<std::int64_t>(chunk)};
  if (datum < outputs) {
    const auto& wanted = lowered_.graph->wanted;
    const auto it = std::lower_bound(wanted.begin(), wanted.end(), datum);
    target.position = static_cast<std::uint32_t>(it - wanted.begin());
    targets_.push_back(target);
  } else {
    const auto& there = std::get<array::DatumRef>(lowered_.externals[datum - outputs]);
    target.position = static_cast<std::uint32_t>(stream_.data.size());
    stream_.data.push_back(persisted_output(*core_, there)->id());
    streamed_.push_back(target);
  }
}

void Computation::allocate_result(DType dtype, const Shape& shape) {
  const std::size_t header = detail::encoded_array_size(shape.size(), 0);
  const std::size_t bytes = checked_bytes(dtype, shape);
  const auto memory = core_->results().allocate_result(header + bytes);
  Writer writer({memory.get(), header});
  detail::write_array_header(writer, dtype, shape, false);
  const std::shared_ptr<std::byte> elements(memory, memory.get() + header);
  results_.emplace_back(dtype, shape, elements);
  destinations_.push_back(destination_of(results_.back()));
}

bool Computation::reads_destination() const {
  return std::ranges::any_of(lowered_.externals, [&](const array::External& external) {
    const auto* region = std::get_if<array::HostRegion>(&external);
    return region != nullptr && overlap(destinations_.front(), region->array.bytes());
  });
}

detail::Bytes Computation::encoded_result(std::size_t root) const {
  if (results_.empty()) return {};
  const HostArray& array = results_[root];
  const std::size_t header = detail::encoded_array_size(array.ndim(), 0);
  return {array.storage(), {array.storage().get() - header, header + array.size_bytes()}};
}

void Computation::start() {
  Inputs inputs(*core_, lowered_);
  core_->start(*submitted_.run, inputs.ids(), lowered_.files, std::move(stream_));
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
  std::vector<Streamed> streamed;
  {
    std::lock_guard lock(run.mutex);
    arrived.swap(run.arrived);
    streamed.swap(run.streamed);
    run.has_arrived = false;
  }
  for (const auto position : arrived) {
    const detail::Bytes bytes = submitted_.outputs[position]->get();
    auto target =
        std::lower_bound(targets_.begin(), targets_.end(), position,
                         [](const Target& t, std::uint32_t value) { return t.position < value; });
    for (; target != targets_.end() && target->position == position; ++target) {
      merge(*target, bytes.bytes);
    }
    submitted_.outputs[position].reset();
  }
  for (Streamed& entry : streamed) {
    merge(streamed_[entry.position], entry.buffer.bytes());
    entry.buffer = {};
    core_->move_on(run.number, entry.position);
  }
}

void Computation::merge(const Target& target, std::span<const std::byte> bytes) {
  const auto& grid = lowered_.roots[target.root].grid;
  const Shape at = grid.position(target.chunk);
  const Shape extents = grid.extents(at);
  const detail::Destination& to = destinations_[target.root];
  const std::size_t expected = checked_bytes(to.dtype, extents);
  if (bytes.size() != expected) {
    throw TaskFailed("a chunk of the result has " + std::to_string(bytes.size()) +
                     " bytes, expected were " + std::to_string(expected));
  }
  copy_into_box(to, grid.start(at), extents, bytes);
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
