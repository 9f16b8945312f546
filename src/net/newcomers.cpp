#include "net/newcomers.hpp"

namespace ashlar::net {

bool Newcomers::has_room() {
  std::erase_if(waiting_, [](const Newcomer& newcomer) {
    const auto link = newcomer.link.lock();
    return !link || !link->is_newcomer();
  });
  if (waiting_.size() < limits_.newcomers_max) return true;
  const auto time = std::chrono::steady_clock::now() - waiting_.front().since;
  return time >= std::chrono::milliseconds(limits_.newcomer_ms_min);
}

void Newcomers::add(const std::shared_ptr<Link>& link) {
  if (waiting_.size() >= limits_.newcomers_max) {
    const auto oldest = waiting_.front().link.lock();
    waiting_.pop_front();
    if (oldest) oldest->close("introduced nobody, and others want to");
  }
  waiting_.push_back({link, std::chrono::steady_clock::now()});
}

}  // namespace ashlar::net
