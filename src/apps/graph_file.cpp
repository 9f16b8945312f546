#include "apps/graph_file.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "apps/workflow_file.hpp"
#include "graph/task_graph.hpp"

namespace ashlar::apps {

namespace {

using nlohmann::json;

constexpr double bytes_max = 1e15;
constexpr double seconds_max = 1e9;
constexpr double flops_max = 1e30;
constexpr std::size_t outputs_max = 4096;

/// Reads the tasks in the file's order: a task's inputs come before it.
class Reader {
 public:
  Reader(const std::string& path, const KernelModels& models) : path_(path), models_(models) {}

  simulate::Program read(const json& file) {
    place_ = "the file";
    only(file, {"tasks", "wanted"});
    if (!file.contains("tasks") || !file["tasks"].is_array() || file["tasks"].empty()) {
      refuse("needs \"tasks\", a list of at least one");
    }
    for (const json& task : file["tasks"]) {
      place_ = "task " + std::to_string(graph_.task_count());
      add(task);
    }
    place_ = "wanted";
    want(file);
    const std::string wrong = graph::validate(graph_);
    if (!wrong.empty()) throw BadInput(path_ + ": " + wrong);
    return std::move(program_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw BadInput(path_ + ": " + place_ + ": " + what);
  }

  void only(const json& object, std::initializer_list<const char*> keys) const {
    std::string expected;
    for (const char* key : keys) expected += (expected.empty() ? "" : ", ") + std::string(key);
    if (!object.is_object()) refuse("expected an object {…} with " + expected);
    for (const auto& entry : object.items()) {
      const bool is_known =
          std::ranges::any_of(keys, [&](const char* key) { return entry.key() == key; });
      if (!is_known) refuse("unknown key \"" + entry.key() + "\": expected " + expected);
    }
  }

  std::optional<double> number(const json& object, const char* key, double max) const {
    if (!object.contains(key)) return std::nullopt;
    const json& value = object[key];
    if (!value.is_number() || !(value.get<double>() >= 0) || value.get<double>() > max) {
      refuse("\"" + std::string(key) + "\" is " + value.dump() + ": expected a number from 0 on");
    }
    return value.get<double>();
  }

  void add(const json& task) {
    only(task, {"kernel", "inputs", "outputs", "seconds", "flops", "takes_over"});
    if (!task.contains("kernel") || !task["kernel"].is_string()) {
      refuse("needs \"kernel\", a name");
    }
    const std::string kernel = task["kernel"];
    const auto flops = number(task, "flops", flops_max);
    program_.task_seconds.push_back(seconds_of(task, kernel, flops));
    for (const std::uint32_t datum : references(task, "inputs")) graph_.inputs.push_back(datum);
    graph_.kernel.push_back(kernel_index(kernel));
    graph_.flops.push_back(static_cast<float>(flops.value_or(0)));
    graph_.input_offsets.push_back(static_cast<std::uint32_t>(graph_.inputs.size()));
    add_outputs(task);
    graph_.param_offsets.push_back(0);
    bool takes_over = false;
    if (task.contains("takes_over")) {
      if (!task["takes_over"].is_boolean()) refuse("\"takes_over\": expected true or false");
      takes_over = task["takes_over"].get<bool>();
      if (takes_over && graph_.inputs_of(graph_.task_count() - 1).empty()) {
        refuse("takes over the buffer of its first input, but has none");
      }
    }
    graph_.reuse_input.push_back(takes_over ? 0 : graph::TaskGraph::no_input);
  }

  double seconds_of(const json& task, const std::string& kernel,
                    std::optional<double> flops) const {
    if (const auto seconds = number(task, "seconds", seconds_max)) return *seconds;
    if (!flops) refuse("needs \"seconds\" or \"flops\"");
    const auto model = models_.find(kernel);
    if (model == models_.end()) {
      refuse("has flops but no seconds: give the rate of kernel \"" + kernel +
             "\" under [flops_per_s] in the cluster file");
    }
    const double seconds = model->second.seconds(*flops, 0);
    if (!(seconds <= seconds_max))
      refuse("takes longer than " + std::to_string(seconds_max) + " s");
    return seconds;
  }

  std::uint32_t kernel_index(const std::string& name) {
    const auto [found, is_new] =
        kernels_.try_emplace(name, static_cast<std::uint32_t>(graph_.kernels.size()));
    if (is_new) graph_.kernels.push_back(name);
    return found->second;
  }

  void add_outputs(const json& task) {
    if (!task.contains("outputs")) {
      graph_.output_bytes.push_back(0);
    } else {
      const json& given = task["outputs"];
      if (!given.is_array() || given.size() > outputs_max) {
        refuse("\"outputs\": expected a list of sizes in bytes");
      }
      for (const json& size : given) {
        if (!size.is_number_unsigned() || size.get<double>() > bytes_max) {
          refuse("output of " + size.dump() + " bytes: expected a whole number from 0 on");
        }
        graph_.output_bytes.push_back(size.get<std::uint64_t>());
      }
    }
    graph_.output_offsets.push_back(graph_.output_count());
  }

  /// Data named by their task, or by task and output: 3 or [3, 1].
  std::vector<std::uint32_t> references(const json& object, const char* key) const {
    std::vector<std::uint32_t> data;
    if (!object.contains(key)) return data;
    if (!object[key].is_array()) refuse("\"" + std::string(key) + "\": expected a list");
    const std::uint64_t tasks = graph_.kernel.size();
    for (const json& entry : object[key]) {
      const bool is_pair = entry.is_array() && entry.size() == 2 && entry[0].is_number_unsigned() &&
                           entry[1].is_number_unsigned();
      if (!is_pair && !entry.is_number_unsigned()) {
        refuse(entry.dump() + " in \"" + key + "\": expected a task's number, or [task, output]");
      }
      const auto task = (is_pair ? entry[0] : entry).get<std::uint64_t>();
      const auto output = is_pair ? entry[1].get<std::uint64_t>() : 0;
      if (task >= tasks) {
        refuse(entry.dump() + " in \"" + key + "\": tasks before it are 0 to " +
               std::to_string(std::int64_t(tasks) - 1));
      }
      const std::uint32_t first = graph_.output_offsets[task];
      const std::uint32_t count = graph_.output_offsets[task + 1] - first;
      if (output >= count) {
        refuse(entry.dump() + " in \"" + key + "\": task " + std::to_string(task) + " has " +
               std::to_string(count) + " outputs");
      }
      data.push_back(first + static_cast<std::uint32_t>(output));
    }
    return data;
  }

  /// What the file says, or else what no task reads.
  void want(const json& file) {
    graph_.wanted = references(file, "wanted");
    if (graph_.wanted.empty()) {
      std::vector<bool> is_read(graph_.output_count());
      for (const std::uint32_t datum : graph_.inputs) is_read[datum] = true;
      for (std::uint32_t datum = 0; datum < graph_.output_count(); ++datum) {
        if (!is_read[datum]) graph_.wanted.push_back(datum);
      }
    }
    std::ranges::sort(graph_.wanted);
    const auto repeated = std::ranges::unique(graph_.wanted);
    graph_.wanted.erase(repeated.begin(), repeated.end());
  }

  const std::string& path_;
  const KernelModels& models_;
  std::string place_;
  std::map<std::string, std::uint32_t> kernels_;
  simulate::Program program_;
  graph::TaskGraph& graph_ = program_.graph;
};

}  // namespace

simulate::Program load_graph(const std::string& path, const KernelModels& kernels) {
  std::ifstream stream(path);
  if (!stream)
    throw BadInput(path + ": cannot be read; expected a graph file, see docs/simulate.md");
  json file;
  try {
    file = json::parse(stream);
  } catch (const json::parse_error& error) {
    const std::string text = error.what();  // "[…] parse error at line 3, column 5: …"
    const auto at = text.find("at line");
    throw BadInput(path + ": no JSON " + (at == std::string::npos ? text : text.substr(at)));
  }
  return is_workflow(file) ? read_workflow(path, file) : Reader(path, kernels).read(file);
}

}  // namespace ashlar::apps
