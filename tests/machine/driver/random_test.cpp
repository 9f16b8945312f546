#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.hpp"
#include "machine/driver/rig.hpp"

namespace ashlar::driver {
namespace {

/// Any event in any order; every datum asked for must end exactly once.
class Mob {
 public:
  explicit Mob(std::uint64_t seed) : random_(seed), rig_({.fetches = 1 + below(4)}) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      std::vector<Event> events;
      for (std::uint32_t n = 1 + below(3); n > 0; --n) add_event(events);
      step(std::move(events));
    }
    step({SchedulerLost{"over"}});
    for (const auto& [id, count] : owed_) EXPECT_EQ(count, 0) << id.run.number << '.' << id.index;
    EXPECT_EQ(submitted_, finished_);
    EXPECT_EQ(rig_.engine.open_runs(), 0u);
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_.below(n)); }
  std::uint32_t any_run() { return 1 + below(run_ + 1); }
  DatumId any_datum() { return datum(below(4), any_run()); }

  void step(std::vector<Event> events) {
    rig_.now = rig_.now + Duration::milliseconds(below(300));
    rig_(std::move(events));
    for (const Action& action : rig_.actions) {
      if (const auto* deliver = std::get_if<Deliver>(&action)) --owed_[deliver->datum];
      if (const auto* failed = std::get_if<DatumFailed>(&action)) {
        // One that nobody asked for is said to be lost, too.
        if (!is_left_[failed->datum.run.number] || owed_[failed->datum] > 0) --owed_[failed->datum];
      }
      if (std::get_if<RunFinished>(&action) != nullptr) ++finished_;
      if (const auto* shown = std::get_if<StreamDeliver>(&action)) {
        EXPECT_TRUE(shown_.insert({shown->run, shown->position}).second) << "shown once";
      }
    }
    for (const auto& [id, count] : owed_) ASSERT_GE(count, 0) << id.index;
  }

  void add_event(std::vector<Event>& events) {
    FromScheduler from;
    switch (below(13)) {
      case 11:
        if (run_ < 8) events.emplace_back(any_stream());
        return;
      case 12:
        if (below(10) == 0) {
          events.emplace_back(StreamEnded{any_run()});
        } else {
          events.emplace_back(StreamMoved{any_run(), below(4)});
        }
        return;
      case 0: {
        if (run_ == 8) return;
        const bool is_brought = below(3) > 0;
        const std::uint32_t wanted = below(4);
        events.emplace_back(submission(4, wanted, ++run_, is_brought));
        ++submitted_;
        is_left_[run_] = !is_brought;
        for (std::uint32_t i = 0; is_brought && i < wanted; ++i) ++owed_[datum(i, run_)];
        return;
      }
      case 1:
        events.emplace_back(CancelAsked{any_run()});
        return;
      case 2: {
        // Asking again while it is owed is one debt; ask only for what is not.
        const DatumId id = any_datum();
        if (owed_[id] > 0) return;
        ++owed_[id];
        events.emplace_back(BringAsked{{id}});
        return;
      }
      case 3:
        if (below(3) == 0) events.emplace_back(ReleaseAsked{{any_datum()}});
        return;
      case 4:
        events.emplace_back(Arrived{any_datum(), 8});
        return;
      case 5:
        events.emplace_back(FetchFailed{any_datum(), PeerId{2 + below(2)}});
        return;
      case 6:
        events.emplace_back(Tick{});
        return;
      case 7:
        from.message = peer_info(2 + below(2), below(2) == 0 ? "here" : "there");
        break;
      case 8:
        if (below(3) > 0) {
          from.message = ready({below(4), below(4)}, 2 + below(2), below(2) << 20, any_run());
        } else if (below(2) == 0) {
          from.message = protocol::PeerGone{PeerId{2 + below(2)}, ""};
        } else {
          from.message = protocol::DataLost{{any_datum()}, "gone"};
        }
        break;
      case 9:
        from.message = ended(static_cast<protocol::RunOutcome>(below(3)), any_run());
        break;
      default:
        from.message = ready({below(4)}, 2 + below(2), below(2) << 20, any_run());
        break;
    }
    events.emplace_back(from);
  }

  /// Of outputs of its own and of other runs.
  SubmitAsked any_stream() {
    const std::uint32_t wanted = below(4);
    SubmitAsked event = submission(4, wanted, ++run_, below(4) == 0);
    ++submitted_;
    is_left_[run_] = !event.bring_home;
    for (std::uint32_t i = 0; event.bring_home && i < wanted; ++i) ++owed_[datum(i, run_)];
    for (std::uint32_t n = below(6); n > 0; --n) event.stream.data.push_back(any_datum());
    event.stream.bytes_max = below(4) << 20;
    event.stream.is_in_order = below(2) == 0;
    return event;
  }

  SplitMix64 random_;
  Rig rig_;
  std::uint32_t run_ = 0;
  int submitted_ = 0;
  int finished_ = 0;
  std::map<DatumId, int> owed_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> shown_;  ///< entries of streams
  std::map<std::uint32_t, bool> is_left_;                    ///< runs whose outputs are not brought
};

TEST(DriverRandom, EveryDebtIsSettledOnceInAnyOrderOfEvents) {
  for (std::uint64_t seed = 1; seed <= 5000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Mob(seed).run(60);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace ashlar::driver
