#include <sstream>

#include "base/check.hpp"
#include "driver/state.hpp"

namespace ashlar::driver {

namespace {

const char* name_of(Place place) {
  switch (place) {
    case Place::unmade:
      return "not made yet";
    case Place::away:
      return "on its worker";
    case Place::expected:
      return "to be pushed";
    case Place::queued:
      return "to be fetched";
    case Place::fetching:
      return "being fetched";
    case Place::locating:
      return "being located";
    case Place::here:
      return "here";
    case Place::lost:
      return "lost";
  }
  return "?";
}

}  // namespace

std::string DriverEngine::dump() const {
  std::ostringstream out;
  out << "session " << state_->session.value << ": " << state_->runs.size() << " open runs, "
      << state_->fetches << " fetches under way"
      << (state_->lost != nullptr ? ", " + state_->lost->text : "") << '\n';
  for (const auto& [number, run] : state_->runs) {
    out << "run " << number << ": " << run.tasks << " tasks, " << run.owed << " data owed"
        << (run.has_ended ? ", ended" : "");
    if (run.stream.is_open) {
      out << ", " << run.stream.left << " data to look at, " << run.stream.pulled.size()
          << " of them pulled (" << run.stream.bytes << " bytes)";
    }
    out << '\n';
  }
  for (const auto& [id, datum] : state_->data) {
    out << "datum " << id.run.number << '.' << id.index << " (" << datum.bytes
        << " bytes): " << name_of(datum.place);
    if (!datum.holder.is_none()) out << ", peer " << datum.holder.value;
    if (datum.pulls > 0) out << ", " << datum.pulls << " pulls";
    out << (datum.is_owed ? ", owed" : "") << (datum.is_kept ? ", kept" : "")
        << (datum.is_put ? ", put" : "") << (datum.is_released ? ", released" : "") << '\n';
  }
  return out.str();
}

std::uint64_t DriverEngine::digest() const {
  std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const char c : dump()) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  return hash;
}

/// Adds up what streams pull of each datum.
void DriverEngine::State::check_streams(std::map<DatumId, std::uint32_t>& pulls) const {
  std::size_t left = 0, readers = 0;
  for (const std::uint32_t number : streams) {
    ASHLAR_CHECK(runs.contains(number) && lost == nullptr);
    const Stream& stream = runs.at(number).stream;
    std::uint64_t bytes = 0;
    for (const auto& [position, size] : stream.pulled) {
      bytes += size;
      ++pulls[stream.order.data[position]];
      ASHLAR_CHECK(!stream.ready.contains(position));
    }
    ASHLAR_CHECK(bytes == stream.bytes);
    ASHLAR_CHECK(stream.pulled.size() <= 2 || bytes <= stream.order.bytes_max);
    left += stream.left;
  }
  for (const auto& [id, datum] : data) readers += datum.readers.size();
  ASHLAR_CHECK(left == readers);
}

void DriverEngine::check_invariants() const {
  std::uint32_t fetching = 0;
  std::map<std::uint32_t, std::uint64_t> owed;
  std::map<DatumId, std::uint32_t> pulls;
  state_->check_streams(pulls);
  for (const auto& [id, datum] : state_->data) {
    const auto about = [&] { return dump(); };
    fetching += datum.place == Place::fetching ? 1 : 0;
    ASHLAR_CHECK((datum.place == Place::queued) == state_->queue.contains(id), about());
    if (datum.is_owed) {
      ++owed[id.run.number];
      ASHLAR_CHECK(state_->lost == nullptr, about());
      ASHLAR_CHECK(datum.place != Place::here && datum.place != Place::lost, about());
      ASHLAR_CHECK(datum.place != Place::away, about());
    } else if (datum.is_needed()) {
      ASHLAR_CHECK(
          datum.place != Place::away && datum.place != Place::unmade && datum.place != Place::lost,
          about());
    } else {
      ASHLAR_CHECK(datum.place == Place::unmade || datum.place == Place::away ||
                       datum.place == Place::here || datum.place == Place::lost,
                   about());
      ASHLAR_CHECK(datum.place != Place::here || datum.is_kept || datum.is_put, about());
    }
    ASHLAR_CHECK(datum.pulls == pulls[id], about());
    ASHLAR_CHECK((datum.place == Place::lost) == (datum.failure != nullptr), about());
  }
  ASHLAR_CHECK(fetching == state_->fetches && fetching <= state_->limits.fetches, dump());
  for (const auto& [number, run] : state_->runs) {
    ASHLAR_CHECK(run.owed == owed[number], dump());
    ASHLAR_CHECK(!run.has_ended || run.owed > 0 || run.stream.is_open, dump());
    ASHLAR_CHECK(run.stream.is_open == state_->streams.contains(number), dump());
  }
  ASHLAR_CHECK(state_->lost == nullptr || state_->runs.empty(), dump());
  ASHLAR_CHECK(state_->to_locate.empty() && state_->to_release.empty());
}

}  // namespace ashlar::driver
