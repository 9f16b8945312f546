#pragma once

#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "driver/driver_engine.hpp"
#include "net/link.hpp"
#include "runtime/data_table.hpp"
#include "runtime/exchange.hpp"
#include "runtime/loop.hpp"
#include "runtime/scheduler_shell.hpp"
#include "store/arena.hpp"
#include "telemetry/log.hpp"

namespace ashlar::runtime {

/// Who hears what becomes of runs and data; called on the loop's turn.
class DriverEvents {
 public:
  virtual ~DriverEvents() = default;
  /// The datum is in this process: its bytes.
  virtual void on_deliver(DatumId datum, const store::Buffer& buffer) = 0;
  /// A delivered datum's bytes are elsewhere now: the former buffer is to be let go.
  virtual void on_moved(DatumId datum, const store::Buffer& buffer) = 0;
  /// An entry of a run's stream is in this process.
  virtual void on_streamed(const driver::StreamDeliver& entry, const store::Buffer& buffer) = 0;
  virtual void on_exists(DatumId datum) = 0;
  virtual void on_datum_failed(DatumId datum, ErrorKind kind, const std::string& error) = 0;
  virtual void on_run_finished(const driver::RunFinished& finished) = 0;
  virtual void on_progress(const driver::Progress& progress) = 0;
  virtual void on_cluster_size(const protocol::ClusterSize& size) = 0;
  virtual void on_explained(std::uint64_t request, const std::string& text) = 0;
  virtual void on_disconnected(const std::string& reason) = 0;
};

/// The driver engine with its store and its way to a scheduler, in this process or elsewhere.
class DriverShell : private ExchangeEvents, private net::LinkEvents {
 public:
  struct Options {
    Exchange::Options exchange;
    std::string name;
  };

  DriverShell(Loop& loop, std::shared_ptr<store::Arena> arena, telemetry::Log& log,
              DriverEvents& events, Options options);
  ~DriverShell() override;

  /// Joins a scheduler in the same process. Before the loop starts, or on its turn.
  void join(SchedulerShell& scheduler);
  /// Joins one behind a link; is_joined() or on_disconnected() tells the outcome. When it has
  /// joined, on_cluster_size() was called. On the turn.
  void join(std::shared_ptr<net::Link> link);
  /// Any thread.
  bool is_joined() const { return is_joined_; }
  /// Valid once joined.
  SessionId session() const { return session_; }
  /// The scheduler answers Explain. Valid once joined.
  bool explains() const { return explains_; }

  /// Ends the session: its runs stop, its data are freed. On the turn.
  void leave();

  /// Hands an event to the engine, in order; any thread. A lazy one waits for the next turn.
  void post(driver::Event event, bool is_lazy = false);

  using Puts = std::vector<std::pair<DatumId, store::Buffer>>;
  /// Announces put data whose buffers come later: who asks for one meanwhile, waits. Any thread.
  void promise(protocol::PutData put);
  /// The buffers of promised data, as they are ready. Any thread.
  void fulfil(Puts puts);

 private:
  using Command = std::variant<driver::Event, protocol::PutData, Puts>;
  struct Asked {
    PeerId peer;
    std::uint64_t request;
    protocol::Urgency urgency;
  };

  void command(Command command, bool is_lazy);
  void obey(driver::Event& event) { events_.push_back(std::move(event)); }
  void obey(protocol::PutData& put);
  void obey(Puts& puts);
  void drop(DatumId datum);
  bool process();
  void perform(driver::Action& action);
  void to_scheduler(protocol::DriverToScheduler message);
  void joined(SessionId session, PeerId self, const driver::Limits& limits);
  void disconnected(const std::string& reason);
  void tick();
  protocol::Hello hello() const;

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

  Loop& loop_;
  telemetry::Log& log_;
  DriverEvents& observer_;
  Options options_;
  DataTable table_;
  std::map<DatumId, std::vector<Asked>> promised_;  ///< and who waits for them
  Exchange exchange_;
  std::unique_ptr<driver::DriverEngine> engine_;
  SchedulerShell* scheduler_ = nullptr;
  std::shared_ptr<net::Link> link_;
  SessionId session_;
  bool explains_ = true;  ///< one of this process does
  Instant last_heard_;
  std::atomic<bool> is_joined_{false};
  bool has_left_ = false;

  std::mutex mutex_;
  std::vector<Command> commands_;  ///< from any thread
  std::vector<driver::Event> events_;
  driver::Actions actions_;
  boost::asio::steady_timer timer_;
};

}  // namespace ashlar::runtime
