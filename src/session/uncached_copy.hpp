#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ashlar::session {

/// Copies past the cache, where the processor can: a line that is written whole need not be read
/// first. For runs of what is too large for the cache as a whole; one call of finish_uncached()
/// after the last makes them visible to other threads.
inline void copy_uncached(void* to, const void* from, std::size_t bytes) {
#if defined(__SSE2__)
  constexpr std::size_t word = sizeof(__m128i), line = 4 * word;
  auto* there = static_cast<std::byte*>(to);
  const auto* here = static_cast<const std::byte*>(from);
  const std::size_t head = (line - reinterpret_cast<std::uintptr_t>(there) % line) % line;
  if (bytes >= head + line) {
    std::memcpy(there, here, head);
    there += head, here += head, bytes -= head;
    for (; bytes >= line; there += line, here += line, bytes -= line) {
      __m128i words[4];
      std::memcpy(words, here, line);
      auto* lines = reinterpret_cast<__m128i*>(there);
      for (int i = 0; i < 4; ++i) _mm_stream_si128(lines + i, words[i]);
    }
  }
  std::memcpy(there, here, bytes);
#else
  std::memcpy(to, from, bytes);
#endif
}

inline void finish_uncached() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace ashlar::session
