#pragma once

#include <ashlar/tasks.hpp>

namespace ashlar::session {

/// The tasks that main gave to ashlar::init: the one thing a program says once for all sessions,
/// because worker processes learn it before any session exists.
const Tasks& program_tasks();

/// Errors: BadInput unless ashlar::init was called: a worker process, which runs this program's
/// main, would otherwise run the program instead of serving.
void require_init();

}  // namespace ashlar::session
