#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "graph/task_graph.hpp"
#include "protocol/messages.hpp"

namespace ashlar::session {

/// Whether the graph of a run is likely to be run again: nobody knows, or its program says so.
enum class Repetition : std::uint8_t { never, perhaps, certain };

/// The graphs that a session ran lately, and the numbers of those that the scheduler keeps as
/// templates: all that were run twice, or are certain to be. The least lately run goes first.
/// Threads: any.
class TemplateCache {
 public:
  struct Limits {
    std::uint32_t graphs = protocol::templates_max;
    std::uint64_t tasks = protocol::template_tasks_max;
    /// Of a graph that is kept for no better reason than that it may come again.
    std::uint64_t tasks_perhaps = protocol::template_tasks_max / 4;
  };

  explicit TemplateCache(Limits limits) : limits_(limits) {}
  TemplateCache() : TemplateCache(Limits{}) {}

  /// Finds the number under which a graph is to be run, or protocol::no_template, and hands it to
  /// `submit` with the graph; what makes room goes to `drop` first. Calls for one graph come in the
  /// order in which their numbers hold: neither function may call back.
  void use(const std::shared_ptr<const graph::TaskGraph>& graph, bool comes_home,
           Repetition repetition, const std::function<void(std::uint32_t)>& drop,
           const std::function<void(std::uint32_t)>& submit);

 private:
  struct Entry {
    std::uint64_t digest = 0;
    std::shared_ptr<const graph::TaskGraph> graph;
    bool comes_home = false;
    std::uint32_t number = protocol::no_template;
    std::uint64_t used = 0;
  };

  Entry* find(const std::shared_ptr<const graph::TaskGraph>& graph, bool comes_home);
  Entry& add(const std::shared_ptr<const graph::TaskGraph>& graph, bool comes_home,
             const std::function<void(std::uint32_t)>& drop);

  const Limits limits_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::uint64_t tasks_ = 0;  ///< of all entries
  std::uint64_t uses_ = 0;
  std::uint32_t next_number_ = 0;
};

/// A number that differs, but for chance, when the graphs do.
std::uint64_t digest_of(const graph::TaskGraph& graph);

}  // namespace ashlar::session
