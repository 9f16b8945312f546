#include "session/program.hpp"

#include <ashlar/error.hpp>
#include <ashlar/session.hpp>

#include <cstdlib>
#include <iostream>

#include "session/worker_process.hpp"

namespace ashlar {

namespace session {

namespace {

struct Program {
  Tasks tasks;
  bool has_init = false;
};

Program& program() {
  static Program instance;
  return instance;
}

}  // namespace

const Tasks& program_tasks() { return program().tasks; }

void require_init() {
  if (!program().has_init) {
    throw BadInput("call ashlar::init(argc, argv, tasks) first in main: worker processes are this "
                   "same program, and that call is where they serve");
  }
}

}  // namespace session

void init(int&, char**, const Tasks& tasks) {
  session::Program& program = session::program();
  program.tasks = tasks;
  program.has_init = true;
  const auto environment = session::WorkerProcessEnvironment::read();
  if (!environment) return;
  int code = 1;
  try {
    code = session::serve_local(*environment, tasks);
  } catch (const std::exception& error) {
    std::cerr << "ashlar worker: " << error.what() << '\n';
  }
  // A kernel may still run on a slot: nobody needs its result, so nothing is waited for.
  std::_Exit(code);
}

}  // namespace ashlar
