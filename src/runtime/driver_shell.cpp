#include "runtime/driver_shell.hpp"

#include <ashlar/error.hpp>

#include <chrono>
#include <optional>
#include <variant>

#include "runtime/clock.hpp"
#include "wire/codec.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::runtime {

namespace {
constexpr auto tick_interval = std::chrono::milliseconds(100);
/// A scheduler that has said nothing for so long is taken for dead.
constexpr Duration silence_max = Duration::seconds(10);
}  // namespace

DriverShell::DriverShell(Loop& loop, std::shared_ptr<store::Arena> arena, telemetry::Log& log,
                         DriverEvents& events, Options options)
    : loop_(loop),
      log_(log),
      observer_(events),
      options_(std::move(options)),
      exchange_(loop, std::move(arena), table_, *this, log, options_.exchange),
      timer_(loop.io()) {
  loop_.add_turn_hook([this] { return process(); });
  tick();
}

DriverShell::~DriverShell() {
  if (link_) link_->detach();
}

protocol::Hello DriverShell::hello() const {
  protocol::Hello hello;
  hello.role = protocol::Role::driver;
  hello.name = options_.name;
  hello.token = options_.exchange.token;
  hello.endpoint = exchange_.endpoint();
  hello.encrypts = options_.exchange.tls != nullptr;
  if (hello.encrypts) hello.authorities = options_.exchange.tls->authorities();
  return hello;
}

void DriverShell::join(SchedulerShell& scheduler) {
  scheduler_ = &scheduler;
  const auto session = scheduler.open_session(hello(), [this](protocol::SchedulerToDriver message) {
    events_.push_back(driver::FromScheduler{std::move(message)});
  });
  joined(session.session, session.driver, {});
}

void DriverShell::join(std::shared_ptr<net::Link> link) {
  link_ = std::move(link);
  last_heard_ = now();
  link_->start(*this);
  link_->trust();
  link_->send({wire::encode(wire::Handshake(hello())), {}, {}, -1});
}

void DriverShell::joined(SessionId session, PeerId self, const driver::Limits& limits) {
  session_ = session;
  exchange_.set_self(self);
  engine_ =
      std::make_unique<driver::DriverEngine>(session, limits, exchange_.endpoint().host_identity);
  is_joined_ = true;
}

void DriverShell::leave() {
  has_left_ = true;
  if (scheduler_ != nullptr) scheduler_->close_session(session_);
  if (link_) std::exchange(link_, nullptr)->detach();
}

void DriverShell::command(Command command, bool is_lazy) {
  {
    std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  if (!is_lazy) loop_.dispatch([] {});
}

void DriverShell::post(driver::Event event, bool is_lazy) { command(std::move(event), is_lazy); }
void DriverShell::promise(protocol::PutData put) { command(std::move(put), true); }
void DriverShell::fulfil(Puts puts) { command(std::move(puts), false); }

void DriverShell::obey(protocol::PutData& put) {
  for (std::uint32_t i = 0; i < put.bytes.size(); ++i) {
    promised_.try_emplace(DatumId{{session_, put.run}, i});
  }
  events_.push_back(driver::PutAsked{std::move(put)});
}

void DriverShell::obey(Puts& puts) {
  for (auto& [datum, buffer] : puts) {
    const auto promise = promised_.find(datum);
    if (promise == promised_.end()) continue;  // nobody needs it any more
    table_.put(datum, std::move(buffer));
    for (const Asked& asked : promise->second) {
      exchange_.answer(asked.peer, asked.request, datum, asked.urgency);
    }
    promised_.erase(promise);
  }
}

void DriverShell::drop(DatumId datum) {
  table_.drop(datum);
  if (auto promise = promised_.extract(datum)) {
    for (const Asked& asked : promise.mapped()) exchange_.refuse(asked.peer, asked.request);
  }
}

void DriverShell::tick() {
  timer_.expires_after(tick_interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    events_.push_back(driver::Tick{});
    if (link_ && is_joined_) {
      to_scheduler(protocol::Heartbeat{});
      if (now() - last_heard_ > silence_max) link_->close("scheduler is silent");
    }
    tick();
  });
}

bool DriverShell::process() {
  if (!engine_ || has_left_) return false;
  std::vector<Command> commands;
  {
    std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (auto& command : commands) std::visit([this](auto& c) { obey(c); }, command);
  const bool has_events = !events_.empty();
  if (has_events) {
    std::vector<driver::Event> events;
    events.swap(events_);
    actions_.clear();
    engine_->step(events, now(), actions_);
    for (auto& action : actions_) perform(action);
  }
  exchange_.flush();
  return has_events;
}

void DriverShell::to_scheduler(protocol::DriverToScheduler message) {
  if (scheduler_ != nullptr) {
    scheduler_->from_driver(session_, std::move(message));
  } else if (link_) {
    link_->send({wire::encode(message), {}, {}, -1});
  }
}

void DriverShell::perform(driver::Action& action) {
  struct Visitor {
    DriverShell& shell;
    void operator()(driver::ToScheduler& a) { shell.to_scheduler(std::move(a.message)); }
    void operator()(driver::StartFetch& a) { shell.exchange_.start_fetch(a.datum, a.peer); }
    void operator()(driver::AbandonFetch& a) { shell.exchange_.abandon_fetch(a.datum); }
    void operator()(driver::Deliver& a) {
      if (const auto* buffer = shell.table_.find(a.datum)) {
        shell.observer_.on_deliver(a.datum, *buffer);
      }
    }
    void operator()(driver::StreamDeliver& a) {
      if (const auto* buffer = shell.table_.find(a.datum)) shell.observer_.on_streamed(a, *buffer);
    }
    void operator()(driver::Exists& a) { shell.observer_.on_exists(a.datum); }
    void operator()(driver::DatumFailed& a) {
      shell.observer_.on_datum_failed(a.datum, a.kind, a.error);
    }
    void operator()(driver::RunFinished& a) { shell.observer_.on_run_finished(a); }
    void operator()(driver::Progress& a) { shell.observer_.on_progress(a); }
    void operator()(driver::DropDatum& a) { shell.drop(a.datum); }
    void operator()(driver::KnowPeer& a) { shell.exchange_.know_peer(a.info); }
    void operator()(driver::ForgetPeer& a) { shell.exchange_.forget_peer(a.peer); }
    void operator()(driver::KnowCluster& a) { shell.observer_.on_cluster_size(a.size); }
    void operator()(driver::Explained& a) { shell.observer_.on_explained(a.request, a.text); }
  };
  std::visit(Visitor{*this}, action);
}

void DriverShell::on_fetched(DatumId datum, std::uint64_t bytes, bool, bool is_local) {
  events_.push_back(driver::Arrived{datum, bytes, is_local});
}

void DriverShell::on_pushed(DatumId datum, std::uint64_t bytes, bool is_local) {
  events_.push_back(driver::Arrived{datum, bytes, is_local});
}

void DriverShell::on_fetch_failed(DatumId datum, PeerId peer, const std::string&) {
  events_.push_back(driver::FetchFailed{datum, peer});
}

void DriverShell::on_asked(PeerId peer, std::uint64_t request, DatumId datum,
                           const protocol::Urgency& urgency) {
  const auto promise = promised_.find(datum);
  if (promise != promised_.end()) {
    promise->second.push_back({peer, request, urgency});
  } else {
    exchange_.answer(peer, request, datum, urgency);
  }
}

/// Results that the program keeps must not keep a worker's memory, which has a limit.
void DriverShell::on_loans_wanted(PeerId) {
  constexpr std::uint64_t bytes_at_once = std::uint64_t{256} << 20;
  for (const DatumId& datum : exchange_.copy_loans(bytes_at_once)) {
    observer_.on_moved(datum, *table_.find(datum));
  }
}

void DriverShell::on_unasked(PeerId peer, std::uint64_t request) {
  for (auto& [datum, waiting] : promised_) {
    std::erase_if(waiting, [&](const Asked& asked) {
      return asked.peer == peer &&
             (request == worker::FetchUnasked::all || asked.request == request);
    });
  }
}

std::span<std::byte> DriverShell::on_frame(std::span<const std::byte> control,
                                           std::uint64_t payload_bytes, int descriptor) {
  const store::FileDescriptor unwanted(descriptor);
  last_heard_ = now();
  if (payload_bytes > 0) {
    link_->close("a control link carries no payload");
  } else if (!is_joined_) {
    auto decoded = wire::decode_handshake(control);
    if (!decoded.message) {
      link_->close("bad handshake: " + decoded.error);
    } else if (auto* refusal = std::get_if<protocol::Refusal>(&*decoded.message)) {
      link_->close("refused: " + refusal->reason);
    } else if (auto* welcome = std::get_if<protocol::Welcome>(&*decoded.message)) {
      observer_.on_cluster_size(welcome->cluster);
      explains_ = welcome->explains;
      if (welcome->reads_checksums) link_->add_checksums();
      driver::Limits limits;
      limits.keeps_templates = welcome->keeps_templates;
      limits.says_what_is_held = welcome->heeds_streams;
      joined(welcome->session, welcome->peer, limits);
    }
  } else {
    auto decoded = wire::decode_scheduler_to_driver(control);
    if (!decoded.message) {
      link_->close("bad message: " + decoded.error);
    } else {
      events_.push_back(driver::FromScheduler{std::move(*decoded.message)});
    }
  }
  return {};
}

void DriverShell::on_closed(const std::string& reason) {
  std::string why = reason;
  if (is_joined_) {
    why = std::string("lost the scheduler at ").append(link_->peer_name());
    why.append(": ").append(reason).append("; see its log, and connect again once it runs");
  }
  link_ = nullptr;
  log_.warning(why);
  events_.push_back(driver::SchedulerLost{why});
  observer_.on_disconnected(why);
}

}  // namespace ashlar::runtime
