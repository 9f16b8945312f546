#include <utility>

#include "driver/state.hpp"

namespace ashlar::driver {

bool DriverEngine::State::is_push_due(const Datum& datum) const {
  const auto host = hosts.find(datum.holder);
  return host != hosts.end() && protocol::is_pushed(host_identity, host->second, datum.bytes);
}

/// Starts bringing an owed datum that is away, or asks where it is.
void DriverEngine::State::bring(Entry entry) {
  if (entry->second.holder.is_none()) {
    locate(entry);
    return;
  }
  entry->second.place = Place::queued;
  queue.insert(entry->first);
}

/// The datum is away; nothing is under way for it.
void DriverEngine::State::stop_bringing(Entry entry) {
  Datum& datum = entry->second;
  if (datum.place == Place::queued) {
    queue.erase(entry->first);
  } else if (datum.place == Place::fetching) {
    --fetches;
    act(AbandonFetch{entry->first});
  }
  datum.place = Place::away;
}

void DriverEngine::State::locate(Entry entry) {
  entry->second.place = Place::locating;
  to_locate.push_back(entry->first);
}

void DriverEngine::State::deliver(Entry entry) {
  Datum& datum = entry->second;
  datum.place = Place::here;
  datum.fetches_failed = 0;
  give_to_streams(entry);
  if (!datum.is_owed) return;
  datum.is_kept = true;
  act(Deliver{entry->first});
  settle_debt(entry);
}

/// What came home counts in the run that it came for.
void DriverEngine::State::count(Entry entry, bool is_local) {
  std::uint32_t number = entry->first.run.number;
  for (const Reader& reader : entry->second.readers) {
    const bool is_pulled = runs.at(reader.run).stream.pulled.contains(reader.position);
    if (is_pulled && !entry->second.is_owed) number = reader.run;
  }
  const auto run = runs.find(number);
  if (run == runs.end()) return;
  (is_local ? run->second.local_bytes : run->second.remote_bytes) += entry->second.bytes;
}

/// The datum cannot be had, now or later.
void DriverEngine::State::fail(Entry entry, std::shared_ptr<const Failure> failure) {
  stop_bringing(entry);
  entry->second.place = Place::lost;
  entry->second.failure = std::move(failure);
  act(DatumFailed{entry->first, entry->second.failure->kind, entry->second.failure->text});
  fail_streams(entry, entry->second.failure);
  if (!entry->second.is_owed) return;
  const auto run = runs.find(entry->first.run.number);
  const bool is_missed = run != runs.end() && run->second.bring_home;
  if (is_missed && run->second.failure == nullptr) run->second.failure = entry->second.failure;
  settle_debt(entry);
}

/// An owed datum was delivered or failed.
void DriverEngine::State::settle_debt(Entry entry) {
  entry->second.is_owed = false;
  const std::uint32_t number = entry->first.run.number;
  const auto run = runs.find(number);
  if (run == runs.end()) return;
  --run->second.owed;
  finish_if_complete(number);
}

void DriverEngine::State::release(const DatumId& id) {
  const auto entry = data.find(id);
  if (entry == data.end() || entry->second.is_released) return;
  Datum& datum = entry->second;
  fail_streams(entry, std::make_shared<Failure>(
                          Failure{ErrorKind::cancelled, "released before it came", true}));
  if (lost == nullptr) to_release.push_back(id);
  if (datum.is_put && lost == nullptr) {
    datum.is_released = true;
    return;
  }
  if (datum.place == Place::here) {
    drops.push_back(id);
  } else {
    stop_bringing(entry);
  }
  if (datum.is_owed) {
    act(DatumFailed{id, ErrorKind::cancelled, "released before it came"});
    settle_debt(entry);
  }
  data.erase(entry);
}

/// Fails what a run still owes; data that were made are still brought when `keep_made`.
void DriverEngine::State::fail_outstanding(std::uint32_t run,
                                           const std::shared_ptr<const Failure>& failure,
                                           bool keep_made) {
  const auto [first, last] = data_of(run);
  for (auto entry = first; entry != last; ++entry) {
    const Datum& datum = entry->second;
    if (datum.is_put || datum.place == Place::here || datum.place == Place::lost) continue;
    if (!keep_made || datum.place == Place::unmade) {
      fail(entry, failure);
    } else if (datum.place == Place::locating) {
      to_locate.push_back(entry->first);  // the answer may have waited for it to be made again
    }
  }
}

void DriverEngine::State::pump() {
  while (fetches < limits.fetches && !queue.empty()) {
    const auto entry = data.find(*queue.begin());
    queue.erase(queue.begin());
    entry->second.place = Place::fetching;
    ++fetches;
    act(StartFetch{entry->first, entry->second.holder, entry->second.bytes});
  }
}

}  // namespace ashlar::driver
