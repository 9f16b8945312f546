#include "apps/cluster_file.hpp"

#include <toml++/toml.h>
#include <ashlar/error.hpp>

#include <cmath>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <optional>
#include <sstream>
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
  bool is_true(std::string_view key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return false;
    const auto value = node->value_exact<bool>();
    if (!value) {
      refuse(path_, node->source(), std::string(key) + " in " + name_ + ": expected true or false");
    }
    return *value;
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

/// The name of one of several, or of the only one.
std::string numbered(const std::string& name, double count, const char* separator, double i) {
  return count == 1 ? name : name + separator + number(i);
}

void add_hosts(const std::string& path, const toml::table& table, ClusterFile& cluster) {
  const Section group(path, table, "[[hosts]]",
                      {"name", "count", "workers", "slots", "speed", "memory_gib",
                       "disk_gb_per_s", "gbit_per_s", "latency_us"});
  const std::string name = group.need_text("name");
  const double count = group.get("count", {1, hosts_max, true}, 1);
  const double workers = group.get("workers", {1, slots_max, true}, 1);
  const auto slots = static_cast<std::uint32_t>(group.need("slots", {1, slots_max, true}));
  const double speed = group.get("speed", {1e-6, 1e6}, 1);
  const double memory = group.get("memory_gib", {1e-6, 1e9}, 1024) * gib;
  const double bandwidth = group.get("gbit_per_s", {1e-6, 1e6}, 10) * 1e9 / 8;
  const double disk = group.get("disk_gb_per_s", {0, 1e6}, 1) * 1e9;
  const double latency = group.get("latency_us", {0, 1e9}, 30);
  auto& machine = cluster.machine;
  const std::uint32_t first = machine.host_of.empty() ? 0 : machine.host_of.back() + 1;
  for (double i = 0; i < count * workers; ++i) {
    const double host = std::floor(i / workers);
    const std::string host_name = numbered(name, count, ".", host);
    cluster.hosts.push_back(numbered(host_name, workers, "/", i - host * workers));
    cluster.host_names.push_back(host_name);
    machine.host_of.push_back(first + static_cast<std::uint32_t>(host));
    machine.speeds.push_back(speed);
    machine.slots_of.push_back(slots);
    machine.memory_of.push_back(static_cast<std::uint64_t>(memory));
    machine.bandwidth_of.push_back(bandwidth);
    machine.disk_of.push_back(disk);
    machine.latency_of.push_back(Duration::seconds(latency * 1e-6));
    machine.vanishes_of.emplace_back();
  }
  if (cluster.hosts.size() > hosts_max) {
    refuse(path, group.where(), "more than " + number(hosts_max) + " workers");
  }
}

void add_fault(const std::string& path, const toml::table& table, ClusterFile& cluster) {
  const Section fault(path, table, "[[faults]]", {"host", "vanishes_s"});
  const std::string host = fault.need_text("host");
  const double seconds = fault.need("vanishes_s", {least, 1e9});
  bool is_known = false;
  for (std::size_t i = 0; i < cluster.hosts.size(); ++i) {
    if (cluster.host_names[i] != host) continue;
    cluster.machine.vanishes_of[i] = Duration::seconds(seconds);
    is_known = true;
  }
  if (is_known) return;
  refuse(path, fault.where(),
         "no host \"" + host +
             "\" that could vanish: hosts are named as in [[hosts]], with .0, "
             ".1, ... where there are several; the last one is \"" +
             cluster.host_names.back() + "\"");
}

void require_survivor(const std::string& path, const ClusterFile& cluster) {
  for (const Duration vanishes : cluster.machine.vanishes_of) {
    if (vanishes.ns == 0) return;
  }
  throw BadInput(path + ": all hosts vanish; leave one to finish the run");
}

void read_runtime(const std::string& path, const toml::table& file, simulate::Machine& machine) {
  const Section runtime(path, table_of(path, file, "runtime"), "[runtime]",
                        {"task_overhead_us", "output_gb_per_s", "decision_us", "driver_on_first_host"});
  machine.task_overhead = Duration::seconds(runtime.get("task_overhead_us", {0, 1e9}, 0) * 1e-6);
  const auto outputs = runtime.find("output_gb_per_s", {1e-9, 1e9});
  machine.output_seconds_per_byte = outputs ? 1e-9 / *outputs : 0;
  machine.engine_delay = Duration::seconds(runtime.get("decision_us", {0, 1e9}, 5) * 1e-6);
  machine.is_driver_on_first_host = runtime.is_true("driver_on_first_host");
}

/// The time for one of something of which a kernel does so many a second; no time without a rate.
double each(const Section& kernel, std::string_view rate) {
  const auto found = kernel.find(rate, {1e-9, 1e300});
  return found ? 1 / *found : 0;
}

void read_kernels(const std::string& path, const toml::table& file,
                  std::map<std::string, simulate::KernelModel>& kernels) {
  for (const auto& [key, value] : table_of(path, file, "flops_per_s")) {
    const auto rate = value.value<double>();
    if (!value.is_number() || !rate || !(*rate > 0)) {
      refuse(path, value.source(), "flops_per_s of a kernel: expected a number above 0");
    }
    kernels[std::string(key.str())].seconds_per_flop = 1 / *rate;
  }
  for (const auto& [key, value] : table_of(path, file, "kernels")) {
    const std::string name(key.str());
    if (!value.is_table()) {
      refuse(path, value.source(), "expected a table [kernels.\"" + name + "\"]");
    }
    if (kernels.contains(name)) {
      refuse(path, value.source(), "kernel \"" + name + "\" is under [flops_per_s], too");
    }
    const Section kernel(path, *value.as_table(), "[kernels.\"" + name + "\"]",
                         {"fixed_us", "flops_per_s", "bytes_per_s"});
    kernels[name] = {.fixed_seconds = kernel.get("fixed_us", {0, 1e12}, 0) * 1e-6,
                     .seconds_per_flop = each(kernel, "flops_per_s"),
                     .seconds_per_byte = each(kernel, "bytes_per_s")};
  }
}

}  // namespace

ClusterFile load_cluster(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) {
    throw BadInput(path + ": cannot be read; expected a cluster file, see docs/simulate.md");
  }
  std::ostringstream text;
  text << stream.rdbuf();
  return parse_cluster(text.str(), path);
}

ClusterFile parse_cluster(const std::string& text, const std::string& path) {
  toml::table file;
  try {
    file = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    refuse(path, error.source(), std::string(error.description()));
  }
  ClusterFile cluster;
  const Section top(path, file, "the file", {"hosts", "faults", "runtime", "flops_per_s", "kernels"});
  const auto groups = tables_of(path, file, "hosts");
  if (groups.empty())
    throw BadInput(path + ": no hosts; add a [[hosts]] table with name and slots");
  for (const toml::table* group : groups) add_hosts(path, *group, cluster);
  for (const toml::table* fault : tables_of(path, file, "faults")) {
    add_fault(path, *fault, cluster);
  }
  require_survivor(path, cluster);
  read_runtime(path, file, cluster.machine);
  read_kernels(path, file, cluster.kernels);
  // Where each host has one worker, the machine need not say so.
  if (cluster.machine.host_of.back() + 1 == cluster.hosts.size()) cluster.machine.host_of.clear();
  return cluster;
}

std::string to_toml(const Calibration& calibration, const std::string& comment) {
  toml::array hosts;
  for (const HostGroup& group : calibration.hosts) {
    toml::table host{{"name", group.name},
                     {"workers", group.workers},
                     {"slots", group.slots},
                     {"memory_gib", static_cast<double>(group.memory_bytes) / gib},
                     {"latency_us", calibration.latency_us}};
    if (calibration.gbit_per_s > 0) host.insert("gbit_per_s", calibration.gbit_per_s);
    hosts.push_back(std::move(host));
  }
  toml::table kernels;
  for (const auto& [name, model] : calibration.kernels) {
    toml::table kernel;
    if (model.fixed_seconds > 0) kernel.insert("fixed_us", 1e6 * model.fixed_seconds);
    if (model.seconds_per_flop > 0) kernel.insert("flops_per_s", 1 / model.seconds_per_flop);
    if (model.seconds_per_byte > 0) kernel.insert("bytes_per_s", 1 / model.seconds_per_byte);
    kernels.insert(name, std::move(kernel));
  }
  toml::table runtime{{"task_overhead_us", calibration.task_overhead_us},
                      {"decision_us", calibration.decision_us},
                      {"driver_on_first_host", calibration.is_driver_local}};
  if (calibration.output_seconds_per_byte > 0) {
    runtime.insert("output_gb_per_s", 1e-9 / calibration.output_seconds_per_byte);
  }
  const toml::table file{{"hosts", std::move(hosts)},
                         {"runtime", std::move(runtime)},
                         {"kernels", std::move(kernels)}};
  std::ostringstream text;
  text << "# " << comment << "\n" << file << "\n";
  return text.str();
}

}  // namespace ashlar::apps
