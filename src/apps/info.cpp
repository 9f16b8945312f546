#include <cstdio>
#include <string>

#include "apps/commands.hpp"
#include "kernels/blas.hpp"
#include "protocol/messages.hpp"
#include "session/machine.hpp"

namespace ashlar::apps {

namespace {
/// Below this share of the processor's peak a BLAS is not the one made for it.
constexpr double blas_share_min = 0.6;
constexpr double check_seconds = 0.5;
}  // namespace

int info() {
  std::printf("ashlar        %s, protocol %u\n", ASHLAR_VERSION, protocol::version);
  std::printf("CUDA          %s\n", ASHLAR_CUDA_STATUS);
  std::printf("BLAS          %s\n", kernels::blas_name().c_str());
  std::printf("cores         %u usable\n", session::usable_cores());
  std::printf("memory        %.1f GiB usable\n",
              static_cast<double>(session::usable_memory()) / (1 << 30));
  kernels::blas_use_one_thread();
  const double peak = kernels::measure_fma_peak_gflops();
  const double reached = kernels::measure_gflops(check_seconds);
  std::printf("self-check    dgemm %.1f GFLOP/s on one core, FMA peak %.1f GFLOP/s (%.0f %%)\n",
              reached, peak, 100 * reached / peak);
  if (reached < blas_share_min * peak) {
    std::printf(
        "warning       the BLAS reaches less than %.0f %% of the processor's peak: it may be too "
        "old to know this\n              processor. Try OPENBLAS_CORETYPE (such as SkylakeX or "
        "Zen), a newer OpenBLAS, or another BLAS.\n",
        100 * blas_share_min);
  }
  return 0;
}

}  // namespace ashlar::apps
