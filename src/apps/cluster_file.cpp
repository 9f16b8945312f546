#include "apps/cluster_file.hpp"

#include <toml++/toml.h>
#include <ashlar/error.hpp>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace ashlar::apps {

namespace {

constexpr double gib = 1 << 30;
constexpr double hosts_max = 100'000;
constexpr double slots_max = 1024;

[[noreturn]] void refuse(const std::string& path, const toml::source_region& where,
                         const std::string& what) {
  throw BadInput(path + ":" + std::to_string(where.begin.line) + ": " + what);
}

std::string number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

/// One table of the file, which has the keys that it may have.
class Section {
 public:
  Section(const std::string& path, const toml::table& table, std::string name,
          std::initializer_list<std::string_view> keys)
      : path_(path), table_(table), name_(std::move(name)) {
    for (const auto& [key, value] : table) {
      bool is_known = false;
      std::string expected;
      for (const std::string_view known : keys) {
        is_known = is_known || known == key.str();
        expected += (expected.empty() ? "" : ", ") + std::string(known);
      }
      if (!is_known) {
        refuse(path_, key.source(),
               "unknown key \"" + std::string(key.str()) + "\" in " + name_ + ": expected " +
                   expected);
      }
    }
  }

  struct Range {
    double min = 0;
    double max = std::numeric_limits<double>::max();
    bool is_whole = false;
  };
  /// The number at a key, or none.
  std::optional<double> find(std::string_view key, Range range) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::nullopt;
    const auto value = node->value<double>();
    const bool is_number = node->is_number() && value && std::isfinite(*value);
    if (!is_number || *value < range.min || *value > range.max ||
        (range.is_whole && *value != std::floor(*value))) {
      std::string limits = range.max == std::numeric_limits<double>::max()
                               ? " of at least " + number(range.min)
                               : " from " + number(range.min) + " to " + number(range.max);
      refuse(path_, node->source(),
             std::string(key) + " in " + name_ + ": expected a " +
                 (range.is_whole ? "whole number" : "number") + limits);
    }
    return value;
  }
  double get(std::string_view key, Range range, double otherwise) const {
    return find(key, range).value_or(otherwise);
  }
  double need(std::string_view key, Range range) const {
    const auto value = find(key, range);
    if (!value) refuse(path_, table_.source(), name_ + " needs " + std::string(key));
    return *value;
  }
  std::string need_text(std::string_view key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) refuse(path_, table_.source(), name_ + " needs " + std::string(key));
    const auto text = node->value_exact<std::string>();
    if (!text || text->empty()) {
      refuse(path_, node->source(),
             std::string(key) + " in " + name_ + ": expected a name in quotes");
    }
    return *text;
  }
  const toml::source_region& where() const { return table_.source(); }

 private:
  const std::string& path_;
  const toml::table& table_;
  std::string name_;
};

constexpr double least = 1e-9;  // above zero

/// The tables of an array such as [[hosts]]; none when the file has no such.
std::vector<const toml::table*> tables_of(const std::string& path, const toml::table& file,
                                          std::string_view key) {
  std::vector<const toml::table*> found;
  const toml::node* node = file.get(key);
  if (node == nullptr) return found;
  const std::string wanted = "expected [[" + std::string(key) + "]] tables";
  if (!node->is_array()) refuse(path, node->source(), wanted);
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_table()) refuse(path, element.source(), wanted);
    found.push_back(element.as_table());
  }
  return found;
}

const toml::table& table_of(const std::string& path, const toml::table& file,
                            std::string_view key) {
  static const toml::table empty;
  const toml::node* node = file.get(key);
  if (node == nullptr) return empty;
  if (!node->is_table()) {
    refuse(path, node->source(), "expected a table [" + std::string(key) + "]");
  }
  return *node->as_table();
}

void add_hosts(const std::string& path, const toml::table& table, ClusterFile& cluster) {
  const Section group(
      path, table, "[[hosts]]",
      {"name", "count", "slots", "speed", "memory_gib", "disk_gb_per_s", "gbit_per_s",
       "latency_us"});
  const std::string name = group.need_text("name");
  const double count = group.get("count", {1, hosts_max, true}, 1);
  const auto slots = static_cast<std::uint32_t>(group.need("slots", {1, slots_max, true}));
  const double speed = group.get("speed", {1e-6, 1e6}, 1);
  const double memory = group.get("memory_gib", {1e-6, 1e9}, 1024) * gib;
  const double bandwidth = group.get("gbit_per_s", {1e-6, 1e6}, 10) * 1e9 / 8;
  const double disk = group.get("disk_gb_per_s", {0, 1e6}, 1) * 1e9;
  const double latency = group.get("latency_us", {0, 1e9}, 30);
  auto& machine = cluster.machine;
  for (double i = 0; i < count; ++i) {
    cluster.hosts.push_back(count == 1 ? name : name + "." + number(i));
    machine.speeds.push_back(speed);
    machine.slots_of.push_back(slots);
    machine.memory_of.push_back(static_cast<std::uint64_t>(memory));
    machine.bandwidth_of.push_back(bandwidth);
    machine.disk_of.push_back(disk);
    machine.latency_of.push_back(Duration::seconds(latency * 1e-6));
    machine.vanishes_of.emplace_back();
  }
  if (cluster.hosts.size() > hosts_max) {
    refuse(path, group.where(), "more than " + number(hosts_max) + " hosts");
  }
}

void add_fault(const std::string& path, const toml::table& table, ClusterFile& cluster) {
  const Section fault(path, table, "[[faults]]", {"host", "vanishes_s"});
  const std::string host = fault.need_text("host");
  const double seconds = fault.need("vanishes_s", {least, 1e9});
  for (std::size_t i = 0; i < cluster.hosts.size(); ++i) {
    if (cluster.hosts[i] != host) continue;
    cluster.machine.vanishes_of[i] = Duration::seconds(seconds);
    return;
  }
  refuse(path, fault.where(),
         "no host \"" + host +
             "\" that could vanish: hosts are named as in [[hosts]], with .0, "
             ".1, ... where there are several; the last one is \"" +
             cluster.hosts.back() + "\"");
}

void require_survivor(const std::string& path, const ClusterFile& cluster) {
  for (const Duration vanishes : cluster.machine.vanishes_of) {
    if (vanishes.ns == 0) return;
  }
  throw BadInput(path + ": all hosts vanish; leave one to finish the run");
}

}  // namespace

ClusterFile load_cluster(const std::string& path) {
  toml::table file;
  try {
    file = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    if (error.source().begin.line == 0) {
      throw BadInput(path + ": cannot be read; expected a cluster file, see docs/simulate.md");
    }
    refuse(path, error.source(), std::string(error.description()));
  }
  ClusterFile cluster;
  const Section top(path, file, "the file", {"hosts", "faults", "runtime", "flops_per_s"});
  const auto groups = tables_of(path, file, "hosts");
  if (groups.empty())
    throw BadInput(path + ": no hosts; add a [[hosts]] table with name and slots");
  for (const toml::table* group : groups) add_hosts(path, *group, cluster);
  for (const toml::table* fault : tables_of(path, file, "faults")) {
    add_fault(path, *fault, cluster);
  }
  require_survivor(path, cluster);
  const Section runtime(path, table_of(path, file, "runtime"), "[runtime]",
                        {"task_overhead_us", "decision_us"});
  auto& machine = cluster.machine;
  machine.task_overhead = Duration::seconds(runtime.get("task_overhead_us", {0, 1e9}, 0) * 1e-6);
  machine.engine_delay = Duration::seconds(runtime.get("decision_us", {0, 1e9}, 5) * 1e-6);
  for (const auto& [key, value] : table_of(path, file, "flops_per_s")) {
    const auto rate = value.value<double>();
    if (!value.is_number() || !rate || !(*rate > 0)) {
      refuse(path, value.source(), "flops_per_s of a kernel: expected a number above 0");
    }
    cluster.flops_per_s[std::string(key.str())] = *rate;
  }
  return cluster;
}

}  // namespace ashlar::apps
