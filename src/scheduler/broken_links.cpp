#include "scheduler/broken_links.hpp"

#include <algorithm>

namespace ashlar::scheduler {

const BrokenLinks::Link* BrokenLinks::find(Ends ends, Instant now) const {
  if (!any(now)) return nullptr;
  const auto found = links_.find(ends);
  return found != links_.end() && now < found->second.until ? &found->second : nullptr;
}

void BrokenLinks::note(Ends ends, const std::string& reason, Instant now) {
  const auto [entry, is_new] = links_.try_emplace(ends);
  Link& link = entry->second;
  link.reason = reason;
  link.noted = now;
  if (!is_new && now < link.until) return;
  link.pause = is_new ? pauses_.first : std::min(Duration{2 * link.pause.ns}, pauses_.last);
  link.until = now + link.pause;
  last_ = std::max(last_, link.until);
}

void BrokenLinks::mend(Ends ends) { links_.erase(ends); }

void BrokenLinks::forget(PeerIndex peer) {
  std::erase_if(links_, [peer](const auto& entry) {
    return entry.first.asker == peer || entry.first.asked == peer;
  });
  isolated_.erase(peer);
}

void BrokenLinks::isolate(Ends ends) {
  isolated_.erase(ends.asker);
  isolated_[ends.asked] = ends.asker;
}

bool BrokenLinks::is_isolated(PeerIndex peer, Instant now) const {
  const auto found = isolated_.find(peer);
  return found != isolated_.end() && find({found->second, peer}, now) != nullptr;
}

std::vector<PeerIndex> BrokenLinks::isolated(Instant now) const {
  std::vector<PeerIndex> found;
  for (const auto& [peer, from] : isolated_) {
    if (find({from, peer}, now) != nullptr) found.push_back(peer);
  }
  return found;
}

}  // namespace ashlar::scheduler
