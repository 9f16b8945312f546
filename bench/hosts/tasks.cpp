#include "tasks.hpp"

#include <ashlar/plugin.hpp>

#include <numeric>

namespace ashlar::bench {

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

void name_tasks(Tasks& tasks) {
  tasks.add<make_chunk>("make_chunk").add<sum_of_chunk>("sum_of_chunk").add<have_read>("have_read");
}

}  // namespace ashlar::bench

void ashlar_name_tasks(ashlar::Tasks& tasks) { ashlar::bench::name_tasks(tasks); }
