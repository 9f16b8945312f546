#include "scheduler/decision.hpp"

namespace ashlar::scheduler {

std::string_view text_of(Reason reason) {
  switch (reason) {
    case Reason::none:
      return "it was not chosen";
    case Reason::first_to_finish:
      return "it would be done there first";
    case Reason::buffer:
      return "it would be done there first: it takes over a buffer that lies there";
    case Reason::owner:
      return "its host is to have this part of the product, so that little moves";
    case Reason::neighbours:
      return "its neighbours went there, so that what reads them finds them together";
    case Reason::awake:
      return "the worker had just got something: sooner than to wake an idle one";
    case Reason::least_loaded:
      return "the least loaded worker, and nothing that it reads draws it to another";
    case Reason::planned:
      return "planned with the whole run";
    case Reason::most_bytes:
      return "the worker has the most bytes of what it reads";
    case Reason::least_traffic:
      return "so that memory and traffic grow least";
    case Reason::in_turn:
      return "it was the worker's turn";
    case Reason::by_chance:
      return "chosen by chance";
    case Reason::repeated:
      return "there it was, too, when this graph ran before";
    case Reason::in_reach:
      return "what it makes again can be had from there";
  }
  return "?";
}

std::string_view text_of(Moved moved) {
  switch (moved) {
    case Moved::no:
      return "";
    case Moved::worker_lost:
      return "its worker was lost";
    case Moved::stolen:
      return "it waited there, and another worker had nothing to do";
    case Moved::hot_host:
      return "its worker's host was busy with something else";
    case Moved::slots_held:
      return "tasks that were taken back held all slots of its worker";
    case Moved::input_lost:
      return "something that it reads was lost";
    case Moved::output_lost:
      return "it was done, and what it made was lost";
    case Moved::unreachable:
      return "its worker could not fetch what it reads, or others what it makes";
  }
  return "?";
}

}  // namespace ashlar::scheduler
