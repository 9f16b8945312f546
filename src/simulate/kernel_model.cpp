#include "simulate/kernel_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace ashlar::simulate {
namespace {

constexpr std::size_t terms = 3;
using Row = std::array<double, terms>;

/// The mean without a twentieth at each end, one at least: a call that something disturbed does not
/// count, what differs from call to call does.
double usual(std::vector<double>& values) {
  std::ranges::sort(values);
  const std::size_t cut = values.size() < 3 ? 0 : std::max<std::size_t>(values.size() / 20, 1);
  double sum = 0;
  for (std::size_t i = cut; i < values.size() - cut; ++i) sum += values[i];
  return sum / static_cast<double>(values.size() - 2 * cut);
}

/// One group of calls: what each term gives, over the usual time, should sum to 1.
std::vector<Row> rows_of(std::span<const MeasuredCall> calls) {
  std::map<std::pair<double, double>, std::vector<double>> groups;
  for (const MeasuredCall& call : calls) {
    if (call.seconds > 0) groups[{call.flops, call.bytes}].push_back(call.seconds);
  }
  std::vector<Row> rows;
  for (auto& [estimates, seconds] : groups) {
    const double time = usual(seconds);
    rows.push_back({1 / time, estimates.first / time, estimates.second / time});
  }
  return rows;
}

double squared_error(const std::vector<Row>& rows, const Row& factors) {
  double sum = 0;
  for (const Row& row : rows) {
    double found = 0;
    for (std::size_t i = 0; i < terms; ++i) found += row[i] * factors[i];
    sum += (found - 1) * (found - 1);
  }
  return sum;
}

/// Least squares with these terms alone, by Gauss on the normal equations. None if a factor is
/// negative, or terms cannot be told apart.
std::optional<Row> solve(const std::vector<Row>& rows, std::span<const std::size_t> chosen) {
  const std::size_t n = chosen.size();
  Row scale{};
  for (std::size_t i = 0; i < n; ++i) {
    for (const Row& row : rows) scale[i] = std::max(scale[i], row[chosen[i]]);
    if (scale[i] == 0) return std::nullopt;
  }
  std::array<std::array<double, terms + 1>, terms> a{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        a[i][j] += row[chosen[i]] / scale[i] * row[chosen[j]] / scale[j];
      }
      a[i][n] += row[chosen[i]] / scale[i];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    constexpr double distinct = 1e-9;
    if (a[i][i] < distinct) return std::nullopt;
    for (std::size_t k = 0; k < n; ++k) {
      if (k == i) continue;
      const double factor = a[k][i] / a[i][i];
      for (std::size_t j = i; j <= n; ++j) a[k][j] -= factor * a[i][j];
    }
  }
  Row factors{};
  for (std::size_t i = 0; i < n; ++i) {
    factors[chosen[i]] = a[i][n] / a[i][i] / scale[i];
    if (!(factors[chosen[i]] >= 0)) return std::nullopt;
  }
  return factors;
}

}  // namespace

KernelModel fit_model(std::span<const MeasuredCall> calls) {
  constexpr std::size_t fixed = 0, flops = 1, bytes = 2;
  static constexpr std::array<std::size_t, terms> orders[] = {{flops},
                                                              {bytes},
                                                              {fixed},
                                                              {fixed, flops},
                                                              {fixed, bytes},
                                                              {flops, bytes},
                                                              {fixed, flops, bytes}};
  static constexpr std::size_t counts[] = {1, 1, 1, 2, 2, 2, 3};
  const std::vector<Row> rows = rows_of(calls);
  Row best{};
  double error = std::numeric_limits<double>::max();
  for (std::size_t i = 0; i < std::size(counts) && !rows.empty(); ++i) {
    const auto factors = solve(rows, std::span(orders[i]).first(counts[i]));
    if (!factors) continue;
    constexpr double clearly = 0.9;  // else fewer terms will do
    const double found = squared_error(rows, *factors);
    if (found >= clearly * error) continue;
    best = *factors;
    error = found;
  }
  return {best[fixed], best[flops], best[bytes]};
}

}  // namespace ashlar::simulate
