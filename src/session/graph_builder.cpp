#include "session/graph_builder.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace ashlar {
namespace detail {

CallBuilder GraphData::begin_task() {
  drop_unfinished_task();
  return {graph_.params, *this};
}

// An argument that throws while it is encoded leaves what came before it.
void GraphData::drop_unfinished_task() {
  graph_.params.resize(graph_.param_offsets.back());
  graph_.inputs.resize(graph_.input_offsets.back());
  for (; bindings_.size() > finished_bindings_; bindings_.pop_back()) {
    future_externals_.erase(bindings_.back().datum.get());
  }
}

void GraphData::check_is_mine(const NodeRef& node) const {
  if (node.graph != this) throw BadInput("this Node belongs to another Graph");
}

void GraphData::add(const NodeRef& node) {
  check_is_mine(node);
  graph_.inputs.push_back(node.is_external ? node.index | external_mark : node.index);
}

void GraphData::append_external(std::uint32_t index) {
  graph_.inputs.push_back(index | external_mark);
}

void GraphData::add(const DatumHandle& datum) {
  if (datum == nullptr) throw BadInput("this Future is empty: no task was submitted for it");
  const auto next = static_cast<std::uint32_t>(bindings_.size());
  const auto [entry, is_new] = future_externals_.emplace(datum.get(), next);
  if (is_new) bindings_.push_back({datum, {}});
  append_external(entry->second);
}

void GraphData::add(EncodableValue value) {
  append_external(static_cast<std::uint32_t>(bindings_.size()));
  bindings_.push_back({nullptr, std::move(value)});
}

std::uint32_t GraphData::kernel_of(const TaskIdentity& function) {
  if (!graph_.kernel.empty() && functions_[graph_.kernel.back()].key == function.key) {
    return graph_.kernel.back();
  }
  const auto next = static_cast<std::uint32_t>(functions_.size());
  const auto [entry, is_new] = kernels_.emplace(function.key, next);
  if (is_new) functions_.push_back(function);
  return entry->second;
}

// A buffer that is also read elsewhere in the same task cannot be taken over.
void GraphData::append_reuse(const CallBuilder& call) {
  std::uint32_t reuse = call.reuse_input;
  if (reuse != graph::TaskGraph::no_input) {
    const auto begin = graph_.inputs.begin() + graph_.input_offsets.back();
    if (std::count(begin, graph_.inputs.end(), *(begin + reuse)) > 1) {
      reuse = graph::TaskGraph::no_input;
    }
  }
  auto& entries = graph_.reuse_input;
  if (entries.empty() && reuse == graph::TaskGraph::no_input) return;
  if (entries.empty()) entries.assign(graph_.kernel.size(), graph::TaskGraph::no_input);
  entries.push_back(reuse);
}

NodeRef GraphData::end_task(const CallBuilder& call, const NewTask& task) {
  session::Annotation annotation{.where = task.where};
  if (task.options != nullptr) {
    for (const AnyHandle& handle : task.options->after)
      handle.add_to(static_cast<InputSink&>(*this));
    annotation.priority = task.options->priority;
    annotation.cost_seconds = task.options->cost_seconds;
    annotation.resources = &task.options->resources;
  }
  const std::uint32_t index = graph_.task_count();
  constexpr std::size_t offset_max = std::numeric_limits<std::uint32_t>::max();
  if (index + 1 >= external_mark || bindings_.size() >= external_mark ||
      graph_.params.size() > offset_max || graph_.inputs.size() > offset_max) {
    throw BadInput("graph: too large with " + std::to_string(index) + " tasks, " +
                   std::to_string(graph_.params.size()) + " bytes of arguments");
  }
  annotator_.annotate(graph_, annotation);
  append_reuse(call);
  graph_.kernel.push_back(kernel_of(task.function));
  graph_.param_offsets.push_back(static_cast<std::uint32_t>(graph_.params.size()));
  graph_.input_offsets.push_back(static_cast<std::uint32_t>(graph_.inputs.size()));
  graph_.output_bytes.push_back(task.result_bytes);
  graph_.output_offsets.push_back(index + 1);
  finished_bindings_ = bindings_.size();
  frozen_.reset();
  return {this, index, false};
}

NodeRef GraphData::add_input(Binding binding) {
  drop_unfinished_task();
  bindings_.push_back(std::move(binding));
  finished_bindings_ = bindings_.size();
  frozen_.reset();
  return {this, static_cast<std::uint32_t>(bindings_.size() - 1), true};
}

void GraphData::bind_input(const NodeRef& node, Binding binding) {
  check_is_mine(node);
  if (!node.is_external) throw BadInput("bind: this Node is what a task makes, not an input");
  Binding& bound = bindings_[node.index];
  if (bound.value.bytes != binding.value.bytes) frozen_.reset();
  bound = std::move(binding);
}

void GraphData::want_output(const NodeRef& node) {
  check_is_mine(node);
  if (node.is_external) throw BadInput("want: this Node is an input, not what a task makes");
  graph_.wanted.push_back(node.index);
  frozen_.reset();
}

void GraphData::reserve(std::size_t tasks, std::size_t arguments) {
  for (auto* offsets : {&graph_.param_offsets, &graph_.input_offsets, &graph_.output_offsets}) {
    offsets->reserve(tasks + 1);
  }
  graph_.kernel.reserve(tasks);
  graph_.source.reserve(tasks);
  graph_.output_bytes.reserve(tasks);
  graph_.inputs.reserve(tasks * arguments);
  graph_.params.reserve(tasks * arguments * 2 * sizeof(std::uint32_t));
}

std::shared_ptr<const graph::TaskGraph> GraphData::frozen(const Tasks& tasks) {
  drop_unfinished_task();
  std::vector<std::string> names;
  for (const TaskIdentity& function : functions_) names.push_back(tasks.name_of(function));
  if (frozen_ != nullptr && frozen_->kernels == names) return frozen_;
  auto copy = std::make_shared<graph::TaskGraph>(graph_);
  copy->kernels = std::move(names);
  for (std::uint32_t& input : copy->inputs) {
    if ((input & external_mark) != 0) input = (input & ~external_mark) + copy->output_count();
  }
  for (const Binding& binding : bindings_) copy->external_bytes.push_back(binding.value.bytes);
  std::sort(copy->wanted.begin(), copy->wanted.end());
  copy->wanted.erase(std::unique(copy->wanted.begin(), copy->wanted.end()), copy->wanted.end());
  frozen_ = std::move(copy);
  return frozen_;
}

}  // namespace detail

Graph::Graph() : data_(std::make_shared<detail::GraphData>()) {}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

void Graph::reserve(std::size_t tasks, std::size_t arguments) { data_->reserve(tasks, arguments); }
std::size_t Graph::task_count() const { return data_->task_count(); }
detail::CallBuilder Graph::begin_task() { return data_->begin_task(); }

detail::NodeRef Graph::end_task(const detail::CallBuilder& call, const detail::NewTask& task) {
  return data_->end_task(call, task);
}

detail::NodeRef Graph::add_input(const detail::DatumHandle& datum, detail::EncodableValue value) {
  if (datum == nullptr && !value.write) throw BadInput("input: this Future is empty");
  return data_->add_input({datum, std::move(value)});
}

void Graph::bind_input(const detail::NodeRef& node, const detail::DatumHandle& datum,
                       detail::EncodableValue value) {
  if (datum == nullptr && !value.write) throw BadInput("bind: this Future is empty");
  data_->bind_input(node, {datum, std::move(value)});
}

void Graph::want_output(const detail::NodeRef& node) { data_->want_output(node); }

std::uint32_t GraphRun::task_of(const detail::NodeRef& node) const {
  if (node.graph != graph_) throw BadInput("this Node belongs to another Graph");
  if (node.is_external) throw BadInput("explain: this Node is an input, not what a task makes");
  return node.index;
}

std::size_t GraphRun::position_of(const detail::NodeRef& node) const {
  if (node.graph != graph_) throw BadInput("this Node belongs to another Graph");
  const auto found = std::lower_bound(wanted_->begin(), wanted_->end(), node.index);
  if (node.is_external || found == wanted_->end() || *found != node.index) {
    throw BadInput("this Node was not wanted: say graph.want(node) before the run");
  }
  return static_cast<std::size_t>(found - wanted_->begin());
}

}  // namespace ashlar
