#include <cstdio>

#include "apps/commands.hpp"
#include "runtime/event_log_file.hpp"
#include "runtime/replay.hpp"
#include "store/arena.hpp"

namespace ashlar::apps {

int replay(const std::string& path) {
  runtime::Replay replay(
      [](std::uint64_t bytes) -> std::uint64_t { return store::Arena::block_bytes(bytes); });
  std::string wrong;
  runtime::read_event_log(path, [&](std::span<const std::byte> record) {
    wrong = replay.step(record);
    return wrong.empty();
  });
  if (!wrong.empty()) {
    std::fprintf(stderr, "ashlar: event log %s: %s\n", path.c_str(), wrong.c_str());
    return 1;
  }
  std::printf("%llu steps, %llu events: the same actions, byte for byte\n",
              static_cast<unsigned long long>(replay.steps()),
              static_cast<unsigned long long>(replay.events()));
  return 0;
}

}  // namespace ashlar::apps
