#include "kernel.hpp"

// The same code whatever flags a project compiles it with.
#pragma GCC optimize("O3", "fp-contract=fast")

namespace metg {

// The choice is made before a thread sanitizer could note it.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
__attribute__((target_clones("avx2,fma", "default")))
#endif
double
compute(long iterations) {
  typedef double Four __attribute__((vector_size(32)));
  Four sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = Four{1, 2, 3, 4} * (i + 1.0);
  for (long n = 0; n < iterations; ++n) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) sums[i] = sums[i] * 0.999 + 0.001;
  }
  Four total = sums[0];
  for (int i = 1; i < 8; ++i) total += sums[i];
  return total[0] + total[1] + total[2] + total[3];
}

}  // namespace metg
