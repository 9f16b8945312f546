#include "tasks.hpp"

#include <ashlar/plugin.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

namespace ashlar::bench {
namespace {

void wait(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

}  // namespace

HostArray make_chunk(std::int64_t count, std::int64_t first, std::uint64_t factor) {
  HostArray chunk(DType::int64, {count});
  const auto elements = chunk.view<std::int64_t, 1>();
  for (std::int64_t i = 0; i < count; ++i)
    elements(i) = static_cast<std::int64_t>(static_cast<std::uint64_t>(first + i) * factor);
  return chunk;
}

std::uint64_t sum_of_chunk(View<const std::int64_t, 1> chunk) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < chunk.size(); ++i) sum += static_cast<std::uint64_t>(chunk(i));
  return sum;
}

void have_read() {}

HostArray make_pieces(std::int64_t count, std::int64_t first, std::uint64_t factor,
                      double seconds) {
  wait(seconds);
  return make_chunk(count, first, factor);
}

HostArray piece_of(View<const std::int64_t, 1> pieces, std::int64_t begin, std::int64_t count) {
  HostArray piece(DType::int64, {count});
  std::copy_n(&pieces(begin), count, &piece.view<std::int64_t, 1>()(0));
  return piece;
}

std::uint64_t reduce(std::vector<HostArray> pieces, double seconds) {
  wait(seconds);
  std::uint64_t sum = 0;
  for (const HostArray& piece : pieces) sum += sum_of_chunk(piece.view<const std::int64_t, 1>());
  return sum;
}

void name_tasks(Tasks& tasks) {
  tasks.add<make_chunk>("make_chunk").add<sum_of_chunk>("sum_of_chunk").add<have_read>("have_read");
  tasks.add<make_pieces>("make_pieces").add<piece_of>("piece_of").add<reduce>("reduce");
}

}  // namespace ashlar::bench

void ashlar_name_tasks(ashlar::Tasks& tasks) { ashlar::bench::name_tasks(tasks); }
