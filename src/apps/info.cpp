#include <cstdio>
#include <fstream>
#include <string>

#include "apps/commands.hpp"
#include "kernels/blas.hpp"
#include "net/tls.hpp"
#include "protocol/messages.hpp"
#include "runtime/clock.hpp"
#include "session/machine.hpp"
#include "telemetry/load_sampler.hpp"

namespace ashlar::apps {

namespace {
/// Below this share of the processor's peak a BLAS is not the one made for it.
constexpr double blas_share_min = 0.6;
constexpr double check_seconds = 0.5;
/// From this share of the cores on, those who keep them busy may be what makes a BLAS slow.
constexpr double disturbance_min = 0.25;

/// Whether chunks may have huge pages, as the kernel's setting for shared memory has it. They are
/// asked for by advice, which `advise` and what allows more follow.
std::string huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string line;
  std::getline(file, line);
  const std::size_t begin = line.find('[') + 1, end = line.find(']');
  if (end == std::string::npos) return "none: this kernel has no such setting";
  const std::string word = line.substr(begin, end - begin);
  const bool is_off = word == "never" || word == "deny";
  return std::string(is_off ? "none for chunks" : "for chunks").append(" (shmem_enabled is ") +
         word + ")";
}

/// The share of this process's cores that others kept busy.
double disturbance(const telemetry::Load& load) {
  const double all = load.cores_busy_percent, own = load.cpu_percent;
  return load.cores == 0 ? 0 : (all - own) / (100.0 * load.cores);
}

void warn_of_slow_blas(double disturbed) {
  std::printf("warning       the BLAS reaches less than %.0f %% of the processor's peak",
              100 * blas_share_min);
  if (disturbed >= disturbance_min) {
    std::printf(
        ", but other processes kept %.0f %%\n              of the cores busy meanwhile: look again "
        "when the machine is idle. If it stays slow",
        100 * disturbed);
  }
  std::printf(
      ":\n              it may be too old to know this processor. Try OPENBLAS_CORETYPE (such as "
      "SkylakeX\n              or Zen), a newer OpenBLAS, or another BLAS.\n");
}

}  // namespace

int info() {
  std::printf("ashlar        %s, protocol %u\n", ASHLAR_VERSION, protocol::version);
  std::printf("CUDA          %s\n", ASHLAR_CUDA_STATUS);
  std::printf("TLS           %s\n", net::Tls::library().c_str());
  std::printf("UCX           %s\n", ASHLAR_UCX_STATUS);
  std::printf("BLAS          %s\n", kernels::blas_name().c_str());
  std::printf("cores         %u usable\n", session::usable_cores());
  std::printf("memory        %.1f GiB usable\n",
              static_cast<double>(session::usable_memory()) / (1 << 30));
  std::printf("huge pages    %s\n", huge_pages().c_str());
  kernels::blas_use_one_thread();
  telemetry::LoadSampler sampler;
  sampler.sample(runtime::now());
  const double peak = kernels::measure_fma_peak_gflops();
  const double reached = kernels::measure_gflops(check_seconds);
  std::printf("self-check    dgemm %.1f GFLOP/s on one core, FMA peak %.1f GFLOP/s (%.0f %%)\n",
              reached, peak, 100 * reached / peak);
  if (reached < blas_share_min * peak)
    warn_of_slow_blas(disturbance(sampler.sample(runtime::now())));
  return 0;
}

}  // namespace ashlar::apps
