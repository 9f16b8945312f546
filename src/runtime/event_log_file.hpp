#pragma once

#include <cstddef>
#include <fstream>
#include <functional>
#include <span>
#include <string>

namespace ashlar::runtime {

/// Writes records (wire/event_log.hpp) to a file, each behind its length in 8 bytes. The file
/// begins with a line that names the versions of log and protocol.
class EventLogFile {
 public:
  /// Errors: BadInput when the file cannot be made.
  explicit EventLogFile(const std::string& path);

  /// Errors: BadInput when it cannot be written.
  void write(std::span<const std::byte> record);

 private:
  std::string path_;
  std::ofstream file_;
};

/// Calls `take` with each record of a file, until it returns false. A record that is cut off at the
/// end, as a killed process leaves it, is left out.
/// Errors: BadInput when the file cannot be read, is no log, or is of another version.
void read_event_log(const std::string& path,
                    const std::function<bool(std::span<const std::byte>)>& take);

}  // namespace ashlar::runtime
