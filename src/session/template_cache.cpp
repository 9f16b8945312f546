#include "session/template_cache.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

namespace ashlar::session {
namespace {

class Hash {
 public:
  void add(std::uint64_t value) {
    state_ = (state_ ^ value) * 0x9E3779B97F4A7C15u;
    state_ ^= state_ >> 29;
  }
  void add_bytes(const void* data, std::size_t size) {
    add(size);
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (; size >= 8; size -= 8, bytes += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes, 8);
      add(word);
    }
    std::uint64_t rest = 0;
    if (size > 0) std::memcpy(&rest, bytes, size);
    add(rest);
  }
  template <class T>
  void add_all(const std::vector<T>& values) {
    static_assert(std::is_arithmetic_v<T> || std::is_same_v<T, std::byte>);
    add_bytes(values.data(), values.size() * sizeof(T));
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

}  // namespace

std::uint64_t digest_of(const graph::TaskGraph& graph) {
  Hash hash;
  for (const std::string& kernel : graph.kernels) hash.add_bytes(kernel.data(), kernel.size());
  hash.add_all(graph.kernel);
  hash.add_all(graph.input_offsets);
  hash.add_all(graph.inputs);
  hash.add_all(graph.output_offsets);
  hash.add_all(graph.param_offsets);
  hash.add_all(graph.params);
  hash.add_all(graph.output_bytes);
  hash.add_all(graph.external_bytes);
  hash.add_all(graph.wanted);
  return hash.value();
}

void TemplateCache::use(const std::shared_ptr<const graph::TaskGraph>& graph, bool comes_home,
                        Repetition repetition, const std::function<void(std::uint32_t)>& drop,
                        const std::function<void(std::uint32_t)>& submit) {
  const std::uint64_t most = repetition == Repetition::never     ? 0
                             : repetition == Repetition::perhaps ? limits_.tasks_perhaps
                                                                 : limits_.tasks;
  const std::lock_guard lock(mutex_);
  if (graph->task_count() == 0 || graph->task_count() > most) {
    submit(protocol::no_template);
    return;
  }
  Entry* entry = find(graph, comes_home);
  const bool is_new = entry == nullptr;
  if (is_new) entry = &add(graph, comes_home, drop);
  entry->used = ++uses_;
  const bool is_kept = repetition == Repetition::certain || !is_new;
  if (is_kept && entry->number == protocol::no_template) entry->number = next_number_++;
  submit(entry->number);
}

TemplateCache::Entry* TemplateCache::find(const std::shared_ptr<const graph::TaskGraph>& graph,
                                          bool comes_home) {
  for (Entry& entry : entries_) {
    if (entry.graph == graph && entry.comes_home == comes_home) return &entry;
  }
  const std::uint64_t digest = digest_of(*graph);
  for (Entry& entry : entries_) {
    if (entry.digest == digest && entry.comes_home == comes_home && *entry.graph == *graph) {
      return &entry;
    }
  }
  return nullptr;
}

TemplateCache::Entry& TemplateCache::add(const std::shared_ptr<const graph::TaskGraph>& graph,
                                         bool comes_home,
                                         const std::function<void(std::uint32_t)>& drop) {
  tasks_ += graph->task_count();
  while (entries_.size() >= limits_.graphs || (tasks_ > limits_.tasks && !entries_.empty())) {
    const auto oldest = std::ranges::min_element(entries_, {}, &Entry::used);
    tasks_ -= oldest->graph->task_count();
    if (oldest->number != protocol::no_template) drop(oldest->number);
    entries_.erase(oldest);
  }
  entries_.push_back({digest_of(*graph), graph, comes_home, protocol::no_template, 0});
  return entries_.back();
}

}  // namespace ashlar::session
