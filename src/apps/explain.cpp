#include <ashlar/future.hpp>

#include <iostream>

#include "apps/commands.hpp"
#include "session/core.hpp"

namespace ashlar::apps {

int explain(const ExplainOptions& options) {
  using protocol::Subject;
  protocol::Explain question{.subject = Subject::cluster};
  if (options.session) question.session = SessionId{*options.session};
  if (options.run) {
    question.subject = options.task ? Subject::task : Subject::run;
    question.run = *options.run;
    question.task = options.task.value_or(0);
  }
  const auto core =
      session::Core::connect(options.scheduler, {.token = options.token, .tls = options.tls});
  const Future<std::string> text(core->explain(question));
  std::cout << text.get() << '\n';
  core->close();
  return 0;
}

}  // namespace ashlar::apps
