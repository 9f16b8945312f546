#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "protocol/messages.hpp"
#include "simulate/workload.hpp"
#include "simulate/world.hpp"
#include "worker/send_turns.hpp"

namespace ashlar::simulate {

/// A process with a store: its half of the data plane.
class PeerNode {
 public:
  PeerNode(World& world, PeerId id, std::string host) : world_(world), id_(id), host_(host) {}
  virtual ~PeerNode() = default;
  PeerNode(const PeerNode&) = delete;
  PeerNode& operator=(const PeerNode&) = delete;

  PeerId id() const { return id_; }
  bool is_alive() const { return is_alive_; }
  const std::string& host() const { return host_; }
  const std::map<DatumId, Chunk>& store() const { return store_; }

  /// It vanishes: peers see their links close.
  void die();
  /// What it fetches from the peer does not come.
  void lose_link(PeerId peer, const std::string& why);

  virtual void tick() = 0;
  /// The peer asks for nothing any more.
  virtual void unasked_all(PeerId peer) = 0;
  /// What is wrong with its state in the end; empty when nothing is.
  virtual std::string leftovers() const = 0;
  virtual std::string dump() const = 0;

 protected:
  virtual void fetched(const DatumId& datum, const Chunk& chunk, bool is_in_place) = 0;
  /// `broken`: why there is no link to the peer; empty: it has no such datum.
  virtual void fetch_failed(const DatumId& datum, PeerId peer, const std::string& broken) = 0;
  virtual void asked(PeerId peer, std::uint64_t request, const DatumId& datum,
                     const protocol::Urgency& urgency) = 0;
  virtual void unasked(PeerId peer, std::uint64_t request) = 0;
  virtual void pushed(const DatumId& datum, const Chunk& chunk) = 0;
  /// What was answered or pushed is no longer read.
  virtual void read_done(const DatumId&, const Chunk&) {}
  /// Who lends to this process needs the memory.
  virtual void loans_wanted(PeerId) {}

  /// `is_copied`: it is not read in place, also on the same host.
  void start_fetch(const DatumId& datum, PeerId peer, bool is_copied = false,
                   const protocol::Urgency& urgency = {});
  void abandon_fetch(const DatumId& datum);
  void answer(PeerId peer, std::uint64_t request, const DatumId& datum,
              const protocol::Urgency& urgency);
  void refuse(PeerId peer, std::uint64_t request);
  void push(PeerId peer, const DatumId& datum);
  void recall_loans();
  /// What is read in the lender's memory is read in the own one from now on.
  void copy_loans(PeerId lender);
  /// Keeps the chunk, instead of one it may have.
  void keep(const DatumId& datum, const Chunk& chunk);
  void discard(const DatumId& datum);
  /// The chunk, which must be here.
  Chunk chunk_of(const DatumId& datum, const char* purpose);
  std::string name() const { return "peer " + std::to_string(id_.value); }

  World& world_;
  PeerId id_;
  std::string host_;
  bool is_alive_ = true;
  std::map<DatumId, Chunk> store_;

 private:
  void record(PeerId peer, const DatumId& datum, const Chunk& chunk, Instant start) const;
  struct Fetch {
    std::uint64_t request = 0;
    PeerId peer;
    bool is_copied = false;
  };
  /// An answer came; without a chunk it is a refusal.
  void end_fetch(std::uint64_t request, PeerId peer, const DatumId& datum, const Chunk* chunk);
  void end_refused(std::uint64_t request, PeerId peer);
  /// The question did not get through.
  void end_broken(std::uint64_t request, PeerId peer, const DatumId& datum, const std::string& why);
  /// Reads the datum in the memory of a process of the same host, until it is discarded.
  void borrow(const DatumId& datum, PeerId lender);
  void give_back(const DatumId& datum, PeerId lender);
  void send_next();
  void sent(PeerId peer);
  void lend(PeerId reader, const DatumId& datum, const Chunk& chunk);
  void end_read(PeerId reader, DatumId datum);

  std::map<DatumId, Fetch> fetches_;
  std::map<DatumId, PeerId> borrowed_;
  std::multimap<PeerId, std::pair<DatumId, Chunk>> lent_;
  worker::SendTurns<std::function<void()>> turns_;
  std::uint64_t next_request_ = 0;
};

std::string name_of(const DatumId& datum);

}  // namespace ashlar::simulate
