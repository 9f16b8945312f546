// ScaLAPACK pdgemm, one MPI rank per worker. Small job: the matrices are whole on rank 0 and go
// out and come back by pdgemr2d; a second line gives the multiply alone. Large job: inputs are
// distributed already and the result stays so. --chunk is the distribution block.
#include <mpi.h>

#include "peer.hpp"

extern "C" {
void Cblacs_get(int context, int what, int* value);
void Cblacs_gridinit(int* context, const char* order, int rows, int columns);
void Cblacs_gridinfo(int context, int* rows, int* columns, int* row, int* column);
void Cblacs_gridexit(int context);
int numroc_(const int* n, const int* block, const int* process, const int* source,
            const int* processes);
void descinit_(int* descriptor, const int* m, const int* n, const int* row_block,
               const int* column_block, const int* row_source, const int* column_source,
               const int* context, const int* lld, int* info);
void pdgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
             const double* alpha, const double* a, const int* ia, const int* ja, const int* desc_a,
             const double* b, const int* ib, const int* jb, const int* desc_b, const double* beta,
             double* c, const int* ic, const int* jc, const int* desc_c);
void Cpdgemr2d(int m, int n, double* from, int i_from, int j_from, const int* desc_from, double* to,
               int i_to, int j_to, const int* desc_to, int context);
}

namespace {

struct Grid {
  int context = 0, rows = 1, columns = 1, row = 0, column = 0;
};

/// An n x n column-major matrix cut into blocks dealt out over the grid; this rank's part of it.
struct Distributed {
  int block, local_rows, local_columns;
  int descriptor[9];
  std::vector<double> values;

  Distributed(const Grid& grid, int n, int block_size) : block(block_size) {
    const int zero = 0;
    local_rows = numroc_(&n, &block, &grid.row, &zero, &grid.rows);
    local_columns = numroc_(&n, &block, &grid.column, &zero, &grid.columns);
    const int lld = std::max(1, local_rows);
    int info = 0;
    descinit_(descriptor, &n, &n, &block, &block, &zero, &zero, &grid.context, &lld, &info);
    if (info != 0) peer::fail("descinit refused its arguments");
    values.resize(std::size_t(lld) * std::max(1, local_columns));
  }

  int global(int local, int position, int processes) const {
    return (local / block * processes + position) * block + local % block;
  }

  template <typename Visit>
  void for_each(const Grid& grid, Visit&& visit) {
    for (int j = 0; j < local_columns; ++j) {
      const int column = global(j, grid.column, grid.columns);
      for (int i = 0; i < local_rows; ++i) {
        visit(global(i, grid.row, grid.rows), column, values[std::size_t(j) * local_rows + i]);
      }
    }
  }

  void fill(const Grid& grid, int matrix) {
    for_each(grid, [&](int i, int j, double& x) { x = peer::element(matrix, i, j); });
  }

  void check(const Grid& grid, int n) {
    const auto at = peer::checked_positions(n);
    const auto has = [&](int i) { return std::find(at.begin(), at.end(), i) != at.end(); };
    for_each(grid, [&](int i, int j, double x) {
      if (has(i) && has(j)) peer::check_element(n, i, j, x);
    });
  }
};

Grid make_grid(int rows, int ranks) {
  Grid grid;
  if (ranks % rows != 0) peer::fail("--grid-rows does not divide the ranks");
  Cblacs_get(-1, 0, &grid.context);
  Cblacs_gridinit(&grid.context, "Row", rows, ranks / rows);
  Cblacs_gridinfo(grid.context, &grid.rows, &grid.columns, &grid.row, &grid.column);
  return grid;
}

void multiply(int n, const Distributed& a, const Distributed& b, Distributed& c) {
  const int first = 1;
  const double one = 1, zero = 0;
  pdgemm_("N", "N", &n, &n, &n, &one, a.values.data(), &first, &first, a.descriptor,
          b.values.data(), &first, &first, b.descriptor, &zero, c.values.data(), &first, &first,
          c.descriptor);
}

/// Runs `work` on all ranks, each repetition between two barriers.
template <typename Work>
std::vector<double> measure_all(const peer::Options& options, Work&& work) {
  std::vector<double> seconds;
  for (int i = -options.warmups; i < options.repeats; ++i) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = peer::now();
    work();
    MPI_Barrier(MPI_COMM_WORLD);
    if (i >= 0) seconds.push_back(peer::now() - start);
  }
  return seconds;
}

void run(const peer::Options& options, int rank, int ranks) {
  const Grid grid = make_grid(options.grid_rows, ranks);
  const int n = options.n;
  Distributed a(grid, n, options.chunk), b(grid, n, options.chunk), c(grid, n, options.chunk);
  a.fill(grid, 0);
  b.fill(grid, 1);
  const auto in_place = measure_all(options, [&] { multiply(n, a, b, c); });
  c.check(grid, n);
  if (!options.is_small()) {
    if (rank == 0) peer::print("scalapack", options, in_place);
  } else {
    // One block as large as the matrix: rank 0 has it all.
    Distributed whole_a(grid, n, n), whole_b(grid, n, n), whole_c(grid, n, n);
    whole_a.fill(grid, 0);
    whole_b.fill(grid, 1);
    const auto move = [&](Distributed& from, Distributed& to) {
      Cpdgemr2d(n, n, from.values.data(), 1, 1, from.descriptor, to.values.data(), 1, 1,
                to.descriptor, grid.context);
    };
    const auto seconds = measure_all(options, [&] {
      move(whole_a, a);
      move(whole_b, b);
      multiply(n, a, b, c);
      move(c, whole_c);
    });
    whole_c.check(grid, n);
    if (rank == 0) {
      peer::print("scalapack", options, seconds);
      peer::print("scalapack, no gather", options, in_place);
    }
  }
  Cblacs_gridexit(grid.context);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  run(peer::parse(argc, argv), rank, ranks);
  MPI_Finalize();
}
