#include "apps/workflow_file.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/task_graph.hpp"

namespace ashlar::apps {

namespace {

using nlohmann::json;

constexpr double bytes_max = 1e15;
constexpr double seconds_max = 1e9;

/// "blastall_ID000012" and "FASTQC (sample 3)" without what tells one from the next of its kind.
std::string kernel_of(std::string name) {
  if (name.ends_with(')')) name.erase(std::min(name.rfind('('), name.size()));
  const auto last = name.find_last_not_of(" 0123456789");
  name.erase(last == std::string::npos ? name.size() : last + 1);
  if (name.ends_with("_ID")) name.erase(name.size() - 3);
  while (name.size() > 1 && (name.back() == '_' || name.back() == '-' || name.back() == ' ')) {
    name.pop_back();
  }
  return name;
}

std::string in_quotes(std::string_view text) { return std::string("\"").append(text).append("\""); }

class WorkflowReader {
 public:
  WorkflowReader(const std::string& path, const json& file) : path_(path) {
    const json& workflow = file["workflow"];
    const json& specification = member(workflow, "specification", "\"workflow\"");
    const json& execution = member(workflow, "execution", "\"workflow\"");
    read_sizes(list(specification, "files", "\"specification\"", false));
    read_times(list(execution, "tasks", "\"execution\"", true));
    read_tasks(list(specification, "tasks", "\"specification\"", true));
  }

  simulate::Program program() {
    for (const std::size_t task : in_order()) add(tasks_[task]);
    std::vector<bool> is_read(graph_.output_count());
    for (const std::uint32_t datum : graph_.inputs) is_read[datum] = true;
    for (std::uint32_t datum = 0; datum < graph_.output_count(); ++datum) {
      if (!is_read[datum]) graph_.wanted.push_back(datum);
    }
    const std::string wrong = graph::validate(graph_);
    if (!wrong.empty()) throw BadInput(path_ + ": " + wrong);
    return std::move(program_);
  }

 private:
  struct Task {
    std::string id, kernel;
    double seconds = 0;
    std::vector<std::string> reads, writes;
    std::vector<std::size_t> parents = {};
    std::vector<std::size_t> silent_parents = {};  ///< of them, those whose files it does not read
    std::vector<std::size_t> children = {};
    bool signals = false;    ///< is such a parent
    std::uint32_t done = 0;  ///< its output without bytes, if it signals
  };

  [[noreturn]] void refuse(const std::string& place, const std::string& what) const {
    throw BadInput(path_ + ": " + place + ": " + what);
  }

  const json& member(const json& object, const char* key, const std::string& place) const {
    if (!object.is_object() || !object.contains(key)) {
      refuse(place, "needs " + in_quotes(key) + ", as WfFormat 1.5 says");
    }
    return object[key];
  }

  const json& list(const json& object, const char* key, const std::string& place,
                   bool is_needed) const {
    static const json none = json::array();
    if (!is_needed && object.is_object() && !object.contains(key)) return none;
    const json& found = member(object, key, place);
    if (!found.is_array()) refuse(place, in_quotes(key) + ": expected a list");
    return found;
  }

  std::string text(const json& object, const char* key, const std::string& place) const {
    const json& found = member(object, key, place);
    if (!found.is_string()) refuse(place, in_quotes(key) + ": expected a text");
    return found.get<std::string>();
  }

  double number(const json& object, const char* key, double max, const std::string& place) const {
    const json& found = member(object, key, place);
    if (!found.is_number() || !(found.get<double>() >= 0) || found.get<double>() > max) {
      refuse(place, in_quotes(key) + " is " + found.dump() + ": expected a number from 0 on");
    }
    return found.get<double>();
  }

  std::vector<std::string> texts(const json& object, const char* key,
                                 const std::string& place) const {
    std::vector<std::string> all;
    for (const json& entry : list(object, key, place, false)) {
      if (!entry.is_string()) refuse(place, in_quotes(key) + ": expected texts");
      all.push_back(entry.get<std::string>());
    }
    return all;
  }

  void read_sizes(const json& files) {
    for (const json& file : files) {
      const std::string id = text(file, "id", "a file");
      sizes_[id] = static_cast<std::uint64_t>(
          number(file, "sizeInBytes", bytes_max, "file " + in_quotes(id)));
    }
  }

  void read_times(const json& tasks) {
    for (const json& task : tasks) {
      const std::string id = text(task, "id", "a task of \"execution\"");
      seconds_[id] = number(task, "runtimeInSeconds", seconds_max, "task " + in_quotes(id));
    }
  }

  void read_tasks(const json& tasks) {
    if (tasks.empty()) refuse("\"specification\"", "needs at least one task");
    std::unordered_map<std::string, std::size_t> numbers;
    for (const json& given : tasks) {
      const std::string id = text(given, "id", "a task of \"specification\"");
      const std::string place = "task " + in_quotes(id);
      const auto took = seconds_.find(id);
      if (took == seconds_.end()) refuse(place, "\"execution\" does not say how long it took");
      if (!numbers.try_emplace(id, tasks_.size()).second) refuse(place, "is there twice");
      tasks_.push_back({.id = id,
                        .kernel = kernel_of(text(given, "name", place)),
                        .seconds = took->second,
                        .reads = texts(given, "inputFiles", place),
                        .writes = texts(given, "outputFiles", place)});
      for (const std::string& name : tasks_.back().writes) {
        if (!sizes_.contains(name)) refuse(place, "no size is given of file " + in_quotes(name));
        const auto [writer, is_new] = writers_.try_emplace(name, tasks_.size() - 1);
        if (!is_new) {
          refuse(place, "writes file " + in_quotes(name) + ", as does " +
                            in_quotes(tasks_[writer->second].id));
        }
      }
    }
    for (std::size_t t = 0; t < tasks_.size(); ++t) link(t, tasks[t], numbers);
  }

  /// Notes what the task waits for.
  void link(std::size_t task, const json& given,
            const std::unordered_map<std::string, std::size_t>& numbers) {
    const std::string place = "task " + in_quotes(tasks_[task].id);
    std::set<std::size_t> writers, parents;
    for (const std::string& name : tasks_[task].reads) {
      const auto writer = writers_.find(name);
      if (writer != writers_.end()) writers.insert(writer->second);
    }
    parents = writers;
    for (const std::string& id : texts(given, "parents", place)) {
      const auto parent = numbers.find(id);
      if (parent == numbers.end())
        refuse(place, "there is no task " + in_quotes(id) + ", its parent");
      parents.insert(parent->second);
    }
    for (const std::size_t parent : parents) {
      tasks_[task].parents.push_back(parent);
      tasks_[parent].children.push_back(task);
      if (writers.contains(parent)) continue;
      tasks_[task].silent_parents.push_back(parent);
      tasks_[parent].signals = true;
    }
  }

  /// Each after its parents, else as in the file.
  std::vector<std::size_t> in_order() const {
    std::vector<std::size_t> missing, order;
    std::deque<std::size_t> ready;
    for (const Task& task : tasks_) {
      missing.push_back(task.parents.size());
      if (task.parents.empty()) ready.push_back(missing.size() - 1);
    }
    for (; !ready.empty(); ready.pop_front()) {
      order.push_back(ready.front());
      for (const std::size_t child : tasks_[ready.front()].children) {
        if (--missing[child] == 0) ready.push_back(child);
      }
    }
    if (order.size() < tasks_.size()) {
      const auto waiting = std::ranges::find_if(missing, [](std::size_t n) { return n > 0; });
      const auto number = static_cast<std::size_t>(waiting - missing.begin());
      refuse("task " + in_quotes(tasks_[number].id), "waits for itself, by way of its parents");
    }
    return order;
  }

  void add(Task& task) {
    const auto [kernel, is_new] =
        kernels_.try_emplace(task.kernel, static_cast<std::uint32_t>(graph_.kernels.size()));
    if (is_new) graph_.kernels.push_back(task.kernel);
    graph_.kernel.push_back(kernel->second);
    std::set<std::uint32_t> inputs;
    for (const std::string& name : task.reads) {
      const auto datum = data_.find(name);
      if (datum != data_.end()) inputs.insert(datum->second);
    }
    for (const std::size_t parent : task.silent_parents) inputs.insert(tasks_[parent].done);
    graph_.inputs.insert(graph_.inputs.end(), inputs.begin(), inputs.end());
    graph_.input_offsets.push_back(static_cast<std::uint32_t>(graph_.inputs.size()));
    task.done = graph_.output_count();
    if (task.signals || task.writes.empty()) graph_.output_bytes.push_back(0);
    for (const std::string& name : task.writes) {
      data_[name] = graph_.output_count();
      graph_.output_bytes.push_back(sizes_.at(name));
    }
    graph_.output_offsets.push_back(graph_.output_count());
    graph_.param_offsets.push_back(0);
    graph_.reuse_input.push_back(graph::TaskGraph::no_input);
    graph_.flops.push_back(0);
    program_.task_seconds.push_back(task.seconds);
  }

  const std::string& path_;
  std::unordered_map<std::string, std::uint64_t> sizes_;
  std::unordered_map<std::string, double> seconds_;
  std::unordered_map<std::string, std::size_t> writers_;  ///< by file
  std::unordered_map<std::string, std::uint32_t> data_;   ///< likewise, of tasks added
  std::unordered_map<std::string, std::uint32_t> kernels_;
  std::vector<Task> tasks_;
  simulate::Program program_;
  graph::TaskGraph& graph_ = program_.graph;
};

}  // namespace

bool is_workflow(const json& file) { return file.is_object() && file.contains("workflow"); }

simulate::Program read_workflow(const std::string& path, const json& file) {
  return WorkflowReader(path, file).program();
}

}  // namespace ashlar::apps
