#include "runtime/event_log_file.hpp"

#include <ashlar/error.hpp>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <vector>

#include "protocol/messages.hpp"

namespace ashlar::runtime {
namespace {

std::string first_line() {
  return "ashlar event log 1, protocol " + std::to_string(protocol::version);
}

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw BadInput("event log " + path + ": " + what);
}

}  // namespace

EventLogFile::EventLogFile(const std::string& path) : path_(path), file_(path, std::ios::binary) {
  if (!file_) fail(path, std::string("cannot be made: ") + std::strerror(errno));
  file_ << first_line() << '\n';
}

void EventLogFile::write(std::span<const std::byte> record) {
  const std::uint64_t size = record.size();
  file_.write(reinterpret_cast<const char*>(&size), sizeof size);
  file_.write(reinterpret_cast<const char*>(record.data()), static_cast<std::streamsize>(size));
  if (!file_) fail(path_, std::string("cannot be written: ") + std::strerror(errno));
}

void read_event_log(const std::string& path,
                    const std::function<bool(std::span<const std::byte>)>& take) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, std::string("cannot be read: ") + std::strerror(errno));
  const std::string expected = first_line() + "\n";
  std::string line(expected.size(), '\0');
  file.read(line.data(), static_cast<std::streamsize>(line.size()));
  if (line != expected) fail(path, "expected \"" + first_line() + "\" in its first line");
  std::uint64_t left = std::filesystem::file_size(path) - line.size();
  std::vector<char> record;
  std::uint64_t size = 0;
  while (file.read(reinterpret_cast<char*>(&size), sizeof size)) {
    left -= sizeof size;
    if (size > left) return;
    left -= size;
    record.resize(size);
    file.read(record.data(), static_cast<std::streamsize>(size));
    if (!file) fail(path, std::string("cannot be read: ") + std::strerror(errno));
    if (!take(std::as_bytes(std::span(record)))) return;
  }
}

}  // namespace ashlar::runtime
