#include "telemetry/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <ashlar/error.hpp>

namespace ashlar::telemetry {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

spdlog::sink_ptr make_sink(const std::string& file) {
  if (file.empty()) return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
  } catch (const spdlog::spdlog_ex& failure) {
    throw BadInput("log file \"" + file + "\" cannot be opened: " + failure.what());
  }
}

}  // namespace

LogLevel log_level(std::string_view name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "info") return LogLevel::info;
  if (name == "warning") return LogLevel::warning;
  if (name == "error") return LogLevel::error;
  if (name == "off") return LogLevel::off;
  throw BadInput("log level \"" + std::string(name) +
                 "\": expected debug, info, warning, error or off");
}

struct Log::Sink {
  spdlog::logger logger;
};

Log::Log() = default;

Log::Log(const LogOptions& options) {
  if (options.level == LogLevel::off) return;
  sink_ = std::make_unique<Sink>(Sink{spdlog::logger(options.name, make_sink(options.file))});
  sink_->logger.set_level(spdlog_level(options.level));
  sink_->logger.flush_on(spdlog::level::warn);
  sink_->logger.set_pattern("%Y-%m-%d %H:%M:%S.%e %n %l: %v");
}

Log::~Log() = default;
Log::Log(Log&&) noexcept = default;
Log& Log::operator=(Log&&) noexcept = default;

bool Log::is_on(LogLevel level) const {
  return sink_ != nullptr && level != LogLevel::off &&
         sink_->logger.should_log(spdlog_level(level));
}

void Log::write(LogLevel level, std::string_view text) {
  if (!is_on(level)) return;
  sink_->logger.log(spdlog_level(level), spdlog::string_view_t(text.data(), text.size()));
}

void Log::flush() {
  if (sink_ != nullptr) sink_->logger.flush();
}

}  // namespace ashlar::telemetry
