#pragma once

#include <compare>
#include <cstdint>

namespace ashlar {

/// A span of time in nanoseconds.
struct Duration {
  std::int64_t ns = 0;

  static constexpr Duration nanoseconds(std::int64_t n) { return {n}; }
  static constexpr Duration microseconds(std::int64_t n) { return {n * 1000}; }
  static constexpr Duration milliseconds(std::int64_t n) { return {n * 1'000'000}; }
  static constexpr Duration seconds(double s) { return {static_cast<std::int64_t>(s * 1e9)}; }
  constexpr double in_seconds() const { return static_cast<double>(ns) * 1e-9; }

  friend constexpr auto operator<=>(const Duration&, const Duration&) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
  constexpr Duration& operator+=(Duration b) { ns += b.ns; return *this; }
  constexpr Duration& operator-=(Duration b) { ns -= b.ns; return *this; }
};

/// A point in time: nanoseconds since an origin that whoever drives an engine chooses.
struct Instant {
  std::int64_t ns = 0;

  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Instant operator+(Instant t, Duration d) { return {t.ns + d.ns}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
};

}  // namespace ashlar
