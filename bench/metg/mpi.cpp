// MPI point to point: each rank has a block of the points; per step it posts what it needs and
// what others need of it without blocking, waits for both, and runs its tasks.
#include <mpi.h>

#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

#include "options.hpp"
#include "sweep.hpp"

namespace {

using metg::Cell;
using metg::Pattern;

class Rank {
 public:
  Rank(const Pattern& pattern, int rank, int ranks)
      : pattern_(pattern),
        rank_(rank),
        ranks_(ranks),
        row_(std::size_t(pattern.width)),
        above_(std::size_t(pattern.width)) {}

  void run(long iterations) {
    for (int step = 0; step < pattern_.steps; ++step) {
      std::swap(row_, above_);
      if (step > 0) exchange(step);
      for (int point = 0; point < pattern_.points(step); ++point) {
        if (owner(point) != rank_) continue;
        inputs_.clear();
        for (const int other : pattern_.inputs(step, point)) {
          inputs_.push_back(above_[std::size_t(other)]);
        }
        row_[std::size_t(point)] = metg::run_task(pattern_, step, point, iterations, inputs_);
      }
    }
  }

 private:
  int owner(int point) const { return point * ranks_ / pattern_.width; }

  /// Brings those cells of the row before that tasks here read, and gives those that others read:
  /// each once to a rank.
  void exchange(int step) {
    requests_.clear();
    wanted_.assign(std::size_t(pattern_.width * ranks_), false);
    for (int point = 0; point < pattern_.points(step); ++point) {
      const int reader = owner(point);
      for (const int other : pattern_.inputs(step, point)) {
        const int holder = owner(other);
        if (holder == reader || (holder != rank_ && reader != rank_)) continue;
        if (wanted_[std::size_t(other * ranks_ + reader)]) continue;
        wanted_[std::size_t(other * ranks_ + reader)] = true;
        Cell& cell = above_[std::size_t(other)];
        requests_.emplace_back();
        if (reader == rank_) {
          MPI_Irecv(&cell, 2, MPI_INT64_T, holder, other, MPI_COMM_WORLD, &requests_.back());
        } else {
          MPI_Isend(&cell, 2, MPI_INT64_T, reader, other, MPI_COMM_WORLD, &requests_.back());
        }
      }
    }
    MPI_Waitall(int(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
  }

  Pattern pattern_;
  int rank_, ranks_;
  std::vector<Cell> row_, above_, inputs_;
  std::vector<MPI_Request> requests_;
  std::vector<bool> wanted_;
};

/// What every rank does with a number of iterations that rank 0 tells; returns the seconds.
double run_together(Rank& rank, long iterations) {
  MPI_Barrier(MPI_COMM_WORLD);
  return metg::seconds_of([&] {
    rank.run(iterations);
    MPI_Barrier(MPI_COMM_WORLD);
  });
}

void measure(const metg::Options& options, const Pattern& pattern, int rank, int ranks) {
  Rank mine(pattern, rank, ranks);
  const auto tell = [](long& iterations) {
    MPI_Bcast(&iterations, 1, MPI_LONG, 0, MPI_COMM_WORLD);
  };
  if (rank == 0) {
    metg::measure("mpi", options, pattern, [&](long iterations) {
      tell(iterations);
      return run_together(mine, iterations);
    });
    long end = 0;
    tell(end);
    return;
  }
  for (long iterations = 0;;) {
    tell(iterations);
    if (iterations == 0) return;
    run_together(mine, iterations);
  }
}

}  // namespace

int main(int argc, char** argv) {
  metg::Options options;
  CLI::App app("METG(50 %) of MPI");
  metg::add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  try {
    metg::complete(options);
    if (options.cores != ranks) throw std::runtime_error("expected one rank for each core");
    for (const std::string& name : options.patterns) {
      for (const int width : options.widths) {
        measure(options, {metg::kind_of(name), width, options.steps}, rank, ranks);
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "peer_metg_mpi: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}
