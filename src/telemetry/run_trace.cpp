#include "telemetry/run_trace.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

namespace ashlar::telemetry {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// The format counts in microseconds; three decimals keep the nanoseconds.
std::string microseconds(std::int64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(ns) * 1e-3);
  return text;
}

}  // namespace

void RunTrace::name_worker(std::uint32_t worker, std::string name) {
  worker_names_[worker] = std::move(name);
}

void RunTrace::add(TaskEvent event) {
  if (events_.size() >= limits_.events) {
    ++dropped_;
    return;
  }
  worker_names_.try_emplace(event.worker, "worker " + std::to_string(event.worker));
  events_.push_back(std::move(event));
}

std::string RunTrace::to_json() const {
  Instant origin;
  if (!events_.empty()) {
    origin = std::min_element(events_.begin(), events_.end(), [](const auto& a, const auto& b) {
               return a.start < b.start;
             })->start;
  }
  std::string out =
      "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"dropped_events\":" + std::to_string(dropped_) +
      "},\"traceEvents\":[";
  const char* separator = "\n";
  for (const auto& [worker, name] : worker_names_) {
    out += separator;
    out += "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":" + std::to_string(worker) +
           ",\"args\":{\"name\":" + quoted(name) + "}}";
    separator = ",\n";
  }
  for (const TaskEvent& event : events_) {
    out += separator;
    out += "{\"ph\":\"X\",\"name\":" + quoted(event.name) +
           ",\"pid\":" + std::to_string(event.worker) + ",\"tid\":" + std::to_string(event.slot) +
           ",\"ts\":" + microseconds((event.start - origin).ns) +
           ",\"dur\":" + microseconds(event.duration.ns) + "}";
    separator = ",\n";
  }
  return out + "\n]}\n";
}

void RunTrace::write(const std::string& path) const {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << to_json();
  file.close();
  if (!file) throw BadInput("trace file \"" + path + "\" cannot be written");
}

}  // namespace ashlar::telemetry
