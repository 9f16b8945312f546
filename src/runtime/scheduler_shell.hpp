#pragma once

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/address.hpp"
#include "net/link.hpp"
#include "net/tls.hpp"
#include "protocol/messages.hpp"
#include "runtime/loop.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "telemetry/log.hpp"
#include "telemetry/sparing_log.hpp"

namespace ashlar::runtime {

/// The scheduler engine behind sockets: links in, frames out, and beside them at most one driver
/// in the same process. Threads: on the loop's turn, or before the loop starts.
class SchedulerShell {
 public:
  struct Death {
    std::string reason;
    std::optional<std::vector<DatumId>> running = {};  ///< run and task of each
  };
  struct Options {
    scheduler::Limits limits;
    std::string token;
    std::shared_ptr<const net::Tls> tls;  ///< for links from other hosts; or none
    /// A worker or driver that has said nothing for so long is taken for dead.
    Duration silence_max = Duration::seconds(5);
    /// Told of each worker's end: turns it into words ("killed by signal 9"), and says what it was
    /// running if that is known. May be empty.
    std::function<Death(const protocol::Hello&, const std::string& reason)> certify_death;
    /// Told of each step of the engine; may be empty.
    std::function<void(std::span<const scheduler::Event>, Instant, const scheduler::Actions&)>
        on_step;
    /// Told of each change in the number of workers; may be empty.
    std::function<void(std::size_t workers)> on_workers;
  };

  SchedulerShell(Loop& loop, telemetry::Log& log, Options options);
  ~SchedulerShell();

  /// Accepts workers and drivers at an address. Errors: as net::Listener::open; BadInput when
  /// the address is not loopback and there is neither token nor certificate.
  void listen(const net::Address& address);
  std::vector<net::Address> addresses() const;

  /// Takes a link whose other end will introduce itself.
  void accept(std::shared_ptr<net::Link> link);

  struct LocalSession {
    SessionId session;
    PeerId driver;
  };
  /// A driver in this process; what the scheduler says to it goes to `deliver`.
  LocalSession open_session(const protocol::Hello& hello,
                            std::function<void(protocol::SchedulerToDriver)> deliver);
  void from_driver(SessionId session, protocol::DriverToScheduler message);
  void close_session(SessionId session);

  /// Asks all workers to end.
  void shut_down_workers(const std::string& reason);

  /// Has the engine forget what it learnt.
  void forget_learned() { events_.push_back(scheduler::ForgetLearned{}); }

  /// Links that closed before they introduced themselves. Any thread.
  std::uint32_t lost_newcomers() const { return lost_newcomers_; }

  std::size_t worker_count() const { return engine_.worker_count(); }
  const scheduler::SchedulerEngine& engine() const { return engine_; }

 private:
  class Connection;

  bool process();
  void perform(scheduler::Action& action);
  void tick();
  void introduce(Connection& connection, protocol::Hello hello);
  void lose(Connection& connection, const std::string& reason);
  void refuse(Connection& connection, const std::string& reason);
  void tell_cluster_size();

  Loop& loop_;
  telemetry::Log& log_;
  telemetry::SparingLog strangers_{log_};  ///< what they do
  Options options_;
  scheduler::SchedulerEngine engine_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::vector<std::shared_ptr<Connection>> closed_;
  std::map<PeerId, Connection*> by_peer_;
  std::map<SessionId, Connection*> by_session_;
  SessionId local_session_;
  std::function<void(protocol::SchedulerToDriver)> deliver_;
  protocol::ClusterSize cluster_;  ///< workers that are linked
  protocol::ClusterSize told_cluster_;
  std::vector<scheduler::Event> events_;
  scheduler::Actions actions_;
  boost::asio::steady_timer timer_;
  std::atomic<std::uint32_t> lost_newcomers_{0};
  std::uint32_t next_peer_ = 1;
  std::uint32_t next_session_ = 1;
};

}  // namespace ashlar::runtime
