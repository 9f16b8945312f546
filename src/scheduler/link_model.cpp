#include "scheduler/link_model.hpp"

#include <algorithm>
#include <cmath>

namespace ashlar::scheduler {
namespace {

constexpr std::uint64_t telling_bytes = 1 << 16;            // less is latency
constexpr Duration overhead = Duration::microseconds(100);  // of asking and reporting
constexpr Duration silence_max = Duration::seconds(10);     // then all were lost or given up
/// A sample ends when nothing is under way any more, or after so many times what is: what is half
/// through is little then.
constexpr std::uint32_t rounds = 4;
constexpr std::uint32_t few = 4;  // samples

}  // namespace

void LinkModel::begin(PeerIndex from, PeerIndex to, Instant now) {
  begin(link_of(receiving_, to), now);
  begin(link_of(sending_, from), now);
}

void LinkModel::end(PeerIndex from, PeerIndex to, const Transfer& transfer, Instant now) {
  Link& receiver = link_of(receiving_, to);
  Link& sender = link_of(sending_, from);
  receiver.is_shared |= sender.under_way > receiver.under_way;
  sender.is_shared |= receiver.under_way > sender.under_way;
  end(receiver, transfer, now);
  end(sender, transfer, now);
}

LinkModel::Link& LinkModel::link_of(std::vector<Link>& links, PeerIndex peer) {
  if (peer >= links.size()) links.resize(peer + 1);
  return links[peer];
}

void LinkModel::begin(Link& link, Instant now) {
  if (now - link.last_end > silence_max) link.under_way = 0;
  if (link.under_way++ > 0) return;
  start_sample(link, now);
  link.last_end = now;
}

void LinkModel::end(Link& link, const Transfer& transfer, Instant now) {
  if (link.under_way == 0) return;
  --link.under_way;
  link.last_end = now;
  if (transfer.began >= link.since) {  // of others some came before
    link.bytes += transfer.bytes;
    ++link.ended;
  }
  if (link.under_way > 0 && link.ended < rounds * link.under_way) return;
  const Duration took = now - link.since - overhead;
  if (link.bytes >= telling_bytes && took.ns > 0) {
    const double sample = static_cast<double>(link.bytes) / took.in_seconds();
    learn(link.learned, sample, link.is_shared);
    learn(common_, sample, link.is_shared);
  }
  start_sample(link, now);
}

void LinkModel::start_sample(Link& link, Instant now) {
  link.since = now;
  link.bytes = 0;
  link.ended = 0;
  link.is_shared = false;
}

void LinkModel::learn(Rate& rate, double sample, bool is_shared) const {
  if (rate.samples == 0) rate.rate = usual();
  rate.samples = std::min(rate.samples + 1, 1000u);
  const bool is_new = rate.samples < few;
  const double most = is_new ? 8 : 2;
  const double change = std::log(std::clamp(sample / rate.rate, 1 / most, most));
  double weight = std::max(1.0 / rate.samples, change > 0 ? 0.25 : 0.05);
  if (change < 0 && is_shared && common_.samples >= few) weight = 0.01;
  rate.rate *= std::exp(weight * change);
}

}  // namespace ashlar::scheduler
