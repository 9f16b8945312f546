#pragma once

#include <string>

namespace ashlar {

/// Prints what was violated and where, and aborts. For our own bugs only.
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const std::string& story);

}  // namespace ashlar

/// An invariant of our own code; on in every build. The optional text is only built on failure.
#define ASHLAR_CHECK(condition, ...)                                                       \
  do {                                                                                     \
    if (!(condition)) [[unlikely]]                                                         \
      ::ashlar::check_failed(#condition, __FILE__, __LINE__, std::string{__VA_ARGS__});    \
  } while (false)
