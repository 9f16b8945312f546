#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "simulate/peer_node.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::simulate {

/// A worker process: the engine, slots that compute, and a store.
class WorkerNode : public PeerNode {
 public:
  struct Power {
    std::uint32_t slots = 1;
    double speed = 1;
    std::uint64_t memory_limit = 0;
    double disk_bandwidth = 0;  ///< bytes/s for spilled data; 0: they stay in memory
  };
  WorkerNode(World& world, PeerId id, std::string host, Power power);

  /// Says hello to the scheduler.
  void join();
  void kill();
  void told(protocol::SchedulerToWorker message);
  void tick() override;
  std::string leftovers() const override;
  std::string dump() const override { return engine_.dump(); }
  bool is_running() const { return busy_ > 0 || !queue_.empty(); }

 private:
  struct Started {
    std::uint32_t handle = 0;
    std::vector<Chunk> inputs;
    Duration takes = {};     ///< once it runs
    std::uint32_t slot = 0;  ///< likewise
  };

  void fetched(const DatumId& datum, const Chunk& chunk, bool is_in_place) override;
  void fetch_failed(const DatumId& datum, PeerId peer, const std::string& broken) override;
  void asked(PeerId peer, std::uint64_t request, const DatumId& datum,
             const protocol::Urgency& urgency) override;
  void unasked(PeerId peer, std::uint64_t request) override;
  void unasked_all(PeerId peer) override;
  void pushed(const DatumId&, const Chunk&) override {}
  void read_done(const DatumId& datum, const Chunk& chunk) override;
  void loans_wanted(PeerId peer) override;

  void came(const Chunk& chunk);
  void step(std::vector<worker::Event> events);
  void perform(worker::Action& action);
  void start(const worker::StartTask& action);
  void withdraw(std::uint32_t handle);
  void spill(const worker::SpillDatum& action);
  void load(const worker::LoadDatum& action);
  /// Does something when the disk has moved so many bytes.
  void when_moved(std::uint64_t bytes, std::function<void()> what);
  void fill_slots();
  Duration time_of(std::uint32_t handle);
  Duration overhead_of(std::uint32_t handle) const;
  void record(const Started& started) const;
  void finish(const Started& started);

  worker::WorkerEngine engine_;
  Inbox<worker::Event> inbox_;
  std::vector<std::string> kernels_;  ///< each worker lists them in an order of its own
  Power power_;
  std::uint32_t busy_ = 0;
  std::vector<bool> is_busy_;  ///< of each slot
  std::deque<Started> queue_;
  std::uint64_t steps_ = 0;
  std::uint64_t unforeseen_bytes_ = 0;
  Instant disk_is_free_;
  std::map<std::uint64_t, Chunk> copies_;  ///< on disk, or being written
};

}  // namespace ashlar::simulate
