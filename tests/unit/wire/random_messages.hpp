#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "protocol/peer_messages.hpp"
#include "wire/codec.hpp"

namespace ashlar::wire {

/// Sound messages of every kind, from a seed.
class RandomMessages {
 public:
  explicit RandomMessages(std::uint64_t seed, std::size_t size_max = 40)
      : random_(seed), size_max_(size_max) {}

  static constexpr SessionId session{7};

  template <class Variant>
  Variant any() {
    return make<Variant>(random_.below(std::variant_size_v<Variant>),
                         std::make_index_sequence<std::variant_size_v<Variant>>{});
  }
  template <class Variant>
  Variant of_kind(std::size_t index) {
    return make<Variant>(index, std::make_index_sequence<std::variant_size_v<Variant>>{});
  }

  std::uint32_t u32() { return static_cast<std::uint32_t>(random_.next()); }
  std::uint64_t u64() { return random_.next(); }
  std::uint64_t size() { return random_.next() >> (3 + random_.below(50)); }
  std::size_t count() { return random_.below(size_max_ + 1); }
  bool coin() { return random_.below(2) == 1; }
  ErrorKind error_kind() { return static_cast<ErrorKind>(random_.below(6)); }
  PeerId peer() { return PeerId{u32()}; }
  RunId run() { return {coin() ? session : SessionId{u32()}, u32()}; }
  DatumId datum() { return {run(), u32()}; }
  std::string text();
  std::vector<DatumId> ids(std::size_t count);
  std::vector<DatumId> own_ids(std::size_t count);
  std::shared_ptr<const graph::TaskGraph> graph();

  void fill(protocol::Hello& out);
  void fill(protocol::Welcome& out) {
    out = {u32(),  peer(), SessionId{u32()}, {u32(), u64()}, coin(), coin(),
           coin(), coin(), coin(),           coin(),         coin()};
  }
  void fill(protocol::ClusterSize& out) { out = {u32(), u64()}; }
  void fill(protocol::Refusal& out) { out = {text()}; }
  void fill(protocol::Heartbeat& out);
  void fill(protocol::SubmitRun& out);
  void fill(protocol::CancelRun& out) { out = {u32()}; }
  void fill(protocol::StreamHeld& out) { out = {u32(), coin()}; }
  void fill(protocol::DropTemplates& out);
  void fill(protocol::RunTemplate& out);
  void fill(protocol::PutData& out) { out = {u32(), sizes(count())}; }
  void fill(protocol::ReleaseData& out) { out = {own_ids(count())}; }
  void fill(protocol::LocateData& out) { out = {own_ids(count())}; }
  void fill(protocol::Explain& out);
  void fill(protocol::Explanation& out) { out = {u64(), text()}; }
  void fill(protocol::PeerInfo& out) { out = {peer(), text(), {text(), text(), text(), text()}}; }
  void fill(protocol::PeerGone& out) { out = {peer(), text()}; }
  void fill(protocol::DataReady& out);
  void fill(protocol::RunEnded& out);
  void fill(protocol::RunProgress& out) { out = {u32(), u64()}; }
  void fill(protocol::PutDataUnused& out) { out = {ids(count())}; }
  void fill(protocol::DataLost& out) { out = {ids(count()), text(), error_kind()}; }
  void fill(protocol::AssignTasks& out);
  void fill(protocol::RevokeTasks& out);
  void fill(protocol::FreeData& out) { out = {ids(count())}; }
  void fill(protocol::Relocate& out);
  void fill(protocol::Prefetch& out);
  void fill(protocol::Shutdown& out) { out = {text()}; }
  void fill(protocol::TasksDone& out);
  void fill(protocol::TaskFailed& out);
  void fill(protocol::DataAcquired& out) {
    out = {run(), ids(count()), u64(), u64(), u64(), u64()};
  }
  void fill(protocol::DataMissing& out);
  void fill(protocol::Leaving& out) { out = {text()}; }
  void fill(protocol::MemoryShort& out);
  void fill(protocol::SlotsHeld& out) { out = {u32()}; }
  void fill(protocol::TasksRunning& out);
  void fill(protocol::Fetch& out);
  void fill(protocol::FetchCancel& out) { out = {u64()}; }
  void fill(protocol::ArenaShared& out) { out = {u32(), size()}; }
  void fill(protocol::FetchInPlace& out);
  void fill(protocol::FetchBytes& out) { out = {u64(), size()}; }
  void fill(protocol::FetchRefused& out) { out = {u64()}; }
  void fill(protocol::PushInPlace& out) { out = {u64(), datum(), u32(), size(), size()}; }
  void fill(protocol::PushBytes& out) { out = {datum(), size()}; }
  void fill(protocol::LeaseReturned& out);
  void fill(protocol::LoansWanted&) {}
  void fill(protocol::LanesWanted& out) {
    out.link = 1 + static_cast<std::uint32_t>(random_.below(1000));
  }
  void fill(protocol::FetchPiece&);

 private:
  template <class Variant, std::size_t... Index>
  Variant make(std::size_t index, std::index_sequence<Index...>) {
    Variant variant;
    ((index == Index ? (fill(variant.template emplace<Index>()), 0) : 0), ...);
    return variant;
  }

  std::vector<std::uint32_t> numbers(std::size_t count);
  std::vector<std::uint64_t> sizes(std::size_t count);
  std::vector<PeerId> peers(std::size_t count);

  SplitMix64 random_;
  std::size_t size_max_;
};

}  // namespace ashlar::wire
