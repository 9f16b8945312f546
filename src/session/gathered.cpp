#include "session/gathered.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

#include "runtime/clock.hpp"

namespace ashlar {

namespace session {

Gathered::Gathered(std::vector<detail::DatumHandle> elements, detail::DatumHandle run)
    : elements_(std::move(elements)), run_(std::move(run)) {}

bool Gathered::is_ready() const {
  return std::all_of(elements_.begin(), elements_.end(),
                     [](const auto& element) { return element->is_ready(); });
}

bool Gathered::wait(std::chrono::nanoseconds timeout) {
  const Instant begin = runtime::now();
  return std::all_of(elements_.begin(), elements_.end(), [&](const auto& element) {
    const std::chrono::nanoseconds passed((runtime::now() - begin).ns);
    return element->wait(std::max(timeout - passed, std::chrono::nanoseconds(0)));
  });
}

detail::Bytes Gathered::get() {
  for (const auto& element : elements_) element->get();
  return {};
}

void Gathered::cancel() {
  for (const auto& element : elements_) element->cancel();
}

void Gathered::then(std::function<void()> f) {
  struct Countdown {
    std::atomic<std::size_t> left;
    std::function<void()> f;
  };
  const auto countdown = std::make_shared<Countdown>(elements_.size() + 1, std::move(f));
  const auto count = [countdown] {
    if (--countdown->left == 0) countdown->f();
  };
  for (const auto& element : elements_) element->then(count);
  count();  // for a list without elements
}

RunReport Gathered::report() {
  if (run_ == nullptr) {
    throw BadInput("a gathered list has no report of its own: ask the futures it was made of");
  }
  return run_->report();
}

detail::DatumHandle Gathered::explain(std::uint32_t output) {
  if (run_ == nullptr) {
    throw BadInput(
        "a gathered list has nothing to explain of its own: ask the futures it was made "
        "of");
  }
  return run_->explain(output);
}

}  // namespace session

detail::DatumHandle detail::gathered(std::vector<DatumHandle> elements) {
  for (const auto& element : elements) {
    if (element == nullptr) throw BadInput("gather: one of the futures is empty");
  }
  return std::make_shared<session::Gathered>(std::move(elements));
}

}  // namespace ashlar
