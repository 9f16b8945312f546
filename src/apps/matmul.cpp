#include <ashlar/ashlar.hpp>

#include <algorithm>
#include <atomic>
#include <iostream>

#include "apps/commands.hpp"
#include "runtime/loop.hpp"
#include "runtime/stop_signals.hpp"
#include "scheduler/scheduler_engine.hpp"

namespace ashlar::apps {

namespace {

/// Chunks of the size asked for, but not larger than the array.
Shape clipped_chunks(const Shape& shape, std::int64_t chunk) {
  Shape chunks;
  for (const auto extent : shape)
    chunks.push_back(std::min(chunk, std::max<std::int64_t>(1, extent)));
  return chunks;
}

Array load_matrix(const std::string& path) {
  Array matrix = load_npy(path);
  if (matrix.ndim() != 2) {
    throw BadInput(path + ": a matrix has 2 dimensions, this array has shape " +
                   to_string(matrix.shape()) + "; reshape it with NumPy first");
  }
  return matrix;
}

void check_factors(const MatmulOptions& options, const Shape& a, const Shape& b) {
  if (a[1] == b[0]) return;
  throw BadInput(options.a + " " + to_string(a) + " times " + options.b + " " + to_string(b) +
                 ": columns of the first (" + std::to_string(a[1]) + ") and rows of the second (" +
                 std::to_string(b[0]) + ") must be equal; swap the files, or transpose one");
}

/// Errors: BadInput for a size asked for that is larger than both matrices.
std::int64_t chunk_size(const MatmulOptions& options, const Shape& a, const Shape& b) {
  constexpr std::int64_t usual = 1024;
  if (!options.chunks) return usual;
  const std::int64_t most = std::max({a[0], a[1], b[0], b[1], std::int64_t{1}});
  if (*options.chunks <= 0 || *options.chunks > most) {
    throw BadInput("--chunks " + std::to_string(*options.chunks) +
                   ": a chunk of these matrices has from 1 to " + std::to_string(most) +
                   " rows and columns; leave the option out for " + std::to_string(usual));
  }
  return *options.chunks;
}

Session open_session(const MatmulOptions& options) {
  if (!options.scheduler.empty()) {
    return Session::connect(
        options.scheduler,
        {.token = options.token, .tls = options.tls, .progress = !options.is_quiet});
  }
  return Session::local({.workers = options.workers,
                         .threads_per_worker = options.threads,
                         .progress = !options.is_quiet});
}

/// Says so if a run would wait for workers.
void announce_wait(const Session& session, const MatmulOptions& options) {
  if (options.is_quiet || session.worker_count() > 0) return;
  constexpr std::int64_t ns_per_s = 1'000'000'000;
  std::cerr << "ashlar: no worker is at " << options.scheduler << " yet; waiting up to "
            << scheduler::Limits{}.no_worker_wait.ns / ns_per_s
            << " s for one; start some with: ashlar worker --scheduler " << options.scheduler
            << '\n';
}

}  // namespace

int matmul(const MatmulOptions& options) {
  const Shape a_shape = load_matrix(options.a).shape(), b_shape = load_matrix(options.b).shape();
  check_factors(options, a_shape, b_shape);
  const std::int64_t chunk = chunk_size(options, a_shape, b_shape);
  const Array a = load_npy(options.a, {.chunks = clipped_chunks(a_shape, chunk)});
  const Array b = load_npy(options.b, {.chunks = clipped_chunks(b_shape, chunk)});
  const Array c = ashlar::matmul(a, b);
  Session session = open_session(options);
  // Ctrl-C ends the session first: that removes a file that is not finished.
  std::atomic<int> interrupting_signal{0};
  runtime::Loop loop({});
  loop.start();
  const runtime::StopSignals signals(loop, [&](int signal) {
    interrupting_signal = signal;
    session.close();
  });
  announce_wait(session, options);
  RunReport report;
  try {
    if (options.out.empty()) {
      // Without a file the sum stands for the product, so that the work is done all the same.
      const HostArray total = session.compute(sum(c.astype(DType::float64)), &report);
      if (!options.is_quiet) std::cout << "sum of the product: " << total.item<double>() << '\n';
    } else {
      session.compute(save_npy(options.out, c), &report);
    }
  } catch (const Disconnected&) {
    if (interrupting_signal == 0) throw;
    std::cerr << "ashlar: interrupted\n";
    return runtime::StopSignals::exit_status(interrupting_signal);
  }
  if (!options.is_quiet) {
    std::cout << options.a << ' ' << to_string(a.shape()) << " x " << options.b << ' '
              << to_string(b.shape());
    if (!options.out.empty()) std::cout << " -> " << options.out << ' ' << to_string(c.shape());
    std::cout << '\n' << to_string(report);
  }
  return 0;
}

}  // namespace ashlar::apps
