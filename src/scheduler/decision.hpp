#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.hpp"
#include "scheduler/task_table.hpp"

namespace ashlar::scheduler {

/// Why a task went to its worker.
enum class Reason : std::uint8_t {
  none,             ///< it has not been placed
  first_to_finish,  ///< by the estimates, it would be done there first
  buffer,           ///< the same, and there is the buffer that it takes over
  owner,            ///< its host is to have this part of a product
  neighbours,       ///< tasks without inputs that come before and after it went there
  awake,            ///< it got something just now: cheaper than to wake an idle one
  least_loaded,
  planned,
  most_bytes,
  least_traffic,
  in_turn,
  by_chance,
  repeated,  ///< by a template
  in_reach,  ///< what it makes again can be had from there
};
/// For people: "it would be done there first".
std::string_view text_of(Reason reason);

/// Why a task that was placed had to be placed again, the last time.
enum class Moved : std::uint8_t {
  no,
  worker_lost,
  stolen,
  hot_host,
  slots_held,
  input_lost,
  output_lost,
  unreachable,
};
/// For people: "its worker was lost".
std::string_view text_of(Moved moved);

/// What a policy says.
struct Choice {
  PeerIndex worker = no_peer;
  Reason reason = Reason::none;
  PeerIndex other = no_peer;   ///< the next best that it was compared with
  std::int64_t finish_ns = 0;  ///< when the task would be done, from now; 0: nobody asked
  std::int64_t other_ns = 0;   ///< the same on the other one
  /// When its outputs may be expected, from now, as far as that follows from what others were
  /// promised; what waits for links is not promised. 0: nobody asked.
  std::int64_t due_ns = 0;
};

/// A choice as it is remembered, one for each task.
struct Decision {
  static constexpr std::uint32_t no_other = (1u << 24) - 1;

  float placed_s = 0;  ///< when, since the run was submitted
  float finish_s = 0;  ///< as in Choice
  float other_s = 0;
  std::uint32_t other : 24 = no_other;  ///< later peers count as none
  Reason reason : 5 = Reason::none;
  Moved moved : 3 = Moved::no;

  void note(const Choice& choice, Duration since_submitted) {
    constexpr float ns = 1e-9F;
    placed_s = static_cast<float>(since_submitted.ns) * ns;
    finish_s = static_cast<float>(choice.finish_ns) * ns;
    other_s = static_cast<float>(choice.other_ns) * ns;
    other = choice.other < no_other ? choice.other : no_other;
    reason = choice.reason;
  }
};
static_assert(sizeof(Decision) == 16, "runs have millions of tasks");

}  // namespace ashlar::scheduler
