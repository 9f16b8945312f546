#include "kernels/blas.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace ashlar::kernels {

namespace {

// Looked up at run time: the program runs with whichever BLAS it finds.
template <class Function>
Function* symbol(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void blas_use_one_thread() {
  for (const char* name :
       {"openblas_set_num_threads", "scipy_openblas_set_num_threads", "MKL_Set_Num_Threads"}) {
    if (auto* set = symbol<void(int)>(name)) set(1);
  }
  if (auto* set = symbol<void(std::int64_t)>("bli_thread_set_num_threads")) set(1);
}

std::string blas_name() {
  for (const std::string prefix : {"openblas", "scipy_openblas"}) {
    if (auto* config = symbol<char*()>((prefix + "_get_config").c_str())) {
      std::string name = config();
      if (auto* core = symbol<char*()>((prefix + "_get_corename").c_str())) {
        name += std::string(", kernel ") + core();
      }
      return name;
    }
  }
  if (auto* version = symbol<const char*()>("bli_info_get_version_str")) {
    std::string name = std::string("BLIS ") + version();
    auto* query = symbol<int()>("bli_arch_query_id");
    auto* text = symbol<const char*(int)>("bli_arch_string");
    if (query != nullptr && text != nullptr) name += std::string(", kernel ") + text(query());
    return name;
  }
  if (auto* version = symbol<void(char*, int)>("MKL_Get_Version_String")) {
    char text[200] = {};
    version(text, sizeof text - 1);
    return text;
  }
  return "BLAS";
}

double measure_gflops(double seconds) {
  constexpr std::int64_t n = 1024;
  const std::vector<double> a(n * n, 1.5);
  const std::vector<double> b(n * n, 0.25);
  std::vector<double> c(n * n);
  const GemmShape shape{.m = n, .n = n, .k = n};
  blas_dgemm(shape, a.data(), b.data(), false, c.data());
  const double end = seconds_now() + seconds;
  double best = 0;
  do {
    const double start = seconds_now();
    blas_dgemm(shape, a.data(), b.data(), false, c.data());
    best = std::max(best, 2e-9 * n * n * n / (seconds_now() - start));
  } while (seconds_now() < end);
  return best;
}

}  // namespace ashlar::kernels
