#include "session/explanation.hpp"

#include <ashlar/codec.hpp>
#include <ashlar/error.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/clock.hpp"
#include "session/core.hpp"

namespace ashlar {

detail::DatumHandle detail::Datum::explain(std::uint32_t) {
  throw BadInput("nothing to explain: no task makes this");
}

namespace session {
namespace {

std::shared_ptr<const std::vector<std::byte>> encoded(const std::string& text) {
  const auto bytes = std::make_shared<std::vector<std::byte>>(Codec<std::string>::size(text));
  Writer writer(*bytes);
  Codec<std::string>::encode(text, writer);
  return bytes;
}

}  // namespace

ExplanationText::ExplanationText(std::shared_ptr<Core> core) : core_(std::move(core)) {}

bool ExplanationText::wait(std::chrono::nanoseconds timeout) {
  return core_->wait_for([this] { return is_ready(); }, timeout);
}

detail::Bytes ExplanationText::get() {
  wait(std::chrono::nanoseconds(std::numeric_limits<std::int64_t>::max()));
  std::lock_guard lock(mutex_);
  if (!encoded_) throw Disconnected(why_);
  return {encoded_, *encoded_};
}

void ExplanationText::then(std::function<void()> f) {
  {
    std::lock_guard lock(mutex_);
    if (!is_ready()) {
      callbacks_.push_back(std::move(f));
      f = nullptr;
    }
  }
  if (f) {
    f();
  } else {
    core_->loop().stand_in();  // the program goes on without waiting
  }
}

RunReport ExplanationText::report() {
  throw BadInput("an explanation has no report: ask the future that it is about");
}

void ExplanationText::answered(const std::string& text) { settle(State::here, text); }
void ExplanationText::failed(const std::string& why) { settle(State::failed, why); }

void ExplanationText::settle(State state, const std::string& text) {
  std::vector<std::function<void()>> callbacks;
  {
    std::lock_guard lock(mutex_);
    if (is_ready()) return;
    if (state == State::here) {
      encoded_ = encoded(text);
    } else {
      why_ = text;
    }
    state_ = state;
    callbacks.swap(callbacks_);
  }
  for (auto& f : callbacks) f();
}

detail::DatumHandle Core::explain(protocol::Explain question) {
  check_open();
  const auto driver = this->driver();
  if (!driver) throw Disconnected(why_disconnected());
  if (!driver->explains()) {
    throw Unsupported(
        "the scheduler is of an older version, which does not explain anything: "
        "start it again with the ashlar of this program");
  }
  const auto asked = std::make_shared<ExplanationText>(shared_from_this());
  {
    std::lock_guard lock(mutex_);
    if (is_disconnected_) throw Disconnected(why_disconnected_);
    question.request = next_question_++;
    questions_[question.request] = asked;
  }
  driver->post(driver::ExplainAsked{question});
  return asked;
}

detail::DatumHandle Core::explain_output(const Run& run, std::uint32_t output) {
  const auto& offsets = run.graph->output_offsets;
  const auto next = std::ranges::upper_bound(offsets, output);
  const auto task = static_cast<std::uint32_t>(next - offsets.begin()) - 1;
  return explain({.subject = protocol::Subject::task, .run = run.number, .task = task});
}

void Core::on_explained(std::uint64_t request, const std::string& text) {
  std::shared_ptr<ExplanationText> asked;
  {
    std::lock_guard lock(mutex_);
    if (auto question = questions_.extract(request)) asked = question.mapped().lock();
  }
  if (asked) asked->answered(text);
}

}  // namespace session
}  // namespace ashlar
