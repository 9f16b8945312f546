#include <ashlar/ashlar.hpp>

#include <CLI/CLI.hpp>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "apps/commands.hpp"
#include "session/scheduler_process.hpp"
#include "session/worker_process.hpp"

namespace {

/// A token from a file, or from the environment: never from the command line, which other users
/// can read.
std::string read_token(const std::string& file) {
  if (file.empty()) {
    const char* token = std::getenv("ASHLAR_TOKEN");
    return token == nullptr ? "" : token;
  }
  std::ifstream stream(file);
  if (!stream) {
    throw ashlar::BadInput("--token-file " + file + ": cannot be read: " + std::strerror(errno));
  }
  std::string token;
  if (!std::getline(stream, token) || token.empty()) {
    throw ashlar::BadInput("--token-file " + file + ": expected a token in its first line");
  }
  return token;
}

std::pair<std::string, double> parse_resource(const std::string& text) {
  const auto at = text.find('=');
  char* end = nullptr;
  const double amount = at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 1, &end);
  if (at == 0 || at == std::string::npos || *end != '\0' || !std::isfinite(amount) || amount <= 0) {
    throw ashlar::BadInput("--resource " + text + ": expected NAME=AMOUNT, such as licence=2");
  }
  return {text.substr(0, at), amount};
}

/// For options whose default is to be left out: an empty value is a shell variable that is not set.
std::string is_given(const std::string& value) {
  return value.empty() ? "is empty: give a value, or leave the option out" : "";
}

/// CLI::Range takes NaN for a number of any range.
std::string is_number(const std::string& value) {
  double number = 0;
  const bool is_nan = CLI::detail::lexical_cast(value, number) && std::isnan(number);
  return is_nan ? "is no number" : "";
}

/// Certificates may be named by the environment, too.
void add_tls(CLI::App* command, ashlar::TlsOptions& tls) {
  command->add_option("--tls-cert", tls.cert, "this process's certificate: encrypts links (PEM)")
      ->check(is_given);
  command->add_option("--tls-key", tls.key, "its private key")->check(is_given);
  command->add_option("--tls-ca", tls.ca, "who signs all of the cluster's certificates")
      ->check(is_given);
}

struct Arguments {
  ashlar::apps::CalibrateOptions calibrate;
  ashlar::apps::ExplainOptions explain;
  ashlar::apps::MatmulOptions matmul;
  ashlar::apps::SimulateOptions simulate;
  ashlar::session::SchedulerOptions scheduler;
  ashlar::session::WorkerOptions worker;
  std::uint64_t memory = 0;
  std::uint64_t spill = 0;
  std::string token_file;
  std::string event_log;
  std::vector<std::string> libraries;
  std::vector<std::string> resources;
};

void add_matmul(CLI::App& app, Arguments& arguments) {
  auto& o = arguments.matmul;
  CLI::App* command = app.add_subcommand("matmul", "multiply two .npy files");
  command->add_option("A", o.a, "left factor, m x k")->required();
  command->add_option("B", o.b, "right factor, k x n")->required();
  command->add_option("--out", o.out, "file for the product; without it only its sum is printed")
      ->check(is_given);
  command->add_option("--chunks", o.chunks, "rows and columns of a chunk; default: 1024");
  auto* workers = command->add_option("--workers", o.workers, "worker processes to start");
  command->add_option("--threads", o.threads, "threads of each worker");
  command->add_option("--scheduler", o.scheduler, "address of a running scheduler")
      ->check(is_given)
      ->excludes(workers);
  command->add_option("--token-file", arguments.token_file, "file with the scheduler's token")
      ->check(is_given);
  add_tls(command, o.tls);
  command->add_flag("--quiet", o.is_quiet, "print nothing but errors");
}

void add_scheduler(CLI::App& app, Arguments& arguments) {
  auto& o = arguments.scheduler;
  CLI::App* command = app.add_subcommand("scheduler", "serve workers and drivers");
  command->add_option("--listen", o.listen, "address; port 0 means any free one")
      ->capture_default_str();
  command->add_option("--token-file", arguments.token_file, "file with the token newcomers need")
      ->check(is_given);
  add_tls(command, o.tls);
  command
      ->add_option("--growth-wait", o.growth_wait_seconds,
                   "seconds that tasks wait for a worker with what they need, if none has it")
      ->check(CLI::Range(0.0, 1e6))
      ->check(is_number)
      ->capture_default_str();
  command->add_option("--policy", o.policy, "where tasks go; simulate compares policies")
      ->capture_default_str();
  command->add_option("--log-level", o.log_level, "debug, info, warning, error, off")
      ->capture_default_str();
  command->add_option("--log-file", o.log_file, "instead of standard error")->check(is_given);
  command->add_option("--event-log", o.event_log, "file for what happens and is done; see replay")
      ->check(is_given);
}

void add_worker(CLI::App& app, Arguments& arguments) {
  auto& o = arguments.worker;
  CLI::App* command = app.add_subcommand("worker", "work for a scheduler");
  command->add_option("--scheduler", o.scheduler, "its address")->check(is_given)->required();
  command->add_option("--slots", o.slots, "tasks at once; default: usable cores");
  command->add_option("--memory", arguments.memory, "limit, such as 8GiB")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--spill-dir", o.spill_dir, "folder for data that memory has no room for")
      ->check(is_given);
  command
      ->add_option("--spill-limit", arguments.spill, "disk space for them, such as 100GiB; 0: none")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--listen", o.listen_host, "this host's name or address for other hosts")
      ->check(is_given);
  command
      ->add_option("--transport", o.transport,
                   "tcp or ucx: how data go to other hosts' processes that have it, too")
      ->capture_default_str();
  command->add_option("--load", arguments.libraries, "shared library with tasks");
  command->add_option("--resource", arguments.resources, "NAME=AMOUNT that tasks may ask for");
  command->add_option("--token-file", arguments.token_file, "file with the scheduler's token")
      ->check(is_given);
  add_tls(command, o.tls);
  command->add_option("--log-level", o.log_level, "debug, info, warning, error, off")
      ->capture_default_str();
  command->add_option("--log-file", o.log_file, "instead of standard error")->check(is_given);
}

void add_simulate(CLI::App& app, Arguments& arguments) {
  auto& o = arguments.simulate;
  CLI::App* command =
      app.add_subcommand("simulate", "run a graph on a described cluster in virtual time");
  command->add_option("--graph", o.graph, "matmul, cholesky, stencil, ... or a .json file")
      ->required();
  command->add_option("--cluster", o.cluster, "file that describes the cluster")->required();
  command->add_option("--policy", o.policy, "where tasks go")->capture_default_str();
  command->add_option("--tasks", o.tasks, "about so many, of a graph that is no file")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--task-ms", o.task_ms, "mean time of these tasks at speed 1")
      ->check(CLI::Range(1e-6, 1e6))
      ->check(is_number)
      ->capture_default_str();
  command->add_option("--chunk-bytes", o.chunk_bytes, "size of their data, such as 8MiB")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  command->add_option("--runs", o.runs, "the last one counts, the scheduler learns from the others")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_option("--seed", o.seed, "of what is left to chance")->capture_default_str();
  command->add_option("--trace", o.trace, "file for a trace that Perfetto shows")->check(is_given);
}

void add_calibrate(CLI::App& app, Arguments& arguments) {
  auto& o = arguments.calibrate;
  CLI::App* command = app.add_subcommand("calibrate", "measure this machine for simulate");
  command->add_option("--out", o.out, "the file for --cluster of simulate")
      ->check(is_given)
      ->capture_default_str();
  auto* workers = command->add_option("--workers", o.workers, "worker processes to measure with");
  auto* threads = command->add_option("--threads", o.threads, "threads of each worker");
  command->add_option("--event-log", o.event_log, "learn from this instead of a job of its own")
      ->check(is_given)
      ->excludes(workers)
      ->excludes(threads);
}

void add_replay(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      app.add_subcommand("replay", "check that a scheduler's event log gives the same actions");
  command->add_option("LOG", arguments.event_log, "file that --event-log of a scheduler wrote")
      ->required();
}

void add_explain(CLI::App& app, Arguments& arguments) {
  auto& o = arguments.explain;
  CLI::App* command = app.add_subcommand(
      "explain", "how a scheduler's runs are, what bounds one, where a task is and why");
  command->add_option("--scheduler", o.scheduler, "its address")->check(is_given)->required();
  auto* session = command->add_option("--session", o.session, "only this one; default: all");
  auto* run =
      command->add_option("--run", o.run, "what bounds this run of the session")->needs(session);
  command->add_option("--task", o.task, "where this task of the run is, and why")->needs(run);
  command->add_option("--token-file", arguments.token_file, "file with the scheduler's token")
      ->check(is_given);
  add_tls(command, o.tls);
}

int run(CLI::App& app, Arguments& arguments) {
  const std::string token = read_token(arguments.token_file);
  if (app.got_subcommand("info")) return ashlar::apps::info();
  if (app.got_subcommand("simulate")) return ashlar::apps::simulate(arguments.simulate);
  if (app.got_subcommand("calibrate")) return ashlar::apps::calibrate(arguments.calibrate);
  if (app.got_subcommand("replay")) return ashlar::apps::replay(arguments.event_log);
  if (app.got_subcommand("explain")) {
    arguments.explain.token = token;
    return ashlar::apps::explain(arguments.explain);
  }
  if (app.got_subcommand("matmul")) {
    arguments.matmul.token = token;
    return ashlar::apps::matmul(arguments.matmul);
  }
  if (app.got_subcommand("scheduler")) {
    arguments.scheduler.token = token;
    return ashlar::session::run_scheduler(arguments.scheduler);
  }
  const auto* worker = app.get_subcommand("worker");
  for (const char* option : {"--memory", "--slots"}) {
    const bool is_zero =
        option == std::string("--slots") ? arguments.worker.slots == 0 : arguments.memory == 0;
    if (worker->count(option) > 0 && is_zero) {
      throw ashlar::BadInput(std::string(option) + ": a worker needs more than none; leave the " +
                             "option out for what this machine has");
    }
  }
  ashlar::Tasks tasks;
  ashlar::apps::load_plugins(arguments.libraries, tasks);
  for (const auto& resource : arguments.resources) {
    arguments.worker.resources.push_back(parse_resource(resource));
  }
  arguments.worker.token = token;
  arguments.worker.memory_limit = arguments.memory;
  if (worker->count("--spill-limit") > 0) arguments.worker.spill_limit = arguments.spill;
  return ashlar::session::serve_scheduler(arguments.worker, tasks);
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  CLI::App app("Ashlar runs task graphs on worker processes.", "ashlar");
  app.set_version_flag("--version", ASHLAR_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    const bool is_number = error.get_name() == "ConversionError";
    return "ashlar: " + std::string(error.what()) + (is_number ? ": expected a number" : "") +
           "; see ashlar --help\n";
  });
  Arguments arguments;
  app.add_subcommand("info", "this build, this machine, and a self-check of the BLAS");
  add_calibrate(app, arguments);
  add_explain(app, arguments);
  add_matmul(app, arguments);
  add_simulate(app, arguments);
  add_replay(app, arguments);
  add_scheduler(app, arguments);
  add_worker(app, arguments);
  const std::string word = argc > 1 ? argv[1] : "-";
  const auto is_meant = [&](CLI::App* command) { return command->check_name(word); };
  if (word[0] != '-' && app.get_subcommands(is_meant).empty()) {
    std::cerr
        << "ashlar: unknown command \"" << word
        << "\": expected calibrate, explain, info, matmul, replay, scheduler, simulate or worker; "
           "see ashlar --help\n";
    return 1;
  }
  CLI11_PARSE(app, argc, argv);
  try {
    return run(app, arguments);
  } catch (const std::exception& error) {
    std::cerr << "ashlar: " << error.what() << '\n';
    return 1;
  }
}
