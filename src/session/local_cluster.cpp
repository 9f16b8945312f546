#include "session/local_cluster.hpp"

#include <ashlar/error.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "runtime/worker_shell.hpp"
#include "session/worker_process.hpp"

extern char** environ;

namespace ashlar::session {

namespace {

constexpr int control_descriptor = 3;
constexpr int record_descriptor = 4;
constexpr int death_wait_ms = 200;

/// Waits until a process is over, at most so long. A pidfd tells without a signal handler, which
/// would be the application's to have.
bool wait_for_exit(pid_t pid, int timeout_ms) {
  const store::FileDescriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!handle.is_open()) return false;
  pollfd wait{handle.get(), POLLIN, 0};
  return ::poll(&wait, 1, timeout_ms) > 0;
}

}  // namespace

LocalCluster::~LocalCluster() { stop(0); }

std::string LocalCluster::worker_name(pid_t pid) { return "local:" + std::to_string(pid); }

store::FileDescriptor LocalCluster::start_worker(const WorkerProcessOptions& options) {
  auto record = runtime::RunRecord::create(runtime::WorkerShell::record_positions(options.slots));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw Overloaded(std::string("cannot make a socket for a worker process: ") +
                     std::strerror(errno));
  }
  store::FileDescriptor mine(ends[0]);
  // dup2 onto itself would keep close-on-exec: move what it gets out of the way.
  store::FileDescriptor theirs(::fcntl(ends[1], F_DUPFD_CLOEXEC, record_descriptor + 1));
  ::close(ends[1]);
  store::FileDescriptor shown(
      ::fcntl(record.descriptor().get(), F_DUPFD_CLOEXEC, record_descriptor + 1));

  WorkerProcessEnvironment environment;
  environment.descriptor = control_descriptor;
  environment.record = record_descriptor;
  environment.slots = options.slots;
  environment.memory_limit = options.memory_limit;
  environment.spill_dir = options.spill_dir;
  environment.spill_limit = options.spill_limit;
  environment.spin_ns = options.spin_ns;
  environment.cores = options.cores;
  environment.log_level = options.log_level;
  environment.log_file = options.log_file;
  std::vector<std::string> variables = environment.variables();
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!WorkerProcessEnvironment::is_replaced(*variable)) variables.emplace_back(*variable);
  }
  std::vector<char*> pointers;
  for (auto& variable : variables) pointers.push_back(variable.data());
  pointers.push_back(nullptr);

  std::string program = options.program.empty() ? "/proc/self/exe" : options.program;
  std::string title = options.program.empty() ? "ashlar-worker" : options.program;
  char* arguments[] = {title.data(), nullptr};

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, theirs.get(), control_descriptor);
  posix_spawn_file_actions_adddup2(&files, shown.get(), record_descriptor);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), &files, nullptr, arguments, pointers.data());
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    throw Overloaded("cannot start the worker program " + program + ": " + std::strerror(error));
  }
  Child& child = children_.emplace_back();
  child.pid = pid;
  child.options = options;
  child.record = std::move(record);
  return mine;
}

std::vector<LocalCluster::Child>::iterator LocalCluster::find(const std::string& name) {
  return std::find_if(children_.begin(), children_.end(),
                      [&](const Child& child) { return worker_name(child.pid) == name; });
}

void LocalCluster::end(Child& child) {
  ::kill(child.pid, SIGKILL);
  ::waitpid(child.pid, &child.status, 0);
  child.is_reaped = true;
}

store::FileDescriptor LocalCluster::replace_worker(const std::string& name) {
  const auto child = find(name);
  if (child == children_.end()) throw BadInput(name + " is no worker process of this session");
  if (!reap(*child, 0)) end(*child);  // it hangs, or speaks nonsense
  const WorkerProcessOptions options = child->options;
  children_.erase(child);
  return start_worker(options);
}

bool LocalCluster::reap(Child& child, int timeout_ms) {
  if (child.is_reaped) return true;
  if (timeout_ms > 0) wait_for_exit(child.pid, timeout_ms);
  const pid_t result = ::waitpid(child.pid, &child.status, WNOHANG);
  // An application that reaps all children itself leaves nothing to know.
  child.is_reaped = result == child.pid || (result < 0 && errno == ECHILD);
  return child.is_reaped;
}

runtime::SchedulerShell::Death LocalCluster::certify_death(const std::string& name,
                                                           const std::string& reason) {
  const auto child = find(name);
  if (child == children_.end()) return {reason};
  const bool is_over = reap(*child, death_wait_ms);
  const std::string closed =
      "worker process " + std::to_string(child->pid) + " closed its connection: " + reason;
  return {is_over ? describe(*child) : closed, child->record.running()};
}

std::string LocalCluster::describe(const Child& child) {
  const std::string who = "worker process " + std::to_string(child.pid) + " ";
  if (WIFSIGNALED(child.status)) {
    const int signal = WTERMSIG(child.status);
    return who + "was killed by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
  }
  return who + "ended with exit code " + std::to_string(WEXITSTATUS(child.status));
}

std::string LocalCluster::first_death() {
  for (auto& child : children_) {
    if (reap(child, 0)) return describe(child);
  }
  return {};
}

void LocalCluster::stop(int grace_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(grace_ms);
  for (auto& child : children_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (reap(child, std::max(0, static_cast<int>(left.count())))) continue;
    end(child);
  }
  children_.clear();
}

}  // namespace ashlar::session
