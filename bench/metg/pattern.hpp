#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <string>

#include "kernel.hpp"

/// Task graphs as Task Bench defines them (Slaughter et al., SC'20): `steps` rows of up to `width`
/// points; a task reads outputs of the row before.
namespace metg {

enum class Kind { stencil_1d, fft, tree, nearest, spread, random };
struct NamedKind {
  Kind kind;
  const char* name;
};
inline constexpr NamedKind kinds[] = {
    {Kind::stencil_1d, "stencil_1d"}, {Kind::fft, "fft"},       {Kind::tree, "tree"},
    {Kind::nearest, "nearest"},       {Kind::spread, "spread"}, {Kind::random, "random"}};

inline Kind kind_of(const std::string& name) {
  for (const NamedKind& known : kinds) {
    if (name == known.name) return known.kind;
  }
  throw std::invalid_argument("no pattern \"" + name +
                              "\": expected stencil_1d, fft, tree, nearest, spread or random");
}

struct Pattern {
  Kind kind = Kind::stencil_1d;
  int width = 4;
  int steps = 400;

  static constexpr int radix = 5;   ///< inputs at most, of nearest, spread and random
  static constexpr int period = 3;  ///< rows after which spread and random repeat

  /// Points in a row: a tree begins with one and doubles.
  int points(int step) const {
    return kind == Kind::tree && step < 30 ? std::min(width, 1 << step) : width;
  }

  long task_count() const {
    long count = 0;
    for (int step = 0; step < steps; ++step) count += points(step);
    return count;
  }

  /// Points of the row before, ascending, each once.
  struct Inputs {
    int count = 0;
    int points[radix + 1] = {};
    const int* begin() const { return points; }
    const int* end() const { return points + count; }
    void add(int point) {
      int at = count;
      while (at > 0 && points[at - 1] > point) --at;
      if (at > 0 && points[at - 1] == point) return;
      std::copy_backward(points + at, points + count, points + count + 1);
      points[at] = point;
      ++count;
    }
  };

  /// What the task reads. Allocates nothing: it is computed again within each task.
  Inputs inputs(int step, int point) const {
    Inputs found;
    if (step == 0) return found;
    const int last = points(step - 1) - 1;
    const auto add = [&](int other) {
      if (other >= 0 && other <= last) found.add(other);
    };
    const auto add_from_to = [&](int from, int to) {
      for (int other = from; other <= to; ++other) add(other);
    };
    switch (kind) {
      case Kind::stencil_1d:
        add_from_to(point - 1, point + 1);
        break;
      case Kind::fft:
        for (const int side : {-1, 0, 1}) add(point + side * (1 << ((step - 1) % levels())));
        break;
      case Kind::tree:
        add(point / 2);
        break;
      case Kind::nearest:
        add_from_to(point - radix / 2, point + (radix - 1) / 2);
        break;
      case Kind::spread:
        for (int i = 0, count = std::min(radix, width); i < count; ++i) {
          add((point + i * width / count + (i > 0 ? step % period : 0)) % width);
        }
        break;
      case Kind::random:
        add(point);  // itself, and one in four of the nearest
        for (int other = point - radix / 2; other <= point + (radix - 1) / 2; ++other) {
          if (chance(step % period, other, point) < 0.25) add(other);
        }
        break;
    }
    return found;
  }

 private:
  int levels() const {
    int count = 1;
    while ((1 << count) < width) ++count;
    return count;
  }

  static double chance(int set, int from, int to) {
    std::uint64_t x =
        (std::uint64_t(set + 1) << 40) ^ (std::uint64_t(from + radix) << 20) ^ std::uint64_t(to);
    for (int i = 0; i < 2; ++i) {
      x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
      x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    }
    return double((x ^ (x >> 31)) >> 11) * 0x1p-53;
  }
};

/// What a task makes: where it stands, so that who reads it can check that it is the right one.
struct Cell {
  std::int64_t step = -1;
  std::int64_t point = -1;
  friend bool operator==(const Cell&, const Cell&) = default;
};

/// One task. Errors: runtime_error unless `inputs` are what the pattern says.
template <class Inputs>
Cell run_task(const Pattern& pattern, int step, int point, long iterations, const Inputs& inputs) {
  const Pattern::Inputs expected = pattern.inputs(step, point);
  bool is_right = std::size(inputs) == std::size_t(expected.count);
  for (int i = 0; is_right && i < expected.count; ++i) {
    is_right = inputs[std::size_t(i)] == Cell{step - 1, expected.points[i]};
  }
  if (!is_right) throw std::runtime_error("a task has got wrong inputs");
  // Never true, and the compiler cannot know: the kernel is not left out.
  if (compute(iterations) < 0) throw std::runtime_error("the kernel is wrong");
  return {step, point};
}

}  // namespace metg
