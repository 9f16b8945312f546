#pragma once

#include <ashlar/ashlar.hpp>

#include <cstdint>
#include <vector>

namespace ashlar::bench {

/// Numbers from `first` on, each times `factor`, modulo 2^64: with 1 they can be compressed, with a
/// large odd one not.
HostArray make_chunk(std::int64_t count, std::int64_t first, std::uint64_t factor);
/// Modulo 2^64.
std::uint64_t sum_of_chunk(View<const std::int64_t, 1> chunk);
/// What it runs after has come to its worker, which is all that it is for.
void have_read();

/// Of a shuffle; each takes so many seconds. They wait, since hosts that share this machine's cores
/// would wait for each other if they computed.
HostArray make_pieces(std::int64_t count, std::int64_t first, std::uint64_t factor, double seconds);
HostArray piece_of(View<const std::int64_t, 1> pieces, std::int64_t begin, std::int64_t count);
std::uint64_t reduce(std::vector<HostArray> pieces, double seconds);

/// The tasks of the benchmark, for its program and its workers.
void name_tasks(Tasks& tasks);

}  // namespace ashlar::bench
