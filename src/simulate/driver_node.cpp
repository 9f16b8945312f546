#include "simulate/driver_node.hpp"

#include <algorithm>
#include <utility>

namespace ashlar::simulate {

DriverNode::DriverNode(World& world, PeerId id, std::string host, SessionId session)
    : PeerNode(world, id, host),
      session_(session),
      engine_(session, {}, host),
      inbox_(world, [this](std::vector<driver::Event> events) { step(std::move(events)); }),
      unfinished_(world.config.machine ? static_cast<std::uint32_t>(world.config.programs.size())
                                       : world.config.runs) {}

void DriverNode::connect() {
  protocol::Hello hello;
  hello.role = protocol::Role::driver;
  hello.name = name();
  hello.endpoint.host_identity = host_;
  world_.send(id_, scheduler_id, [this, hello] {
    world_.to_scheduler(scheduler::SessionOpened{session_, id_, hello});
  });
  if (world_.config.machine) {
    world_.after(submission_pause, [this] { submit_one(); });
    return;
  }
  put_some();
  for (std::uint32_t i = 0; i < world_.config.runs; ++i) {
    world_.after(world_.any_duration(Duration::milliseconds(100)), [this] { submit_one(); });
  }
}

void DriverNode::kill() {
  die();
  world_.send(id_, scheduler_id,
              [this] { world_.to_scheduler(scheduler::SessionClosed{session_}); });
}

void DriverNode::told(protocol::SchedulerToDriver message) {
  if (is_alive_) inbox_.post(driver::FromScheduler{std::move(message)});
}

void DriverNode::tick() { inbox_.post(driver::Tick{}); }

void DriverNode::put_some() {
  driver::PutAsked event;
  event.put.run = next_run_++;
  for (std::uint32_t i = 0; i < world_.below(4); ++i) {
    const Chunk chunk{world_.random.next(), 1 + world_.below(100'000)};
    const DatumId datum{{session_, event.put.run}, i};
    keep(datum, chunk);
    expected_[datum] = chunk;
    sources_.push_back({datum, chunk, false});
    event.put.bytes.push_back(chunk.bytes);
  }
  inbox_.post(std::move(event));
}

void DriverNode::submit_one() {
  if (!is_alive_) return;
  const std::uint32_t run = next_run_++;
  Submitted& submitted = runs_[run];
  if (world_.config.machine) {
    submitted.job = job_of(world_.config.programs[run]->graph);
    if (world_.config.repeats > 0) {  // all programs are the same one
      submitted.template_number = 0;
      if (templates_.empty()) templates_.push_back(submitted.job.graph);
    }
    submitted.bring_home = false;
    world_.take_peak();
    if (next_run_ == world_.config.programs.size()) {
      world_.is_last_submitted = true;
      world_.on_last_submission();
    }
  } else {
    choose_job(submitted);
    submitted.bring_home = world_.below(3) > 0;
  }
  const bool may_be_cancelled = !world_.config.machine || world_.config.cancels > 0;
  submitted.is_cancelled = may_be_cancelled && world_.below(100) < world_.config.cancels;
  for (const auto& [index, chunk] : submitted.job.expected) {
    const DatumId datum{{session_, run}, index};
    expected_[datum] = chunk;
    sources_.push_back({datum, chunk, may_fail(run)});
  }
  for (const std::uint32_t index : submitted.job.graph->wanted) {
    if (submitted.job.expected.contains(index)) continue;
    sources_.push_back({{{session_, run}, index}, {0, 8}, true, true});
  }
  if (submitted.bring_home) {
    for (const std::uint32_t index : submitted.job.graph->wanted) ++owed_[{{session_, run}, index}];
  }
  driver::SubmitAsked event;
  event.run = {.run = run,
               .graph = submitted.job.graph,
               .externals = submitted.job.externals,
               .template_number = submitted.template_number};
  event.bring_home = submitted.bring_home;
  inbox_.post(std::move(event));
  if (submitted.is_cancelled) {
    const Duration latest = Duration::milliseconds(world_.config.machine ? 1000 : 30);
    world_.after(world_.any_duration(latest), [this, run] {
      if (is_alive_) inbox_.post(driver::CancelAsked{run});
    });
  }
}

/// A new graph, or one that ran before, with other data.
void DriverNode::choose_job(Submitted& submitted) {
  if (!templates_.empty() && world_.below(100) < world_.config.repeats) {
    submitted.template_number = world_.below(static_cast<std::uint32_t>(templates_.size()));
    submitted.job = job_again(templates_[submitted.template_number], world_.random, sources_);
    if (submitted.job.graph) return;
  }
  submitted.job = make_job(world_.config, world_.random, sources_);
  submitted.template_number = protocol::no_template;
  if (world_.config.repeats == 0) return;
  submitted.template_number = static_cast<std::uint32_t>(templates_.size());
  templates_.push_back(submitted.job.graph);
}

bool DriverNode::may_fail(std::uint32_t run) const {
  return runs_.at(run).job.may_fail || may_be_disturbed();
}

/// Data may fail that descend from no kernel that throws.
bool DriverNode::may_be_disturbed() const {
  return world_.config.cancels > 0 || world_.kills > 0 || world_.config.is_memory_tight;
}

/// Whether the run may fail since links were cut, and tells of them as it is to. What descends from
/// nothing that was released can be made again, and all of it by one worker.
bool DriverNode::is_for_a_cut(std::uint32_t run, const std::string& error) const {
  return world_.config.cuts > 0 && reads_released(run) &&
         error.find("cannot fetch from worker") != std::string::npos &&
         error.find("the simulated ") != std::string::npos;
}

bool DriverNode::reads_released(std::uint32_t run) const {
  const auto submitted = runs_.find(run);
  if (submitted == runs_.end()) return false;  // put
  return std::ranges::any_of(submitted->second.job.externals, [this](const DatumId& datum) {
    return released_.contains(datum) || reads_released(datum.run.number);
  });
}

void DriverNode::fetched(const DatumId& datum, const Chunk& chunk, bool) { pushed(datum, chunk); }

void DriverNode::pushed(const DatumId& datum, const Chunk& chunk) {
  keep(datum, chunk);
  inbox_.post(driver::Arrived{datum, chunk.bytes});
}

void DriverNode::fetch_failed(const DatumId& datum, PeerId peer, const std::string&) {
  inbox_.post(driver::FetchFailed{datum, peer});
}

void DriverNode::asked(PeerId peer, std::uint64_t request, const DatumId& datum,
                       const protocol::Urgency& urgency) {
  if (store_.contains(datum)) {
    answer(peer, request, datum, urgency);
  } else {
    refuse(peer, request);
  }
}

void DriverNode::step(std::vector<driver::Event> events) {
  if (!is_alive_ || !world_.outcome.problem.empty()) return;
  driver::Actions actions;
  engine_.step(events, world_.now, actions);
  ++world_.outcome.steps;
  engine_.check_invariants();
  for (driver::Action& action : actions) perform(action);
  advance();
}

void DriverNode::perform(driver::Action& action) {
  world_.note(id_.value * 16 + action.index());
  if (auto* message = std::get_if<driver::ToScheduler>(&action)) {
    world_.send(id_, scheduler_id, [this, sent = std::move(message->message)] {
      world_.to_scheduler(scheduler::FromDriver{session_, sent});
    });
  } else if (const auto* fetch = std::get_if<driver::StartFetch>(&action)) {
    start_fetch(fetch->datum, fetch->peer);
  } else if (const auto* abandon = std::get_if<driver::AbandonFetch>(&action)) {
    abandon_fetch(abandon->datum);
  } else if (const auto* deliver = std::get_if<driver::Deliver>(&action)) {
    delivered(deliver->datum);
  } else if (const auto* lost = std::get_if<driver::DatumFailed>(&action)) {
    failed(*lost);
  } else if (const auto* end = std::get_if<driver::RunFinished>(&action)) {
    finished(*end);
  } else if (const auto* drop = std::get_if<driver::DropDatum>(&action)) {
    discard(drop->datum);
  }
}

void DriverNode::delivered(const DatumId& datum) {
  if (--owed_[datum] != 0) world_.fail(name() + ": delivered unasked: " + name_of(datum));
  const auto expected = expected_.find(datum);
  if (expected == expected_.end()) {
    world_.fail(name() + ": delivered although it cannot exist: " + name_of(datum));
    return;
  }
  const Chunk chunk = chunk_of(datum, "deliver");
  if (chunk.value != expected->second.value || chunk.bytes != expected->second.bytes) {
    world_.fail(name() + ": wrong result: " + name_of(datum));
  }
  ++world_.outcome.data_compared;
}

void DriverNode::failed(const driver::DatumFailed& action) {
  int& owed = owed_[action.datum];
  if (owed > 0) {
    --owed;
  } else if (runs_.at(action.datum.run.number).bring_home) {
    world_.fail(name() + ": failed unasked");
  }
  const auto& expected = runs_.at(action.datum.run.number).job.expected;
  if (expected.contains(action.datum.index) && !may_be_disturbed() &&
      !is_for_a_cut(action.datum.run.number, action.error)) {
    world_.fail(name() + ": datum " + name_of(action.datum) + " failed: " + action.error);
  }
}

void DriverNode::finished(const driver::RunFinished& action) {
  Submitted& run = runs_.at(action.run);
  const std::string title = name() + ": run " + std::to_string(action.run);
  if (run.is_finished) world_.fail(title + " finished twice");
  run.is_finished = true;
  --unfinished_;
  if (world_.config.machine && unfinished_ > 0) {
    world_.after(submission_pause, [this] { submit_one(); });
  }
  const auto& graph = *run.job.graph;
  switch (action.outcome) {
    case protocol::RunOutcome::done:
      ++world_.outcome.runs_done;
      if (run.job.must_fail) world_.fail(title + " is done although a kernel failed");
      break;
    case protocol::RunOutcome::failed:
      ++world_.outcome.runs_failed;
      if (!may_fail(action.run) && !is_for_a_cut(action.run, action.error)) {
        world_.fail(title + " failed: " + action.error);
      }
      if (action.error.empty()) world_.fail(title + " failed without a reason");
      if (action.error.find("memory") != std::string::npos) {
        ++world_.outcome.runs_short;
        if (!world_.config.is_memory_tight) world_.fail(title + " lacks memory: " + action.error);
      }
      break;
    case protocol::RunOutcome::cancelled:
      run.was_cancelled = true;
      ++world_.outcome.runs_cancelled;
      if (!run.is_cancelled) world_.fail(title + " was cancelled by nobody");
      break;
  }
  for (const std::uint32_t index : graph.wanted) {
    const DatumId datum{{session_, action.run}, index};
    if (owed_[datum] > 0) world_.fail(title + " finished and owes " + name_of(datum));
    // Some are released as soon as they can be, while later runs that read them go on; those of
    // a machine's program before the next one is submitted, so that it has the machine to itself.
    const bool is_over = world_.config.machine ? unfinished_ > 0 : world_.below(4) == 0;
    if (is_over) release(datum);
  }
}

void DriverNode::release(const DatumId& datum) {
  released_.insert(datum);
  expected_.erase(datum);
  std::erase_if(sources_, [&](const Source& source) { return source.id == datum; });
  inbox_.post(driver::ReleaseAsked{{datum}});
}

/// When all runs have finished: what was left on the workers is brought, then all is released.
void DriverNode::advance() {
  if (phase_ == Phase::running && unfinished_ == 0) {
    phase_ = Phase::bringing;
    driver::BringAsked bring;
    for (const auto& [datum, chunk] : expected_) {
      const auto run = runs_.find(datum.run.number);
      if (run == runs_.end() || run->second.bring_home || run->second.was_cancelled) continue;
      bring.data.push_back(datum);
      ++owed_[datum];
    }
    inbox_.post(std::move(bring));
  }
  if (phase_ != Phase::bringing) return;
  for (const auto& [datum, count] : owed_) {
    if (count > 0) return;
  }
  phase_ = Phase::done;
  driver::ReleaseAsked all;
  for (const auto& [datum, chunk] : expected_) all.data.push_back(datum);
  for (const auto& [run, submitted] : runs_) {
    for (const std::uint32_t index : submitted.job.graph->wanted) {
      const DatumId datum{{session_, run}, index};
      if (!expected_.contains(datum)) all.data.push_back(datum);
    }
  }
  inbox_.post(std::move(all));
  for (std::uint32_t number = 0; number < templates_.size(); ++number) {
    inbox_.post(driver::DropTemplateAsked{number});
  }
}

std::string DriverNode::leftovers() const {
  if (store_.empty() && engine_.open_runs() == 0) return "";
  std::string text = name() + " still holds " + std::to_string(store_.size()) + " data:";
  for (const auto& [datum, chunk] : store_) text += " " + name_of(datum);
  return text + "\n" + engine_.dump();
}

}  // namespace ashlar::simulate
