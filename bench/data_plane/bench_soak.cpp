// Random array programs on two workers that have little memory, for a long time: every result must
// be right, and nothing may grow – pages of the processes, shared memory beyond the limit, open
// files, files in the folder for what has no room. Prints a line a minute; fails at the first
// fault.
#include <ashlar/ashlar.hpp>

#include <CLI/CLI.hpp>

#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

struct Options {
  double minutes = 60;
  std::uint64_t memory = 192 * mebibyte;
  std::uint64_t seed = 1;
};

/// What all processes have together.
struct Usage {
  std::uint64_t pages = 0;   ///< bytes of their own
  std::uint64_t arenas = 0;  ///< bytes of the largest
  std::size_t descriptors = 0;
  std::size_t files = 0;
};

std::vector<std::string> processes() {
  std::vector<std::string> found{"/proc/self"};
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "children");
    for (int pid; file >> pid;) found.push_back("/proc/" + std::to_string(pid));
  }
  return found;
}

std::uint64_t own_pages(const std::string& process) {
  std::ifstream status(process + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
  }
  return 0;
}

Usage usage(const fs::path& folder) {
  malloc_trim(0);  // what this program's allocator keeps of freed memory is not in use
  Usage now;
  for (const std::string& process : processes()) {
    now.pages += own_pages(process);
    for (const auto& entry : fs::directory_iterator(process + "/fd")) {
      ++now.descriptors;
      struct stat info = {};
      std::error_code gone;
      const std::string target = fs::read_symlink(entry.path(), gone).string();
      if (target.find("ashlar-arena") == std::string::npos) continue;
      if (::stat(entry.path().c_str(), &info) != 0) continue;
      now.arenas = std::max(now.arenas, static_cast<std::uint64_t>(info.st_blocks) * 512);
    }
  }
  for (const fs::path& place : {folder, fs::path("/dev/shm")}) {
    now.files += static_cast<std::size_t>(
        std::distance(fs::directory_iterator(place), fs::directory_iterator()));
  }
  return now;
}

void require_near(double found, double expected, double scale, const char* what) {
  if (!(std::abs(found - expected) <= 1e-9 * scale)) {
    throw std::runtime_error(std::string(what) + ": found " + std::to_string(found) +
                             ", expected " + std::to_string(expected));
  }
}

/// One program after the other.
class Programs {
 public:
  Programs(ashlar::Session& session, std::uint64_t seed) : session_(session), random_(seed) {}

  void run_one() {
    const std::int64_t n = any({1024, 1536, 2048, 3072, 4096}), chunk = any({256, 300, 512, 1000});
    const auto x = ashlar::random::uniform({n, n}, {.chunks = {chunk, chunk}, .seed = random_()});
    const double total = session_.compute(ashlar::sum(x)).item<double>();
    switch (any({0, 1, 2, 3})) {
      case 0:
        return stream(x, total);
      case 1:
        return keep_and_turn(x, total);
      case 2:
        return multiply(x, n, total);
      default:
        return bring(x, n, total);
    }
  }

 private:
  std::int64_t any(std::initializer_list<std::int64_t> values) {
    return values.begin()[random_() % values.size()];
  }

  void stream(const ashlar::Array& x, double total) {
    double found = 0;
    const bool leaves = any({0, 1}) == 1, in_order = any({0, 1}) == 1;
    for (const auto& chunk :
         session_.stream(x, {.bytes_max = 8 * mebibyte, .in_order = in_order})) {
      for (const double value : chunk.view<double, 2>().span()) found += value;
      if (leaves && found > total / 2) return;
    }
    require_near(found, total, total, "stream");
  }

  void keep_and_turn(const ashlar::Array& x, double total) {
    const auto kept = session_.persist(x * 2.0);
    const auto turned = session_.persist(ashlar::permute_dims(kept, {1, 0}) + kept);
    require_near(session_.compute(ashlar::sum(turned)).item<double>(), 4 * total, 4 * total,
                 "turned");
  }

  void multiply(const ashlar::Array& x, std::int64_t n, double total) {
    const auto ones = ashlar::ones({n, 512}, {.chunks = {512, 512}});
    const double found = session_.compute(ashlar::sum(ashlar::matmul(x, ones))).item<double>();
    require_near(found, 512 * total, 512 * total, "product");
  }

  void bring(const ashlar::Array& x, std::int64_t n, double total) {
    ashlar::HostArray out(ashlar::DType::float64, {n, n});
    session_.compute_into(x, ashlar::View<double, 2>(out.data<double>(), {n, n}, {1, n}));
    const auto back = ashlar::from_host(out, {.chunks = {512, 512}});
    require_near(session_.compute(ashlar::sum(back)).item<double>(), total, total, "from_host");
  }

  ashlar::Session& session_;
  std::mt19937_64 random_;
};

void require_no_growth(const Usage& before, const Usage& now, const Options& o) {
  const auto fail = [](const std::string& what, std::uint64_t a, std::uint64_t b) {
    throw std::runtime_error(what + " grew from " + std::to_string(a) + " to " + std::to_string(b));
  };
  // Allocators of workers may keep some pages.
  if (now.pages > before.pages + 32 * mebibyte) fail("own pages", before.pages, now.pages);
  if (now.descriptors > before.descriptors + 4) {
    fail("open files", before.descriptors, now.descriptors);
  }
  if (now.files > before.files) fail("files", before.files, now.files);
  const std::uint64_t most = std::max(o.memory, before.arenas + 64 * mebibyte);
  if (now.arenas > most) fail("shared memory", before.arenas, now.arenas);
}

void print(double minutes, int programs, const Usage& now) {
  std::printf(
      "%6.1f min %6d programs, %llu MiB own pages, %llu MiB largest arena, %zu open files\n",
      minutes, programs, static_cast<unsigned long long>(now.pages / mebibyte),
      static_cast<unsigned long long>(now.arenas / mebibyte), now.descriptors);
  std::fflush(stdout);
}

void soak(const Options& o, const fs::path& folder) {
  auto session = ashlar::Session::local({.workers = 2,
                                         .threads_per_worker = 1,
                                         .memory_per_worker = o.memory,
                                         .spill_dir = folder,
                                         .progress = false});
  Programs programs(session, o.seed);
  const auto begin = Clock::now();
  const auto minutes = [&] {
    return std::chrono::duration<double>(Clock::now() - begin).count() / 60;
  };
  constexpr int warm_up = 24;
  Usage before;
  double next_line = 1;
  int done = 0;
  for (; done < warm_up || minutes() < o.minutes; ++done) {
    programs.run_one();
    if (done + 1 == warm_up) before = usage(folder);
    if (minutes() < next_line) continue;
    next_line += 1;
    const Usage now = usage(folder);
    print(minutes(), done, now);
    if (done >= warm_up) require_no_growth(before, now, o);
  }
  const Usage now = usage(folder);
  print(minutes(), done, now);
  require_no_growth(before, now, o);
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  Options o;
  CLI::App app("Random array programs near the memory limit");
  app.add_option("--minutes", o.minutes, "how long");
  app.add_option("--memory", o.memory, "limit of a worker, such as 192MiB")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--seed", o.seed, "of the programs");
  CLI11_PARSE(app, argc, argv);
  std::string folder = fs::temp_directory_path() / "ashlar-soak-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  int result = 0;
  try {
    soak(o, folder);
  } catch (const std::exception& error) {
    std::cerr << "seed " << o.seed << ": " << error.what() << '\n';
    result = 1;
  }
  fs::remove_all(folder);
  return result;
}
