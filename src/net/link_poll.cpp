#include "net/link_poll.hpp"

#include <algorithm>
#include <utility>

namespace ashlar::net {

void LinkPoll::remove(PolledLink& link) {
  constexpr PolledLink* none = nullptr;
  std::replace(links_.begin(), links_.end(), &link, none);
  std::replace(to_flush_.begin(), to_flush_.end(), &link, none);
  std::replace(to_listen_.begin(), to_listen_.end(), &link, none);
  if (!is_iterating_) std::erase(links_, none);
}

bool LinkPoll::poll() {
  bool did_anything = false;
  is_iterating_ = true;
  // What a link does may add links and remove them.
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (links_[i] != nullptr) did_anything = links_[i]->poll() || did_anything;
  }
  is_iterating_ = false;
  if (did_anything) std::erase(links_, nullptr);
  return did_anything;
}

void LinkPoll::flush() {
  for (std::size_t i = 0; i < to_flush_.size(); ++i) {
    if (PolledLink* link = std::exchange(to_flush_[i], nullptr)) link->flush();
  }
  to_flush_.clear();
}

void LinkPoll::listen() {
  for (std::size_t i = 0; i < to_listen_.size(); ++i) {
    if (PolledLink* link = std::exchange(to_listen_[i], nullptr)) link->listen();
  }
  to_listen_.clear();
}

bool LinkPoll::await() {
  listen();
  is_looking_ = false;
  bool is_one_ready = false;
  for (PolledLink* link : links_) is_one_ready = link->await() || is_one_ready;
  return is_one_ready;
}

void LinkPoll::look() {
  if (is_looking_) return;
  is_looking_ = has_poller_ = true;
  for (PolledLink* link : links_) link->look();
}

void LinkPoll::shutdown() {
  links_.clear();
  to_flush_.clear();
  to_listen_.clear();
}

}  // namespace ashlar::net
