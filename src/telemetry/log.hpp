#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace ashlar::telemetry {

/// How much a message matters; `off` is only a threshold.
enum class LogLevel { debug, info, warning, error, off };

/// The level with this name ("debug" … "off"). Errors: BadInput for any other text.
LogLevel log_level(std::string_view name);

/// Where a log goes and what it keeps.
struct LogOptions {
  LogLevel level = LogLevel::off;  ///< messages below it are dropped
  std::string file = "";           ///< appended to; empty: standard error
  std::string name = "ashlar";     ///< stands in every line: which process speaks
};

/// Writes lines for people: time, process, level, text.
///
/// There is no global log: main() or the session makes one and passes it by reference. A Log
/// made without options is silent, which is what a library inside a program should be.
/// Threads: any may write.
class Log {
 public:
  Log();
  /// Errors: BadInput when the file cannot be opened for writing.
  explicit Log(const LogOptions& options);
  ~Log();
  Log(Log&&) noexcept;
  Log& operator=(Log&&) noexcept;

  /// True when a message of this level would be written; ask before building a costly text.
  bool is_on(LogLevel level) const;

  void write(LogLevel level, std::string_view text);
  void debug(std::string_view text) { write(LogLevel::debug, text); }
  void info(std::string_view text) { write(LogLevel::info, text); }
  void warning(std::string_view text) { write(LogLevel::warning, text); }
  void error(std::string_view text) { write(LogLevel::error, text); }

  /// Puts what is buffered into the file. Warnings and errors do so by themselves.
  void flush();

 private:
  struct Sink;
  std::unique_ptr<Sink> sink_;  // none: silent
};

}  // namespace ashlar::telemetry
