#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace ashlar {

void check_failed(const char* condition, const char* file, int line, const std::string& story) {
  std::fprintf(stderr, "ashlar: internal error at %s:%d: %s does not hold\n%s%s", file, line,
               condition, story.c_str(), story.empty() ? "" : "\n");
  std::abort();
}

}  // namespace ashlar
