#include <utility>

#include "base/check.hpp"
#include "driver/state.hpp"

namespace ashlar::driver {

void DriverEngine::State::open_stream(std::uint32_t run, const StreamOrder& order) {
  Stream& stream = runs.at(run).stream;
  stream.order = order;
  stream.left = order.data.size();
  if (order.data.empty()) return;
  stream.is_open = true;
  streams.insert(run);
  for (std::uint32_t i = 0; i < order.data.size(); ++i) {
    const auto entry = data.find(order.data[i]);
    if (entry == data.end()) {
      close_stream(run, std::make_shared<Failure>(Failure{
                            ErrorKind::bad_input, "the datum is not known, or was released"}));
      return;
    }
    entry->second.readers.push_back({run, i});
    if (entry->second.place == Place::lost) {
      fail_streams(entry, entry->second.failure);
      return;
    }
    if (exists(entry) && !order.is_in_order) stream.ready.insert(i);
  }
}

/// It may be pulled. The scheduler knows what became of an output of an ended run that was never
/// spoken of.
bool DriverEngine::State::exists(Entry entry) const {
  if (entry->second.place != Place::unmade) return true;
  const auto run = runs.find(entry->first.run.number);
  return run == runs.end() || run->second.has_ended;
}

void DriverEngine::State::say_it_exists(Entry entry) {
  for (const Reader& reader : entry->second.readers) {
    Stream& stream = runs.at(reader.run).stream;
    if (!stream.order.is_in_order && !stream.pulled.contains(reader.position)) {
      stream.ready.insert(reader.position);
    }
  }
}

/// Pulls as much as the streams may have here.
void DriverEngine::State::pump_streams() {
  const std::set<std::uint32_t> open = streams;  // a pull may end one
  for (const std::uint32_t run : open) {
    while (streams.contains(run) && pull_next(run, runs.at(run).stream)) {
    }
  }
}

/// While a program looks at something, its runs may wait for memory as long as it likes.
void DriverEngine::State::say_what_is_held() {
  for (const std::uint32_t run : streams) say_whether_held(run);
}

void DriverEngine::State::say_whether_held(std::uint32_t number) {
  Run& run = runs.at(number);
  const bool is_held = run.stream.is_held();
  if (!limits.says_what_is_held || lost != nullptr || run.has_ended) return;
  if (std::exchange(run.stream.is_said_held, is_held) == is_held) return;
  send(protocol::StreamHeld{number, is_held});
}

/// The next entry if it exists and has room; returns whether that is so.
bool DriverEngine::State::pull_next(std::uint32_t run, Stream& stream) {
  const auto& order = stream.order;
  const bool is_any_left =
      order.is_in_order ? stream.next < order.data.size() : !stream.ready.empty();
  if (!is_any_left) return false;
  const std::uint32_t position = order.is_in_order ? stream.next : *stream.ready.begin();
  const auto entry = data.find(order.data[position]);
  if (!exists(entry)) return false;
  constexpr std::size_t entries_min = 2;
  const std::uint64_t bytes = stream.bytes + entry->second.bytes;
  if (stream.pulled.size() >= entries_min && bytes > order.bytes_max) return false;
  pull(run, stream, position);
  return true;
}

void DriverEngine::State::pull(std::uint32_t run, Stream& stream, std::uint32_t position) {
  const auto entry = data.find(stream.order.data[position]);
  Datum& datum = entry->second;
  if (stream.order.is_in_order) {
    ++stream.next;
  } else {
    stream.ready.erase(position);
  }
  stream.pulled.emplace(position, datum.bytes);
  stream.bytes += datum.bytes;
  ++datum.pulls;
  if (datum.place == Place::here) {
    stream.delivered.insert(position);
    act(StreamDeliver{run, position, entry->first});
  } else if (datum.place == Place::away) {
    bring(entry);
  } else if (datum.place == Place::unmade) {
    locate(entry);
  }
}

/// The entry is pulled no more; what nobody else needs here goes.
void DriverEngine::State::let_go(Stream& stream, std::uint32_t position) {
  const auto pulled = stream.pulled.find(position);
  stream.bytes -= pulled->second;
  stream.pulled.erase(pulled);
  stream.delivered.erase(position);
  const auto entry = data.find(stream.order.data[position]);
  Datum& datum = entry->second;
  --datum.pulls;
  if (datum.is_needed() || datum.place == Place::lost) return;
  if (datum.place != Place::here) {
    stop_bringing(entry);
  } else if (!datum.is_kept && !datum.is_put) {
    datum.place = Place::away;
    drops.push_back(entry->first);
  }
}

void DriverEngine::State::give_to_streams(Entry entry) {
  for (const Reader& reader : entry->second.readers) {
    Stream& stream = runs.at(reader.run).stream;
    if (stream.pulled.contains(reader.position)) {
      stream.delivered.insert(reader.position);
      act(StreamDeliver{reader.run, reader.position, entry->first});
    }
  }
}

void DriverEngine::State::fail_streams(Entry entry, const std::shared_ptr<const Failure>& failure) {
  while (!entry->second.readers.empty()) close_stream(entry->second.readers.front().run, failure);
}

/// Nothing more is pulled, and the run need not wait for it. With a failure, which is then the
/// run's, its tasks need not go on.
void DriverEngine::State::close_stream(std::uint32_t run,
                                       const std::shared_ptr<const Failure>& failure) {
  if (streams.erase(run) == 0) return;
  Stream& stream = runs.at(run).stream;
  stream.is_open = false;
  stream.failure = failure;
  while (!stream.pulled.empty()) let_go(stream, stream.pulled.begin()->first);
  say_whether_held(run);
  for (const DatumId& id : stream.order.data) {
    const auto entry = data.find(id);
    if (entry == data.end()) continue;
    std::erase_if(entry->second.readers, [&](const Reader& r) { return r.run == run; });
  }
  if (failure != nullptr && lost == nullptr && !runs.at(run).has_ended) {
    send(protocol::CancelRun{run});
  }
  finish_if_complete(run);
}

void DriverEngine::State::on(const StreamMoved& event) {
  if (!streams.contains(event.run)) return;
  Stream& stream = runs.at(event.run).stream;
  if (!stream.pulled.contains(event.position)) return;
  let_go(stream, event.position);
  const auto entry = data.find(stream.order.data[event.position]);
  std::erase(entry->second.readers, Reader{event.run, event.position});
  if (--stream.left == 0) close_stream(event.run, nullptr);
}

void DriverEngine::State::on(const StreamEnded& event) { close_stream(event.run, nullptr); }

}  // namespace ashlar::driver
