#include "runtime/scheduler_shell.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <variant>

#include "runtime/clock.hpp"
#include "runtime/token.hpp"
#include "store/arena.hpp"
#include "wire/codec.hpp"

namespace ashlar::runtime {

namespace {
constexpr auto tick_interval = std::chrono::milliseconds(100);
/// A newcomer must introduce itself within this time.
constexpr Duration introduction_max = Duration::seconds(10);

/// Within a host nothing is encrypted, so that who comes that way may have no certificates; but its
/// links to other hosts would be refused, or refuse others.
std::string reason_not_to_mix(bool does_newcomer, bool does_scheduler) {
  if (does_newcomer == does_scheduler) return "";
  return does_scheduler
             ? "this cluster uses TLS, and the newcomer does not: give it --tls-cert, "
               "--tls-key and --tls-ca (or ConnectOptions::tls)"
             : "the newcomer uses TLS, and this cluster does not: give the scheduler and "
               "all workers --tls-cert, --tls-key and --tls-ca, or the newcomer none";
}

/// Likewise who has certificates that no other host's process would accept.
std::string reason_to_distrust(const std::vector<std::string>& newcomers,
                               const std::vector<std::string>& schedulers) {
  if (newcomers.empty() || schedulers.empty()) return "";
  const auto has = [](const std::vector<std::string>& authorities, const std::string& one) {
    return std::find(authorities.begin(), authorities.end(), one) != authorities.end();
  };
  const std::string& newcomer = newcomers.front();
  const std::string& scheduler = schedulers.front();
  const std::string both =
      ": " + newcomer + " has signed the newcomer's certificate, " + scheduler + " the scheduler's";
  if (!has(schedulers, newcomer)) {
    return "the newcomer's certificate is not accepted in this cluster" + both +
           "; give the newcomer another --tls-cert, or the cluster's processes both in --tls-ca";
  }
  if (!has(newcomers, scheduler)) {
    return "the newcomer does not accept this cluster's certificates" + both +
           "; give the newcomer both in --tls-ca";
  }
  return "";
}
}  // namespace

/// One link from a worker or a driver.
class SchedulerShell::Connection : public net::LinkEvents,
                                   public std::enable_shared_from_this<Connection> {
 public:
  Connection(SchedulerShell& shell, std::shared_ptr<net::Link> link)
      : shell_(shell), link_(std::move(link)), last_heard_(now()) {}

  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                int descriptor) override {
    const store::FileDescriptor unwanted(descriptor);
    if (is_closed_) return {};
    last_heard_ = now();
    if (payload_bytes > 0) {
      link_->close("a control link carries no payload");
    } else if (!is_introduced_) {
      auto decoded = wire::decode_handshake(control);
      auto* hello = decoded.message ? std::get_if<protocol::Hello>(&*decoded.message) : nullptr;
      if (hello == nullptr) {
        link_->close("bad handshake: " +
                     (decoded.error.empty() ? std::string("expected Hello") : decoded.error));
      } else {
        shell_.introduce(*this, std::move(*hello));
      }
    } else if (hello_.role == protocol::Role::worker) {
      auto decoded = wire::decode_worker_to_scheduler(control);
      if (!decoded.message) {
        link_->close("bad message: " + decoded.error);
      } else {
        shell_.events_.push_back(scheduler::FromWorker{peer_, std::move(*decoded.message)});
      }
    } else {
      auto decoded = wire::decode_driver_to_scheduler(control, session_);
      if (!decoded.message) {
        link_->close("bad message: " + decoded.error);
      } else {
        shell_.events_.push_back(scheduler::FromDriver{session_, std::move(*decoded.message)});
      }
    }
    return {};
  }

  void on_payload(bool) override {}
  void on_batch_end() override {}
  void on_closed(const std::string& reason) override { shell_.lose(*this, reason); }

  SchedulerShell& shell_;
  std::shared_ptr<net::Link> link_;
  protocol::Hello hello_;
  PeerId peer_;
  SessionId session_;
  Instant last_heard_;
  bool is_introduced_ = false;
  bool is_closed_ = false;
};

SchedulerShell::SchedulerShell(Loop& loop, telemetry::Log& log, Options options)
    : loop_(loop),
      log_(log),
      options_(std::move(options)),
      engine_(options_.limits),
      timer_(loop.io()) {
  loop_.add_turn_hook([this] { return process(); });
  tick();
}

SchedulerShell::~SchedulerShell() {
  listeners_.clear();
  for (auto& connection : connections_) {
    connection->is_closed_ = true;
    connection->link_->detach();
  }
}

void SchedulerShell::listen(const net::Address& address) {
  if (!address.is_loopback() && options_.token.empty() && !options_.tls) {
    throw BadInput(
        "listening at " + address.to_string() +
        " would let anyone who reaches this host run tasks: give a token or certificates "
        "(--token-file, --tls-cert), or listen on a loopback address");
  }
  listeners_.push_back(net::Listener::open(
      loop_.io(), address, [this](std::shared_ptr<net::Link> link) { accept(std::move(link)); }, {},
      options_.tls));
}

std::vector<net::Address> SchedulerShell::addresses() const {
  std::vector<net::Address> out;
  for (const auto& listener : listeners_) out.push_back(listener->address());
  return out;
}

void SchedulerShell::accept(std::shared_ptr<net::Link> link) {
  auto connection = std::make_shared<Connection>(*this, std::move(link));
  connections_.push_back(connection);
  connection->link_->start(*connection);
}

void SchedulerShell::refuse(Connection& connection, const std::string& reason) {
  strangers_.write(now(), telemetry::LogLevel::warning,
                   "refused " + connection.link_->peer_name() + ": " + reason);
  connection.link_->send({wire::encode(wire::Handshake(protocol::Refusal{reason})), {}, {}, -1});
  connection.link_->detach();
  lose(connection, reason);
}

void SchedulerShell::introduce(Connection& connection, protocol::Hello hello) {
  std::string why = reason_to_refuse(hello, options_.token);
  if (why.empty() && hello.role == protocol::Role::peer) {
    why = "this is a scheduler, not a worker";
  }
  if (why.empty() && hello.role == protocol::Role::worker && hello.slots == 0) {
    why = "a worker needs at least one slot";
  }
  if (why.empty()) why = reason_not_to_mix(hello.encrypts, options_.tls != nullptr);
  if (why.empty() && options_.tls && connection.link_->is_local()) {
    why = reason_to_distrust(hello.authorities, options_.tls->authorities());
  }
  if (!why.empty()) return refuse(connection, why);
  protocol::Welcome welcome;
  welcome.peer = connection.peer_ = PeerId{next_peer_++};
  by_peer_[connection.peer_] = &connection;
  if (hello.role == protocol::Role::driver) {
    welcome.session = connection.session_ = SessionId{next_session_++};
    welcome.cluster = cluster_;
    by_session_[connection.session_] = &connection;
    events_.push_back(scheduler::SessionOpened{connection.session_, connection.peer_, hello});
  } else {
    ++cluster_.workers;
    cluster_.slots += hello.slots;
    events_.push_back(scheduler::WorkerJoined{connection.peer_, hello});
  }
  log_.info((hello.role == protocol::Role::driver ? "driver " : "worker ") +
            std::to_string(connection.peer_.value) + " joined: " + hello.name);
  connection.hello_ = std::move(hello);
  connection.is_introduced_ = true;
  connection.link_->trust();
  if (connection.hello_.reads_checksums) connection.link_->add_checksums();
  connection.link_->send({wire::encode(wire::Handshake(welcome)), {}, {}, -1});
  connection.link_->share_memory();
}

void SchedulerShell::lose(Connection& connection, const std::string& reason) {
  if (connection.is_closed_) return;
  connection.is_closed_ = true;
  if (connection.is_introduced_) {
    Death death{reason};
    by_peer_.erase(connection.peer_);
    if (connection.hello_.role == protocol::Role::worker) {
      --cluster_.workers;
      cluster_.slots -= connection.hello_.slots;
      if (options_.certify_death) death = options_.certify_death(connection.hello_, reason);
      events_.push_back(
          scheduler::WorkerLost{connection.peer_, death.reason, std::move(death.running)});
    } else {
      by_session_.erase(connection.session_);
      events_.push_back(scheduler::SessionClosed{connection.session_});
    }
    log_.info("lost " + connection.hello_.name + ": " + death.reason);
  } else {
    ++lost_newcomers_;
    strangers_.write(now(), telemetry::LogLevel::info,
                     "closed a connection of " + connection.link_->peer_name() +
                         " that introduced nobody: " + reason);
  }
  const auto it =
      std::find_if(connections_.begin(), connections_.end(),
                   [&connection](const auto& other) { return other.get() == &connection; });
  if (it != connections_.end()) {
    closed_.push_back(std::move(*it));
    connections_.erase(it);
  }
}

SchedulerShell::LocalSession SchedulerShell::open_session(
    const protocol::Hello& hello, std::function<void(protocol::SchedulerToDriver)> deliver) {
  const LocalSession session{SessionId{next_session_++}, PeerId{next_peer_++}};
  local_session_ = session.session;
  deliver_ = std::move(deliver);
  events_.push_back(scheduler::SessionOpened{session.session, session.driver, hello});
  return session;
}

void SchedulerShell::from_driver(SessionId session, protocol::DriverToScheduler message) {
  events_.push_back(scheduler::FromDriver{session, std::move(message)});
}

void SchedulerShell::close_session(SessionId session) {
  if (session == local_session_) deliver_ = nullptr;
  events_.push_back(scheduler::SessionClosed{session});
}

void SchedulerShell::shut_down_workers(const std::string& reason) {
  for (const auto& connection : connections_) {
    if (connection->hello_.role != protocol::Role::worker || !connection->is_introduced_) continue;
    const protocol::SchedulerToWorker message = protocol::Shutdown{reason};
    connection->link_->send({wire::encode(message), {}, {}, -1});
    connection->link_->flush();
  }
}

void SchedulerShell::tick() {
  timer_.expires_after(tick_interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    const Instant time = now();
    const auto connections = connections_;
    for (const auto& connection : connections) {
      const Duration limit = connection->is_introduced_ ? options_.silence_max : introduction_max;
      if (time - connection->last_heard_ > limit) {
        connection->link_->close("silent for " + std::to_string(limit.ns / 1'000'000) + " ms");
      } else if (connection->is_introduced_) {
        const auto beat = connection->hello_.role == protocol::Role::worker
                              ? wire::encode(protocol::SchedulerToWorker(protocol::Heartbeat{}))
                              : wire::encode(protocol::SchedulerToDriver(protocol::Heartbeat{}));
        connection->link_->send({beat, {}, {}, -1});
      }
    }
    events_.push_back(scheduler::Tick{});
    tick();
  });
}

bool SchedulerShell::process() {
  if (events_.empty()) return false;
  const std::size_t workers_before = engine_.worker_count();
  std::vector<scheduler::Event> events;
  events.swap(events_);
  const Instant time = now();
  engine_.step(events, time, actions_);
  if (options_.on_step) options_.on_step(events, time, actions_);
  for (auto& action : actions_) perform(action);
  closed_.clear();
  tell_cluster_size();
  if (options_.on_workers && engine_.worker_count() != workers_before) {
    options_.on_workers(engine_.worker_count());
  }
  return true;
}

void SchedulerShell::tell_cluster_size() {
  if (cluster_ == told_cluster_) return;
  told_cluster_ = cluster_;
  const auto message = wire::encode(protocol::SchedulerToDriver(cluster_));
  for (const auto& [session, driver] : by_session_) driver->link_->send({message, {}, {}, -1});
}

void SchedulerShell::perform(scheduler::Action& action) {
  if (auto* m = std::get_if<scheduler::ToWorker>(&action)) {
    const auto it = by_peer_.find(m->worker);
    if (it != by_peer_.end()) it->second->link_->send({wire::encode(m->message), {}, {}, -1});
  } else if (auto* d = std::get_if<scheduler::ToDriver>(&action)) {
    if (d->session == local_session_) {
      if (deliver_) deliver_(std::move(d->message));
    } else if (const auto it = by_session_.find(d->session); it != by_session_.end()) {
      it->second->link_->send({wire::encode(d->message), {}, {}, -1});
    }
  } else if (auto* drop = std::get_if<scheduler::DropPeer>(&action)) {
    log_.warning("dropped peer " + std::to_string(drop->peer.value) + ": " + drop->reason);
    const auto it = by_peer_.find(drop->peer);
    if (it != by_peer_.end()) it->second->link_->close(drop->reason);
  }
}

}  // namespace ashlar::runtime
