#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

/// What tests share that tell an engine its history event by event, and look at its actions.
namespace ashlar::scheduler {

inline constexpr SessionId session{0};
inline constexpr PeerId driver{100};

/// Task after task: each reads these data and makes one, of 8 bytes. That their work is estimated
/// lets more than a few be assigned before one has ended; with no flops nothing is.
inline std::shared_ptr<graph::TaskGraph> graph_of(
    const std::vector<std::vector<std::uint32_t>>& tasks, std::vector<std::uint32_t> wanted = {},
    float flops = 1000) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"add"};
  graph->sources = {"main.cpp:7 main"};
  for (const auto& inputs : tasks) {
    graph->kernel.push_back(0);
    graph->source.push_back(0);
    graph->inputs.insert(graph->inputs.end(), inputs.begin(), inputs.end());
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->output_bytes.push_back(8);
    graph->output_offsets.push_back(graph->output_count());
    graph->param_offsets.push_back(0);
  }
  if (flops > 0) graph->flops.assign(tasks.size(), flops);
  graph->wanted = std::move(wanted);
  return graph;
}

/// The messages of one kind to a worker.
template <class Message>
std::vector<Message> sent_to(PeerId worker, const Actions& actions) {
  std::vector<Message> found;
  for (const Action& action : actions) {
    const auto* to = std::get_if<ToWorker>(&action);
    if (to == nullptr || to->worker != worker) continue;
    if (const auto* m = std::get_if<Message>(&to->message)) found.push_back(*m);
  }
  return found;
}

/// The messages of one kind to the driver.
template <class Message>
std::vector<Message> told_driver(const Actions& actions) {
  std::vector<Message> found;
  for (const Action& action : actions) {
    const auto* to = std::get_if<ToDriver>(&action);
    if (to == nullptr) continue;
    if (const auto* m = std::get_if<Message>(&to->message)) found.push_back(*m);
  }
  return found;
}

}  // namespace ashlar::scheduler
