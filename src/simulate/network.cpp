#include "simulate/network.hpp"

#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

namespace ashlar::simulate {

void Network::start(Instant now, Route route, std::uint64_t bytes, std::function<void()> arrived) {
  flow(now);
  streams_.push_back({static_cast<double>(bytes), 0, std::move(arrived)});
  routes_.push_back(route);
  is_shared_ = false;
}

void Network::remove_host(Instant now, std::uint32_t host) {
  flow(now);
  for (std::size_t s = streams_.size(); s-- > 0;) {
    if (routes_[s].from != host && routes_[s].to != host) continue;
    streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(s));
    routes_.erase(routes_.begin() + static_cast<std::ptrdiff_t>(s));
    is_shared_ = false;
  }
}

void Network::advance(Instant now) {
  flow(now);
  std::vector<std::function<void()>> arrived;
  std::size_t kept = 0;
  for (std::size_t s = 0; s < streams_.size(); ++s) {
    if (streams_[s].bytes_left < 0.5) {
      arrived.push_back(std::move(streams_[s].arrived));
      continue;
    }
    if (kept != s) {
      streams_[kept] = std::move(streams_[s]);
      routes_[kept] = routes_[s];
    }
    ++kept;
  }
  if (kept < streams_.size()) is_shared_ = false;
  streams_.resize(kept);
  routes_.resize(kept);
  for (const auto& tell : arrived) tell();
}

Instant Network::next_end() {
  share();
  double least = streams_.front().bytes_left / streams_.front().rate;
  for (const Stream& stream : streams_) least = std::min(least, stream.bytes_left / stream.rate);
  return now_ + Duration{static_cast<std::int64_t>(std::ceil(least * 1e9))};
}

/// Moves bytes up to `now`.
void Network::flow(Instant now) {
  if (now == now_) return;
  share();
  const double seconds = (now - now_).in_seconds();
  for (Stream& stream : streams_) stream.bytes_left -= seconds * stream.rate;
  now_ = now;
}

void Network::share() {
  if (std::exchange(is_shared_, true)) return;
  const std::vector<double> rates = fair_rates(routes_, bandwidth_, of_host_);
  for (std::size_t s = 0; s < streams_.size(); ++s) streams_[s].rate = rates[s];
}

std::vector<double> Network::fair_rates(std::span<const Route> routes, double bandwidth,
                                        std::span<const double> of_host) {
  struct Link {
    double left;
    std::vector<std::uint32_t> streams;
    std::uint32_t open = 0;  ///< streams without a rate
    double share() const { return left / open; }
  };
  std::uint32_t hosts = 0;
  for (const Route& route : routes) hosts = std::max({hosts, route.from + 1, route.to + 1});
  std::vector<Link> links(2 * std::size_t{hosts}, Link{bandwidth, {}});
  for (std::size_t h = 0; h < std::min<std::size_t>(hosts, of_host.size()); ++h) {
    links[2 * h].left = links[2 * h + 1].left = of_host[h];
  }
  for (std::uint32_t s = 0; s < routes.size(); ++s) {
    for (const std::uint32_t l : {2 * routes[s].from, 2 * routes[s].to + 1}) {
      links[l].streams.push_back(s);
      ++links[l].open;
    }
  }
  // The fullest link first. Shares only grow while links fill, so an entry that is out of date
  // comes too early, and is put back.
  using Entry = std::pair<double, std::uint32_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> fullest;
  for (std::uint32_t l = 0; l < links.size(); ++l) {
    if (links[l].open > 0) fullest.emplace(links[l].share(), l);
  }
  std::vector<double> rates(routes.size(), 0);
  while (!fullest.empty()) {
    const auto [share, l] = fullest.top();
    fullest.pop();
    if (links[l].open == 0) continue;
    const double rate = links[l].share();
    if (rate > share * (1 + 1e-12)) {
      fullest.emplace(rate, l);
      continue;
    }
    for (const std::uint32_t s : links[l].streams) {
      if (rates[s] > 0) continue;
      rates[s] = rate;
      for (const std::uint32_t used : {2 * routes[s].from, 2 * routes[s].to + 1}) {
        links[used].left = std::max(links[used].left - rate, 1e-9 * bandwidth);
        --links[used].open;
      }
    }
  }
  return rates;
}

}  // namespace ashlar::simulate
