#include "simulate/cluster.hpp"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/scheduler_engine.hpp"
#include "simulate/driver_node.hpp"
#include "simulate/worker_node.hpp"
#include "simulate/world.hpp"

namespace ashlar::simulate {

namespace {

/// One history.
class Play {
 public:
  Play(const Config& config, std::uint64_t seed)
      : world_(config, seed),
        scheduler_(config.limits, seed),
        inbox_(world_, [this](std::vector<scheduler::Event> events) { step(std::move(events)); }) {
    world_.to_scheduler = [this](scheduler::Event event) { inbox_.post(std::move(event)); };
    if (config.observer) config.observer->scheduler_made(seed);
  }

  Outcome run() {
    const Config& config = world_.config;
    const std::size_t workers = config.machine ? config.machine->speeds.size() : config.workers;
    for (std::size_t i = 0; i < workers; ++i) add_worker();
    for (std::uint32_t i = 0; i < config.drivers; ++i) add_driver();
    const Duration act_one = Duration::milliseconds(200);
    for (std::uint32_t i = 0; i < config.kills; ++i) {
      world_.after(world_.any_duration(act_one), [this] { kill_worker(); });
    }
    for (std::uint32_t i = 0; i < config.cuts; ++i) {
      world_.after(world_.any_duration(act_one), [this] { cut_link(); });
    }
    for (std::uint32_t i = 0; i < config.joins; ++i) {
      world_.after(world_.any_duration(act_one), [this] { add_worker(); });
    }
    for (std::uint32_t i = 0; i < config.driver_kills && i < drivers_.size(); ++i) {
      world_.after(world_.any_duration(act_one), [this, i] { drivers_[i]->kill(); });
    }
    for (std::size_t w = 0; config.machine && w < workers; ++w) {
      if (config.machine->vanishes_at(w).ns > 0) will_vanish(w);
    }
    tick();
    while (!is_over_ && world_.outcome.problem.empty() && world_.happen()) {
    }
    world_.outcome.took = world_.now - Instant{};
    world_.outcome.template_runs = scheduler_.counters().template_runs;
    if (world_.outcome.problem.empty()) look_for_leftovers();
    return world_.outcome;
  }

 private:
  std::string any_host() { return "host" + std::to_string(world_.below(world_.config.hosts)); }

  void add_worker() {
    const PeerId id{world_.next_peer++};
    std::string host = any_host();
    WorkerNode::Power power{1 + world_.below(world_.config.slots_max), 1,
                            world_.config.memory_limit, world_.config.can_spill ? 1.0 : 0.0};
    if (const Machine* machine = world_.config.machine.get()) {
      const std::size_t number = workers_.size();
      host = "host " + std::to_string(machine->host_at(number));
      power.slots = machine->slots_at(number);
      power.speed = machine->speeds[number];
      power.disk_bandwidth = machine->disk_at(number);
      if (!machine->memory_of.empty()) power.memory_limit = machine->memory_of[number];
    }
    auto worker = std::make_unique<WorkerNode>(world_, id, std::move(host), power);
    workers_[id] = worker.get();
    world_.peers[id] = std::move(worker);
    workers_[id]->join();
  }

  void add_driver() {
    const PeerId id{world_.next_peer++};
    const SessionId session{static_cast<std::uint32_t>(drivers_.size())};
    const Machine* machine = world_.config.machine.get();
    std::string host = machine == nullptr                 ? any_host()
                       : machine->is_driver_on_first_host ? "host 0"
                                                          : "host of the driver";
    auto driver = std::make_unique<DriverNode>(world_, id, std::move(host), session);
    drivers_.push_back(driver.get());
    world_.peers[id] = std::move(driver);
    drivers_.back()->connect();
  }

  /// The worker dies a while after the last submission.
  void will_vanish(std::size_t worker) {
    world_.on_last_submission = [this, worker, before = std::move(world_.on_last_submission)] {
      before();
      world_.after(world_.config.machine->vanishes_at(worker),
                   [this, worker] { std::next(workers_.begin(), worker)->second->kill(); });
    };
  }

  /// Takes a worker down, but not the last.
  void kill_worker() {
    std::vector<WorkerNode*> alive;
    for (const auto& [id, worker] : workers_) {
      if (worker->is_alive()) alive.push_back(worker);
    }
    if (alive.size() > 1) {
      alive[world_.below(static_cast<std::uint32_t>(alive.size()))]->kill();
    }
  }

  /// A worker reaches another one no more, nor that one it, mostly.
  void cut_link() {
    const auto any_worker = [this] {
      return std::next(workers_.begin(), world_.below(static_cast<std::uint32_t>(workers_.size())))
          ->second;
    };
    const WorkerNode *one = any_worker(), *other = any_worker();
    if (one->host() == other->host()) return;
    const PeerId a = one->id(), b = other->id();
    const bool is_both_ways = world_.below(4) > 0;
    world_.cut(a, b);
    if (is_both_ways) world_.cut(b, a);
    if (world_.below(3) > 0) return;
    world_.after(world_.any_duration(Duration::seconds(4)), [this, a, b] {
      world_.cuts.erase({a, b});
      world_.cuts.erase({b, a});
    });
  }

  void step(std::vector<scheduler::Event> events) {
    if (!world_.outcome.problem.empty()) return;
    scheduler_.step(events, world_.now, actions_);
    if (Observer* observer = world_.config.observer.get()) {
      observer->stepped(events, world_.now, actions_);
    }
    ++world_.outcome.steps;
    if (++steps_ % world_.config.check_every == 0) scheduler_.check_invariants();
    for (scheduler::Action& action : actions_) perform(action);
  }

  void perform(scheduler::Action& action) {
    world_.note(action.index());
    if (auto* to = std::get_if<scheduler::ToWorker>(&action)) {
      world_.send(scheduler_id, to->worker,
                  [worker = workers_.at(to->worker), message = std::move(to->message)] {
                    worker->told(message);
                  });
    } else if (auto* home = std::get_if<scheduler::ToDriver>(&action)) {
      DriverNode* driver = drivers_.at(home->session.value);
      if (const auto* end = std::get_if<protocol::RunEnded>(&home->message)) {
        check_end(*end);
        world_.outcome.peak_bytes = world_.take_peak();
        world_.outcome.makespan = Duration{end->stats.makespan_ns};
        world_.outcome.remote_bytes += end->stats.remote_bytes;
        world_.outcome.spilled_bytes += end->stats.spilled_bytes;
        world_.outcome.loaded_bytes += end->stats.loaded_bytes;
        world_.outcome.last_error = end->error;
      }
      world_.send(scheduler_id, driver->id(),
                  [driver, message = std::move(home->message)] { driver->told(message); });
    } else if (const auto* drop = std::get_if<scheduler::DropPeer>(&action)) {
      world_.fail("the scheduler drops peer " + std::to_string(drop->peer.value) + ": " +
                  drop->reason);
    }
  }

  void check_end(const protocol::RunEnded& end) {
    if (end.error.find("nothing runs") == std::string::npos) return;
    // Runs that read what the failed one should have made end later, for the same reason.
    if (!shortages_told_.insert(end.error).second) return;
    if (!world_.config.is_memory_tight) {
      world_.fail("a run lacks memory: " + end.error + "\n" + scheduler_.dump() + dump_peers());
    }
    for (const auto& [id, worker] : workers_) {
      if (!worker->is_alive() || !worker->is_running()) continue;
      world_.fail("a run fails for want of memory while a task runs: " + end.error + "\n" +
                  scheduler_.dump() + dump_peers());
    }
  }

  /// Time passes for everybody; sees whether the play is over, or goes on for too long.
  void tick() {
    world_.to_scheduler(scheduler::Tick{});
    bool are_done = true;
    for (const auto& [id, peer] : world_.peers) {
      if (peer->is_alive()) peer->tick();
    }
    for (const DriverNode* driver : drivers_) {
      are_done = are_done && (driver->is_done() || !driver->is_alive());
    }
    if (!are_done) {
      const Config& config = world_.config;
      // What still moves when runs are cancelled may take long on a slow network.
      const double seconds = !config.machine ? 5 : config.cancels > 0 ? 20 : 0.5;
      settled_at_ = world_.now + Duration::seconds(seconds);
    } else if (world_.now > settled_at_) {
      is_over_ = true;
    }
    if (world_.now > Instant{} + world_.config.patience) {
      world_.fail("it hangs\n" + scheduler_.dump() + dump_peers());
    }
    world_.after(Duration::milliseconds(50), [this] { tick(); });
  }

  std::string dump_peers() const {
    std::string text;
    for (const auto& [id, peer] : world_.peers) {
      if (peer->is_alive()) text += peer->dump();
    }
    return text;
  }

  void look_for_leftovers() {
    for (const auto& [id, peer] : world_.peers) {
      const std::string left = peer->is_alive() ? peer->leftovers() : "";
      if (!left.empty()) world_.fail(left + "\n" + scheduler_.dump());
    }
    if (scheduler_.unfinished_tasks() > 0) {
      world_.fail("the scheduler still has tasks\n" + scheduler_.dump());
    }
  }

  World world_;
  scheduler::SchedulerEngine scheduler_;
  scheduler::Actions actions_;
  Inbox<scheduler::Event> inbox_;
  std::map<PeerId, WorkerNode*> workers_;
  std::vector<DriverNode*> drivers_;
  Instant settled_at_;
  std::uint64_t steps_ = 0;
  bool is_over_ = false;
  std::set<std::string> shortages_told_;
};

}  // namespace

Cluster::Cluster(Config config) : config_(config) {}

Outcome Cluster::run(std::uint64_t seed) const { return Play(config_, seed).run(); }

}  // namespace ashlar::simulate
