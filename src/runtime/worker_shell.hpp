#pragma once

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kernels/compute_slots.hpp"
#include "kernels/registry.hpp"
#include "net/link.hpp"
#include "runtime/data_table.hpp"
#include "runtime/exchange.hpp"
#include "runtime/loop.hpp"
#include "runtime/run_record.hpp"
#include "runtime/slot_time.hpp"
#include "runtime/spiller.hpp"
#include "store/arena.hpp"
#include "telemetry/load_sampler.hpp"
#include "telemetry/log.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::runtime {

/// The worker engine with its store, its slots and its links. Lives as long as its scheduler's
/// link.
class WorkerShell : private ExchangeEvents, private net::LinkEvents {
 public:
  struct Options {
    Exchange::Options exchange;
    worker::Limits limits;
    Loop::Options loop;
    std::string name;
    std::uint32_t slots = 1;
    std::uint64_t memory_limit = 0;
    /// Where data go when memory is short; none: they stay.
    std::optional<store::SpillFile::Options> spill;
    std::vector<std::pair<std::string, double>> resources;
    RunRecord record;  ///< or empty
  };

  /// Positions that a RunRecord needs for so many slots.
  static std::size_t record_positions(std::uint32_t slots, const worker::Limits& limits = {}) {
    return std::size_t{slots} * (limits.started_per_slot_max + 1);
  }

  /// Errors: as store::Arena and Exchange.
  WorkerShell(const kernels::Registry& registry, telemetry::Log& log, Options options);
  ~WorkerShell() override;

  /// The loop, for connecting before serve().
  Loop& loop() { return loop_; }

  /// Introduces this worker on the link and works until the scheduler ends it or is gone.
  /// Returns why. Call once, from a thread that is not the loop's.
  struct End {
    std::string reason;
    bool is_orderly = false;  ///< asked to end, and did
  };
  End serve(std::shared_ptr<net::Link> link);

  /// Asks to leave in good order: the scheduler moves work away and ends this worker. Any thread.
  void leave(const std::string& reason);

 private:
  struct Job;
  class Outputs;

  bool process();
  void perform(worker::Action& action);
  void start(const worker::StartTask& action);
  void run(std::uint32_t position);
  void collect_completed();
  void release(std::uint32_t position);
  void withdraw(std::uint32_t handle);
  void spill(const worker::SpillDatum& action);
  void collect_moved();
  void publish(Job& job, worker::TaskEnded& ended);
  void end(const std::string& reason, bool is_orderly);
  void tick();
  protocol::Heartbeat heartbeat();
  std::uint32_t free_job();

  void on_fetched(DatumId datum, std::uint64_t bytes, bool is_in_place, bool is_local) override;
  void on_fetch_failed(DatumId datum, PeerId peer, const std::string& broken) override;
  void on_asked(PeerId peer, std::uint64_t request, DatumId datum,
                const protocol::Urgency& urgency) override;
  void on_unasked(PeerId peer, std::uint64_t request) override;
  void on_loans_wanted(PeerId peer) override;
  void on_pushed(DatumId datum, std::uint64_t bytes, bool is_local) override;

  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                int descriptor) override;
  void on_payload(bool) override {}
  void on_batch_end() override {}
  void on_closed(const std::string& reason) override;

  const kernels::Registry& registry_;
  telemetry::Log& log_;
  Options options_;
  std::shared_ptr<store::Arena> arena_;
  DataTable table_;
  Loop loop_;
  Exchange exchange_;
  std::map<std::uint64_t, DatumId> loading_;  ///< by copy
  std::shared_ptr<net::Link> link_;
  std::unique_ptr<worker::WorkerEngine> engine_;
  boost::asio::steady_timer timer_;
  Instant last_heard_;
  telemetry::LoadSampler sampler_;
  SlotTime slot_time_;
  std::uint64_t samples_ = 0;

  std::vector<worker::Event> events_, taken_events_;  ///< to come, and within process()
  worker::Actions actions_;
  std::vector<std::unique_ptr<Job>> jobs_;  ///< fixed size: slots read it without a lock
  std::vector<std::uint32_t> free_jobs_;
  std::vector<kernels::ComputeSlots::Job> starting_;
  std::vector<kernels::ComputeSlots::Job> completed_;
  std::atomic<std::int64_t> last_turn_ns_{0};

  std::mutex end_mutex_;
  std::condition_variable end_changed_;
  bool has_ended_ = false;
  End end_;

  std::unique_ptr<Spiller> spiller_;
  std::unique_ptr<kernels::ComputeSlots> slots_;
  std::atomic<bool> has_slots_{false};  ///< slots begin before slots_ is set
};

}  // namespace ashlar::runtime
