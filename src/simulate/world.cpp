#include "simulate/world.hpp"

#include "simulate/peer_node.hpp"

namespace ashlar::simulate {

World::World(const Config& settings, std::uint64_t seed) : config(settings), random(seed) {}

World::~World() = default;

}  // namespace ashlar::simulate
