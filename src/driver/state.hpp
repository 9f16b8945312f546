#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "driver/driver_engine.hpp"

namespace ashlar::driver {

/// unmade: not known to exist yet; away: on `holder`, not being brought; expected: to be pushed;
/// locating: the scheduler was asked where it is; lost: for good, `failure` says why.
enum class Place : std::uint8_t { unmade, away, expected, queued, fetching, locating, here, lost };

struct Failure {
  ErrorKind kind = ErrorKind::task_failed;
  std::string text;
  bool is_ours_alone = false;  ///< others may have the datum
};

/// An entry of a run's stream.
struct Reader {
  std::uint32_t run = 0;
  std::uint32_t position = 0;
  friend bool operator==(const Reader&, const Reader&) = default;
};

struct Datum {
  Place place = Place::unmade;
  bool is_owed = false;      ///< asked for, and neither delivered nor failed yet
  bool is_kept = false;      ///< delivered: here until released
  bool is_put = false;       ///< made by this process
  bool is_released = false;  ///< put, and waiting for PutDataUnused
  std::uint32_t fetches_failed = 0;
  PeerId holder;
  std::uint64_t bytes = 0;
  Instant since;                ///< expected, or refused
  std::uint32_t pulls = 0;      ///< of `readers`, pulled: here or on its way for them
  std::vector<Reader> readers;  ///< that the program is not done with
  std::shared_ptr<const Failure> failure;

  bool is_needed() const { return is_owed || pulls > 0; }
};

struct Stream {
  StreamOrder order;
  bool is_open = false;
  std::uint32_t next = 0;         ///< in order: nothing was pulled from here on
  std::set<std::uint32_t> ready;  ///< not in order: entries that exist and were not pulled
  std::map<std::uint32_t, std::uint64_t> pulled;  ///< entries here or on their way; their bytes
  std::uint64_t bytes = 0;                        ///< of those
  std::set<std::uint32_t> delivered;              ///< of those, the ones that are here
  bool is_said_held = false;                      ///< what the scheduler was told last
  std::size_t left = 0;                           ///< entries that the program is not done with
  std::shared_ptr<const Failure> failure;

  /// The program looks at an entry, or may. In order it waits for the first one.
  bool is_held() const {
    return !delivered.empty() &&
           (!order.is_in_order || *delivered.begin() == pulled.begin()->first);
  }
};

struct Run {
  bool bring_home = true;
  bool has_ended = false;
  std::uint64_t tasks = 0;
  std::vector<DatumId> externals;
  std::uint64_t owed = 0;                  ///< its wanted outputs that are owed
  std::uint64_t local_bytes = 0;           ///< brought home from this host
  std::uint64_t remote_bytes = 0;          ///< and from others
  std::shared_ptr<const Failure> failure;  ///< why an output that was to be brought home is not
  Stream stream;
  protocol::RunEnded end;
};

struct DriverEngine::State {
  SessionId session;
  Limits limits;
  std::string host_identity;

  std::map<std::uint32_t, Run> runs;  ///< not finished
  std::map<DatumId, Datum> data;
  std::map<PeerId, std::string> hosts;  ///< of known peers
  std::set<DatumId> queue;
  std::set<std::uint32_t> templates;  ///< that the scheduler was sent
  std::set<std::uint32_t> streams;    ///< runs whose streams are open
  std::uint32_t fetches = 0;
  std::deque<std::pair<Instant, DatumId>> expected;  ///< pushes waited for, oldest first
  std::deque<std::pair<Instant, DatumId>> refused;   ///< to be located later, oldest first
  std::shared_ptr<const Failure> lost;               ///< the scheduler is

  // Within a step.
  Actions* actions = nullptr;
  Instant now;
  std::vector<DatumId> to_locate;
  std::vector<DatumId> to_release;
  std::vector<DatumId> drops;  ///< performed unless the datum came again in the same step

  using Entry = std::map<DatumId, Datum>::iterator;

  // explain.cpp
  void check_streams(std::map<DatumId, std::uint32_t>& pulls) const;

  // driver_engine.cpp
  void on(const SubmitAsked& event);
  void on(const CancelAsked& event);
  void on(const DropTemplateAsked& event);
  void on(const PutAsked& event);
  void on(const BringAsked& event);
  void on(const ReleaseAsked& event);
  void on(const FromScheduler& event);
  void on(const Arrived& event);
  void on(const FetchFailed& event);
  void on(const SchedulerLost& event);
  void on(const Tick& event);
  void on(const ExplainAsked& event);
  void on(const StreamMoved& event);
  void on(const StreamEnded& event);
  void told(const protocol::PeerInfo& message);
  void told(const protocol::PeerGone& message);
  void told(const protocol::DataReady& message);
  void told(const protocol::RunEnded& message);
  void told(const protocol::RunProgress& message);
  void told(const protocol::PutDataUnused& message);
  void told(const protocol::DataLost& message);
  void told(const protocol::Heartbeat& message);
  void told(const protocol::ClusterSize& message);
  void told(const protocol::Explanation& message);
  void end_step();
  void finish_if_complete(std::uint32_t run);
  std::shared_ptr<const Failure> failure_of(const std::vector<DatumId>& externals) const;

  // data.cpp
  void bring(Entry entry);
  void stop_bringing(Entry entry);
  void locate(Entry entry);
  void deliver(Entry entry);
  void fail(Entry entry, std::shared_ptr<const Failure> failure);
  void settle_debt(Entry entry);
  void release(const DatumId& id);
  void fail_outstanding(std::uint32_t run, const std::shared_ptr<const Failure>& failure,
                        bool keep_made);
  void pump();
  bool is_push_due(const Datum& datum) const;
  void count(Entry entry, bool is_local);

  // streams.cpp
  void open_stream(std::uint32_t run, const StreamOrder& order);
  bool exists(Entry entry) const;
  void say_it_exists(Entry entry);
  void pump_streams();
  void say_what_is_held();
  void say_whether_held(std::uint32_t run);
  bool pull_next(std::uint32_t run, Stream& stream);
  void pull(std::uint32_t run, Stream& stream, std::uint32_t position);
  void let_go(Stream& stream, std::uint32_t position);
  void give_to_streams(Entry entry);
  void fail_streams(Entry entry, const std::shared_ptr<const Failure>& failure);
  void close_stream(std::uint32_t run, const std::shared_ptr<const Failure>& failure);

  std::pair<Entry, Entry> data_of(std::uint32_t run) {
    const RunId id{session, run};
    return {data.lower_bound({id, 0}), data.upper_bound({id, ~std::uint32_t{0}})};
  }
  template <class A>
  void act(A&& action) {
    actions->emplace_back(std::forward<A>(action));
  }
  /// Built in place: gcc 12 takes the moved variant for uninitialised memory.
  template <class M>
  void send(M message) {
    Action& action = actions->emplace_back(std::in_place_type<ToScheduler>);
    std::get<ToScheduler>(action).message.emplace<M>(std::move(message));
  }
};

}  // namespace ashlar::driver
