#include "scheduler/link_model.hpp"

#include <algorithm>
#include <cmath>

namespace ashlar::scheduler {
namespace {

constexpr std::uint64_t telling_bytes = 1 << 16;  // less is latency
constexpr Duration overhead = Duration::microseconds(100);  // of asking and reporting
constexpr Duration watched_max = Duration::seconds(10);     // then it was lost or given up

}  // namespace

void LinkModel::begin(const Transfer& transfer, Instant now) {
  Watch& watch = watch_of(transfer.to);
  if (watch.transfer.to != no_peer && now - watch.since < watched_max) return;
  watch.transfer = transfer;
  watch.since = now;
  watch.received_first = watch.received;
}

void LinkModel::end(PeerIndex to, DataRef datum, Instant now) {
  Watch& watch = watch_of(to);
  if (watch.transfer.to == no_peer || watch.transfer.datum != datum) return;
  const PeerIndex from = watch.transfer.from;
  watch.transfer.to = no_peer;
  const std::uint64_t bytes = watch.received - watch.received_first;
  const Duration took = now - watch.since - overhead;
  if (bytes < telling_bytes || took.ns <= 0) return;
  const double sample = static_cast<double>(bytes) / took.in_seconds();
  learn(rate_of(receiving_, to), sample);
  learn(rate_of(sending_, from), sample);
  learn(common_, sample);
}

LinkModel::Rate& LinkModel::rate_of(std::vector<Rate>& rates, PeerIndex peer) {
  if (peer >= rates.size()) rates.resize(peer + 1);
  return rates[peer];
}

void LinkModel::learn(Rate& rate, double sample) const {
  if (rate.samples == 0) rate.rate = usual();
  rate.samples = std::min(rate.samples + 1, 1000u);
  const double most = rate.samples < 4 ? 8 : 2;
  const double change = std::log(std::clamp(sample / rate.rate, 1 / most, most));
  const double weight = std::max(1.0 / rate.samples, change > 0 ? 0.25 : 0.05);
  rate.rate *= std::exp(weight * change);
}

}  // namespace ashlar::scheduler
