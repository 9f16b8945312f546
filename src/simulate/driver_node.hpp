#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "driver/driver_engine.hpp"
#include "simulate/peer_node.hpp"

namespace ashlar::simulate {

/// A driver process and the program in it: puts data, submits random graphs at random times,
/// cancels some, compares what comes home with sequential execution, and releases everything.
class DriverNode : public PeerNode {
 public:
  DriverNode(World& world, PeerId id, std::string host, SessionId session);

  void connect();
  void kill();
  void told(protocol::SchedulerToDriver message);
  void tick() override;
  /// Everything was submitted, has ended and was released.
  bool is_done() const { return phase_ == Phase::done; }
  std::string leftovers() const override;
  std::string dump() const override { return engine_.dump(); }

 private:
  enum class Phase : std::uint8_t { running, bringing, done };
  struct Submitted {
    Job job;
    std::uint32_t template_number = protocol::no_template;
    bool bring_home = true;
    bool is_cancelled = false;
    bool is_finished = false;
    bool was_cancelled = false;  ///< before it had ended
  };

  void fetched(const DatumId& datum, const Chunk& chunk, bool is_in_place) override;
  void fetch_failed(const DatumId& datum, PeerId peer, const std::string& broken) override;
  void asked(PeerId peer, std::uint64_t request, const DatumId& datum,
             const protocol::Urgency& urgency) override;
  void unasked(PeerId, std::uint64_t) override {}
  void unasked_all(PeerId) override {}
  void pushed(const DatumId& datum, const Chunk& chunk) override;
  void loans_wanted(PeerId peer) override { copy_loans(peer); }

  void put_some();
  void submit_one();
  void step(std::vector<driver::Event> events);
  void perform(driver::Action& action);
  void delivered(const DatumId& datum);
  void failed(const driver::DatumFailed& action);
  void finished(const driver::RunFinished& action);
  void advance();
  void release(const DatumId& datum);
  bool may_fail(std::uint32_t run) const;
  void choose_job(Submitted& submitted);
  bool may_be_disturbed() const;
  bool is_for_a_cut(std::uint32_t run, const std::string& error) const;
  bool reads_released(std::uint32_t run) const;

  SessionId session_;
  driver::DriverEngine engine_;
  Inbox<driver::Event> inbox_;
  Phase phase_ = Phase::running;
  std::uint32_t next_run_ = 0;
  std::uint32_t unfinished_;
  std::map<std::uint32_t, Submitted> runs_;
  std::map<DatumId, Chunk> expected_;  ///< of everything not released
  std::set<DatumId> released_;
  std::map<DatumId, int> owed_;
  std::vector<Source> sources_;
  std::vector<std::shared_ptr<const graph::TaskGraph>> templates_;  ///< by number
};

}  // namespace ashlar::simulate
