// Moves data between workers of several hosts, as told on standard input, and says how long it
// took. Started by `run`, which makes the hosts.
//
//   bench_hosts ADDRESS
//   > transfer MAKER CHUNKS BYTES FACTOR READER...
//   < SECONDS
//   > shuffle MAKERS READERS BYTES FACTOR TASK_SECONDS
//   < SECONDS
//
// MAKER and READER are resources that only the workers meant have, FACTOR is that of tasks.hpp, and
// SECONDS pass until all readers had all chunks. In a shuffle each maker makes a piece of so many
// bytes for each reader; makers and readers take so many seconds each, anywhere.
#include <chrono>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tasks.hpp"

namespace {

using namespace ashlar;
using Clock = std::chrono::steady_clock;
using Chunks = std::vector<Future<HostArray>>;

struct Transfer {
  std::string maker;
  std::int64_t chunks = 0, chunk_bytes = 0;
  std::uint64_t factor = 1;
  std::vector<std::string> readers;
};

Transfer read_transfer(std::istringstream& words) {
  Transfer transfer;
  words >> transfer.maker >> transfer.chunks >> transfer.chunk_bytes >> transfer.factor;
  for (std::string reader; words >> reader;) transfer.readers.push_back(reader);
  return transfer;
}

TaskOptions on(const std::string& worker) { return {.resources = {{worker, 1.0}}}; }

/// Errors: runtime_error when a reader does not have what was made.
void check(Session& session, const Transfer& transfer, const Chunks& chunks) {
  const std::int64_t count = transfer.chunk_bytes / 8;
  for (const std::string& reader : transfer.readers) {
    std::vector<Future<std::uint64_t>> sums;
    for (const auto& chunk : chunks)
      sums.push_back(session.submit<bench::sum_of_chunk>(on(reader), chunk));
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::int64_t counted = count * (count - 1) / 2 + count * static_cast<std::int64_t>(i);
      const std::uint64_t expected = static_cast<std::uint64_t>(counted) * transfer.factor;
      if (sums[i].get() != expected) throw std::runtime_error(reader + " has another chunk");
    }
  }
}

double seconds_of(Session& session, const Transfer& transfer) {
  Chunks chunks;
  for (std::int64_t i = 0; i < transfer.chunks; ++i) {
    chunks.push_back(session.submit<bench::make_chunk>(on(transfer.maker), transfer.chunk_bytes / 8,
                                                       i, transfer.factor));
  }
  for (const auto& chunk : chunks) chunk.wait();
  const auto begin = Clock::now();
  std::vector<Future<void>> readers;
  for (const std::string& reader : transfer.readers) {
    TaskOptions options = on(reader);
    options.after.assign(chunks.begin(), chunks.end());
    readers.push_back(session.submit<bench::have_read>(options));
  }
  for (const auto& reader : readers) reader.get();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  check(session, transfer, chunks);
  return seconds;
}

struct Shuffle {
  std::int64_t makers = 0, readers = 0, piece_bytes = 0;
  std::uint64_t factor = 1;
  double task_seconds = 0;
};

double seconds_of(Session& session, const Shuffle& shuffle) {
  const std::int64_t piece = shuffle.piece_bytes / 8, made = piece * shuffle.readers;
  Graph graph;
  std::vector<std::vector<Node<HostArray>>> pieces(static_cast<std::size_t>(shuffle.readers));
  for (std::int64_t m = 0; m < shuffle.makers; ++m) {
    const auto all =
        graph.add<bench::make_pieces>(made, m * made, shuffle.factor, shuffle.task_seconds);
    for (std::int64_t r = 0; r < shuffle.readers; ++r) {
      pieces[static_cast<std::size_t>(r)].push_back(
          graph.add<bench::piece_of>(all, r * piece, piece));
    }
  }
  std::vector<Node<std::uint64_t>> sums;
  for (const auto& inputs : pieces) {
    sums.push_back(graph.add<bench::reduce>(inputs, shuffle.task_seconds));
    graph.want(sums.back());
  }
  const auto begin = Clock::now();
  const GraphRun run = session.run(graph);
  std::uint64_t sum = 0;
  for (const auto& node : sums) sum += run[node].get();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto elements = static_cast<std::uint64_t>(made * shuffle.makers);
  if (sum != elements * (elements - 1) / 2 * shuffle.factor) {
    throw std::runtime_error("the readers have other pieces");
  }
  return seconds;
}

double seconds_of(Session& session, const std::string& line) {
  std::istringstream words(line);
  std::string job;
  words >> job;
  if (job == "transfer") return seconds_of(session, read_transfer(words));
  if (job != "shuffle") throw std::runtime_error("expected transfer or shuffle: " + line);
  Shuffle shuffle;
  words >> shuffle.makers >> shuffle.readers >> shuffle.piece_bytes >> shuffle.factor >>
      shuffle.task_seconds;
  return seconds_of(session, shuffle);
}

}  // namespace

int main(int argc, char** argv) {
  Tasks tasks;
  bench::name_tasks(tasks);
  init(argc, argv, tasks);
  if (argc != 2) {
    std::cerr << "usage: bench_hosts ADDRESS; see bench/hosts/run\n";
    return 2;
  }
  try {
    auto session = Session::connect(argv[1], {.progress = false});
    for (std::string line; std::getline(std::cin, line);)
      std::cout << seconds_of(session, line) << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
