#include "scheduler/outbox.hpp"

#include <gtest/gtest.h>

#include <string>

namespace ashlar::scheduler {
namespace {

class OutboxOrder : public testing::Test {
 protected:
  OutboxOrder() {
    worker_ = workers_.add(PeerId{1}, hello_of("a"), true);
    other_ = workers_.add(PeerId{2}, hello_of("b"), true);
    outbox_.begin(actions_);
    outbox_.introduce(worker_, other_);
    actions_.clear();
  }
  static protocol::Hello hello_of(const std::string& name) {
    protocol::Hello hello;
    hello.name = name;
    hello.slots = 1;
    return hello;
  }

  void assign() { outbox_.assignment(worker_, run_).task.push_back(0); }
  void relocate() { outbox_.relocate(worker_, {run_, 0}, other_); }

  /// A letter for each message, in the order in which the worker is told.
  std::string told() {
    outbox_.flush();
    std::string text;
    for (const Action& action : actions_) {
      const auto& message = std::get<ToWorker>(action).message;
      text += std::holds_alternative<protocol::AssignTasks>(message)   ? 'A'
              : std::holds_alternative<protocol::Relocate>(message)    ? 'R'
              : std::holds_alternative<protocol::RunTemplate>(message) ? 'T'
              : std::holds_alternative<protocol::Prefetch>(message)    ? 'P'
                                                                       : '?';
    }
    return text;
  }

  Limits limits_;
  WorkerTable workers_{limits_};
  Outbox outbox_{workers_};
  Actions actions_;
  const RunId run_{SessionId{0}, 0};
  PeerIndex worker_ = no_peer, other_ = no_peer;
};

TEST_F(OutboxOrder, ARelocationComesBeforeWhatIsAssignedLater) {
  relocate();
  assign();
  assign();
  EXPECT_EQ(told(), "RA");
}

TEST_F(OutboxOrder, AndAfterWhatWasAssignedBefore) {
  assign();
  relocate();
  relocate();
  assign();
  EXPECT_EQ(told(), "ARA");
  EXPECT_TRUE(outbox_.is_empty());
}

TEST_F(OutboxOrder, WhatComesEarlyDoesBeforeItsReaders) {
  assign();
  outbox_.prefetch(worker_, {run_, 0}, 8, other_, 0);
  outbox_.prefetch(worker_, {run_, 1}, 8, other_, 0);
  EXPECT_EQ(told(), "PA");
}

TEST_F(OutboxOrder, ATemplateIsLikeAnAssignment) {
  relocate();
  outbox_.run_template(worker_, {run_, 0, {}, {}, {}});
  relocate();
  EXPECT_EQ(told(), "RTR");
}

TEST_F(OutboxOrder, AStepHasNothingButTheMemoryOfTheOneBefore) {
  const RunId other_run{SessionId{0}, 1};
  protocol::AssignTasks& first = outbox_.assignment(worker_, run_);
  first = protocol::AssignTasks{run_,        {1}, {2},          {3},  {4},  {5},
                                {6},         {1}, {1},          {1},  {1},  PeerId{7},
                                {{run_, 8}}, {9}, {PeerId{10}}, {11}, {12}, {std::byte{13}},
                                14,          {15}};
  outbox_.free(worker_, {run_, 16});
  EXPECT_EQ(told(), "?A");
  const auto& sent = std::get<protocol::AssignTasks>(std::get<ToWorker>(actions_[1]).message);
  const auto* tasks = sent.task.data();

  outbox_.begin(actions_);
  EXPECT_TRUE(actions_.empty());
  EXPECT_GT(outbox_.bytes(), 0u);
  protocol::AssignTasks& second = outbox_.assignment(other_, other_run);
  protocol::AssignTasks empty;
  empty.run = other_run;
  EXPECT_EQ(second, empty);
  EXPECT_EQ(second.task.data(), tasks);
  outbox_.free(worker_, {run_, 17});
  outbox_.flush();
  EXPECT_EQ(std::get<protocol::FreeData>(std::get<ToWorker>(actions_[1]).message).data,
            (std::vector<DatumId>{{run_, 17}}));
}

}  // namespace
}  // namespace ashlar::scheduler
