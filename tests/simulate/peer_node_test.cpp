#include "simulate/peer_node.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "simulate/world.hpp"

namespace ashlar::simulate {
namespace {

/// Has what it was given, and gives it to whoever asks.
class Node : public PeerNode {
 public:
  using PeerNode::keep;
  using PeerNode::PeerNode;
  using PeerNode::start_fetch;

  void tick() override {}
  std::string leftovers() const override { return {}; }
  std::string dump() const override { return {}; }

  std::map<DatumId, Instant> came;

 protected:
  void fetched(const DatumId& datum, const Chunk& chunk, bool) override {
    keep(datum, chunk);
    came[datum] = world_.now;
  }
  void fetch_failed(const DatumId& datum, PeerId, const std::string&) override {
    world_.fail(name_of(datum));
  }
  void asked(PeerId peer, std::uint64_t request, const DatumId& datum,
             const protocol::Urgency& urgency) override {
    answer(peer, request, datum, urgency);
  }
  void unasked(PeerId, std::uint64_t) override {}
  void unasked_all(PeerId) override {}
  void pushed(const DatumId&, const Chunk&) override {}
};

constexpr std::uint64_t megabyte = 1'000'000;
constexpr std::uint32_t bulk = 16;

/// One host that has everything, and two others, at 1 Gbit/s. The second asks for 16 data of 64 MB
/// for its session, which take 8 s.
struct Hosts {
  static Config config() {
    Config config;
    config.machine =
        std::make_shared<const Machine>(Machine{.speeds = {1, 1, 1}, .bandwidth = 1.25e8});
    return config;
  }

  Hosts() {
    for (std::uint32_t n = 1; n <= 3; ++n) {
      auto node = std::make_unique<Node>(world, PeerId{n}, std::to_string(n));
      nodes[n] = node.get();
      world.peers[PeerId{n}] = std::move(node);
    }
    for (std::uint32_t i = 0; i < bulk; ++i) {
      const DatumId id{{SessionId{1}, 1}, i};
      nodes[1]->keep(id, {i, 64 * megabyte});
      nodes[2]->start_fetch(id, PeerId{1}, false, {.run = 1, .rank = i});
    }
  }

  /// How long it takes when a host asks for another MB after 100 ms.
  double seconds(std::uint32_t asker, const DatumId& id, const protocol::Urgency& urgency) {
    const Instant asked = Instant{} + Duration::milliseconds(100);
    nodes[1]->keep(id, {77, megabyte});
    world.at(asked, [=, this] { nodes[asker]->start_fetch(id, PeerId{1}, false, urgency); });
    while (world.happen()) {
    }
    EXPECT_EQ(world.outcome.problem, "");
    EXPECT_EQ(nodes[2]->came.size(), asker == 2 ? bulk + 1 : bulk);
    return static_cast<double>((nodes[asker]->came.at(id) - asked).ns) * 1e-9;
  }

  Config settings = config();
  World world{settings, 1};
  std::map<std::uint32_t, Node*> nodes;
};

TEST(PeerNode, ASmallRunDoesNotWaitForTheBulkTransferOfAnotherSession) {
  for (const std::uint32_t asker : {2u, 3u}) {
    EXPECT_LT(Hosts().seconds(asker, {{SessionId{2}, 1}, 0}, {.run = 1, .rank = 99}), 0.1);
  }
}

TEST(PeerNode, WhatIsUrgentWaitsForNoMoreThanIsUnderWay) {
  EXPECT_LT(Hosts().seconds(3, {{SessionId{1}, 2}, 0}, {.priority = 1, .run = 2, .rank = 9}), 2.1);
  EXPECT_LT(Hosts().seconds(3, {{SessionId{1}, 2}, 0}, {}), 2.7) << "a result";
  EXPECT_GT(Hosts().seconds(3, {{SessionId{1}, 2}, 0}, {.run = 2, .rank = 9}), 5.0)
      << "a later run of the same session";
}

}  // namespace
}  // namespace ashlar::simulate
