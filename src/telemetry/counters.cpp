#include "telemetry/counters.hpp"

namespace ashlar::telemetry {

Counter& Counters::counter(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  auto found = counters_.find(name);
  if (found == counters_.end()) found = counters_.try_emplace(std::string(name)).first;
  return found->second;
}

std::vector<std::pair<std::string, std::uint64_t>> Counters::snapshot() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::pair<std::string, std::uint64_t>> values;
  values.reserve(counters_.size());
  for (const auto& [name, counter] : counters_) values.emplace_back(name, counter.value());
  return values;
}

}  // namespace ashlar::telemetry
