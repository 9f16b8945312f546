#include "telemetry/run_trace.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
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

bool RunTrace::has_room() {
  if (event_count() < limits_.events) return true;
  ++dropped_;
  return false;
}

void RunTrace::add(TaskEvent event) {
  if (!has_room()) return;
  worker_names_.try_emplace(event.worker, "worker " + std::to_string(event.worker));
  events_.push_back(std::move(event));
}

void RunTrace::add(TransferEvent event) {
  if (!has_room()) return;
  for (const auto worker : {event.from, event.to}) {
    worker_names_.try_emplace(worker, "worker " + std::to_string(worker));
  }
  transfers_.push_back(std::move(event));
}

Instant RunTrace::origin() const {
  Instant first{std::numeric_limits<std::int64_t>::max()};
  for (const TaskEvent& event : events_) first = std::min(first, event.start);
  for (const TransferEvent& event : transfers_) first = std::min(first, event.start);
  return first;
}

std::string RunTrace::to_json() const {
  const Instant first = origin();
  std::string out =
      "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"dropped_events\":" + std::to_string(dropped_) +
      "},\"traceEvents\":[";
  const char* separator = "\n";
  const auto begin = [&](const char* phase, const std::string& name, std::uint32_t worker) {
    out += separator;
    out += "{\"ph\":\"" + std::string(phase) + "\",\"name\":" + quoted(name) +
           ",\"pid\":" + std::to_string(worker);
    separator = ",\n";
  };
  for (const auto& [worker, name] : worker_names_) {
    begin("M", "process_name", worker);
    out += ",\"args\":{\"name\":" + quoted(name) + "}}";
  }
  for (const TaskEvent& event : events_) {
    begin("X", event.name, event.worker);
    out += ",\"tid\":" + std::to_string(event.slot) +
           ",\"ts\":" + microseconds((event.start - first).ns) +
           ",\"dur\":" + microseconds(event.duration.ns) + "}";
  }
  // Transfers overlap, which rows of a process may not: the format has begin and end for these.
  std::size_t id = 0;
  for (const TransferEvent& event : transfers_) {
    const std::string common = ",\"cat\":\"transfer\",\"id\":" + std::to_string(++id);
    begin("b", event.name, event.to);
    out += common + ",\"ts\":" + microseconds((event.start - first).ns) +
           ",\"args\":{\"from\":" + quoted(worker_names_.at(event.from)) +
           ",\"bytes\":" + std::to_string(event.bytes) + "}}";
    begin("e", event.name, event.to);
    out += common + ",\"ts\":" + microseconds((event.start + event.duration - first).ns) + "}";
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
