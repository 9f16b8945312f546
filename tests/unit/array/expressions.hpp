#pragma once

#include <ashlar/array.hpp>

#include "base/random.hpp"
#include "naive.hpp"

namespace ashlar::test {

/// An expression, and what it must come to.
struct Expression {
  Array array;
  Dense expected;
};

/// A random expression of up to `operations` operations over arrays of random shapes, chunks and
/// dtypes. The same seed gives the same expression.
Expression random_expression(std::uint64_t seed, int operations);

/// Compares with a tolerance that suits the dtype; names the first difference.
void expect_close(const HostArray& found, const Dense& expected, const std::string& name);

}  // namespace ashlar::test
