#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ashlar::scheduler {

/// A heap of (key, index) with the least on top, ties by index; a member's key can be changed.
class IndexedHeap {
 public:
  bool empty() const { return nodes_.empty(); }
  std::size_t size() const { return nodes_.size(); }
  /// The index of the least key. Requires a non-empty heap.
  std::uint32_t top() const { return nodes_.front().index; }
  bool contains(std::uint32_t index) const {
    return index < position_.size() && position_[index] != absent;
  }
  std::int64_t key(std::uint32_t index) const { return nodes_[position_[index]].key; }

  /// Adds the index, or changes its key.
  void set(std::uint32_t index, std::int64_t key) {
    if (index >= position_.size()) position_.resize(index + 1, absent);
    if (position_[index] == absent) {
      position_[index] = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({key, index});
    } else {
      nodes_[position_[index]].key = key;
    }
    settle(position_[index]);
  }

  void erase(std::uint32_t index) {
    if (!contains(index)) return;
    const std::uint32_t hole = position_[index];
    position_[index] = absent;
    const Node last = nodes_.back();
    nodes_.pop_back();
    if (hole == nodes_.size()) return;
    nodes_[hole] = last;
    position_[last.index] = hole;
    settle(hole);
  }

  std::size_t bytes() const {
    return nodes_.capacity() * sizeof(Node) + position_.capacity() * sizeof(std::uint32_t);
  }

 private:
  struct Node {
    std::int64_t key;
    std::uint32_t index;
    bool operator<(const Node& other) const {
      return key != other.key ? key < other.key : index < other.index;
    }
  };
  static constexpr std::uint32_t absent = ~std::uint32_t{0};

  void settle(std::uint32_t at) {
    while (at > 0 && nodes_[at] < nodes_[(at - 1) / 2]) {
      exchange(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
    for (;;) {
      std::uint32_t least = at;
      for (std::uint32_t child = 2 * at + 1; child <= 2 * at + 2; ++child) {
        if (child < nodes_.size() && nodes_[child] < nodes_[least]) least = child;
      }
      if (least == at) return;
      exchange(at, least);
      at = least;
    }
  }

  void exchange(std::uint32_t a, std::uint32_t b) {
    std::swap(nodes_[a], nodes_[b]);
    position_[nodes_[a].index] = a;
    position_[nodes_[b].index] = b;
  }

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> position_;  ///< by index
};

}  // namespace ashlar::scheduler
