#include "session/array_stream.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/shape.hpp"
#include "session/computation.hpp"

namespace ashlar {

namespace session {

namespace {
constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
}

ArrayStream::ArrayStream(std::shared_ptr<Core> core, const Array& array,
                         const StreamOptions& options)
    : core_(std::move(core)),
      is_in_order_(options.in_order),
      lowered_(array::lower(
          {&array, 1}, {.shares_persisted_results = true, .partial_suffix = partial_suffix()})) {
  submitted_ = core_->prepare(lowered_.graph, false);
  Run& run = *submitted_.run;
  run.ends_on_failure = true;
  run.repetition = Repetition::perhaps;
  driver::StreamOrder order;
  order.bytes_max = options.bytes_max;
  order.is_in_order = options.in_order;
  const auto& wanted = lowered_.graph->wanted;
  for (const std::uint32_t datum : lowered_.roots.front().data) {
    if (const std::uint32_t outputs = lowered_.graph->output_count(); datum >= outputs) {
      const auto& there = std::get<array::DatumRef>(lowered_.externals[datum - outputs]);
      order.data.push_back(persisted_output(*core_, there)->id());
      handles_.push_back(there.keepalive);
    } else {
      const auto position = std::lower_bound(wanted.begin(), wanted.end(), datum) - wanted.begin();
      const auto& output = submitted_.outputs[static_cast<std::size_t>(position)];
      order.data.push_back(output->id());
      handles_.push_back(output);
    }
  }
  submitted_.outputs.clear();
  Inputs inputs(*core_, lowered_);
  core_->start(run, inputs.ids(), lowered_.files, std::move(order));
  try {
    inputs.bring();
  } catch (...) {
    leave();
    throw;
  }
}

ArrayStream::~ArrayStream() {
  if (!is_over_) leave();
}

void ArrayStream::leave() {
  core_->cancel(submitted_.run->number);
  core_->end_stream(submitted_.run->number);
}

Chunk* ArrayStream::next() {
  Run& run = *submitted_.run;
  if (is_over_) return nullptr;
  if (looked_at_ > 0) {
    chunk_.elements_ = {};
    core_->move_on(run.number, at_hand_);
    handles_[at_hand_].reset();
  }
  if (looked_at_ == handles_.size()) {
    finish();
    return nullptr;
  }
  core_->loop().drive_until(
      [&] {
        take_arrived();
        return is_next_here() || run.is_finished || core_->is_disconnected();
      },
      never);
  if (!is_next_here() || run.is_finished) {
    is_over_ = true;
    core_->wait(run);  // throws what it failed with
    throw Disconnected("the stream ended before its last chunk");
  }
  const auto entry = std::min_element(
      arrived_.begin(), arrived_.end(),
      [](const Streamed& a, const Streamed& b) { return a.position < b.position; });
  Streamed taken = std::move(*entry);
  arrived_.erase(entry);
  show(std::move(taken));
  return &chunk_;
}

/// Moves what the core has noted.
void ArrayStream::take_arrived() {
  Run& run = *submitted_.run;
  if (!run.has_arrived) return;
  std::lock_guard lock(run.mutex);
  std::ranges::move(run.streamed, std::back_inserter(arrived_));
  run.streamed.clear();
  run.has_arrived = false;
}

bool ArrayStream::is_next_here() const {
  if (!is_in_order_) return !arrived_.empty();
  return std::ranges::any_of(arrived_,
                             [&](const Streamed& entry) { return entry.position == looked_at_; });
}

void ArrayStream::show(Streamed entry) {
  const auto& root = lowered_.roots.front();
  const Shape at = root.grid.position(entry.position);
  const Shape extents = root.grid.extents(at);
  const std::size_t bytes = checked_bytes(root.dtype, extents);
  if (entry.buffer.size() != bytes) {
    throw TaskFailed("a chunk of the array has " + std::to_string(entry.buffer.size()) +
                     " bytes, expected were " + std::to_string(bytes));
  }
  const auto owner = std::make_shared<store::Buffer>(std::move(entry.buffer));
  chunk_.offset_ = root.grid.start(at);
  chunk_.elements_ = HostArray::read_only(root.dtype, extents, {owner, owner->bytes().data()});
  at_hand_ = entry.position;
  ++looked_at_;
}

/// All chunks were looked at: the run has only to be told of.
void ArrayStream::finish() {
  is_over_ = true;
  core_->keep_report(core_->report_of(*submitted_.run));
}

}  // namespace session

Stream::Stream(std::unique_ptr<session::ArrayStream> stream) : stream_(std::move(stream)) {}
Stream::~Stream() = default;
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;

Chunk* Stream::next() {
  has_begun_ = true;
  chunk_ = nullptr;
  return chunk_ = stream_->next();
}

}  // namespace ashlar
