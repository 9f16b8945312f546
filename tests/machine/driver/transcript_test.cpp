#include <gtest/gtest.h>

#include "machine/driver/rig.hpp"

namespace ashlar::driver {
namespace {

using protocol::RunOutcome;

/// Asks for a run of one task that reads a datum.
SubmitAsked reader(std::uint32_t run, DatumId external) {
  SubmitAsked event = submission(1, 1, run);
  event.run.externals = {external};
  return event;
}

TEST(DriverTranscript, ResultsArriveByPushBeforeOrAfterTheyAreReady) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  EXPECT_EQ(rig({submission(3, 2)}), "submit 1 deliver");
  EXPECT_EQ(rig({Arrived{datum(1), 8}}), "deliver 1");
  EXPECT_EQ(rig.told(ready({0, 1}, 2)), "") << "a push is due, the other one is here";
  EXPECT_EQ(rig.told(ended()), "");
  EXPECT_EQ(rig({Arrived{datum(0), 8}}), "deliver 0; finished 1");
  EXPECT_EQ(rig.engine.open_runs(), 0u);
  EXPECT_EQ(rig({ReleaseAsked{{datum(0), datum(1)}}}), "drop 0; drop 1; release 0 1");
}

TEST(DriverTranscript, LargeResultsOfOtherHostsAreFetchedInOrder) {
  Rig rig({.fetches = 1});
  rig.told(peer_info(2, "there"));
  rig({submission(3, 3)});
  EXPECT_EQ(rig.told(ready({2, 0}, 2)), "fetch 0@2");
  EXPECT_EQ(rig.told(ready({1}, 2, 100)), "") << "small: pushed";
  EXPECT_EQ(rig.told(protocol::RunProgress{1, 2}), "progress 2/3");
  EXPECT_EQ(rig({Arrived{datum(0), 8}}), "deliver 0; fetch 2@2");
  EXPECT_EQ(rig({Arrived{datum(2), 8}, Arrived{datum(2), 8}}), "deliver 2");
  EXPECT_EQ(rig({Arrived{datum(1), 8}}), "deliver 1");
  EXPECT_EQ(rig.told(ended()), "finished 1");
}

TEST(DriverTranscript, APushThatDoesNotComeIsFetched) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({submission(1, 1)});
  EXPECT_EQ(rig.told(ready({0}, 2)), "");
  EXPECT_EQ(rig.later(Duration::milliseconds(100)), "");
  EXPECT_EQ(rig.later(Duration::milliseconds(500)), "fetch 0@2");
}

TEST(DriverTranscript, WhatComesHomeIsCounted) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig.told(peer_info(3, "there"));
  rig({submission(3, 3)});
  rig.told(ready({0, 2}, 2));
  rig.told(ready({1}, 3));
  rig({Arrived{datum(0), 100, true}, Arrived{datum(0), 100, true}, Arrived{datum(1), 30, false}});
  auto end = ended();
  end.stats.local_bytes = 7;
  end.stats.remote_bytes = 5;
  rig.told(end);
  rig({Arrived{datum(2), 20, true}});
  const auto& finished = std::get<RunFinished>(rig.actions.back());
  EXPECT_EQ(finished.stats.local_bytes, 7u + 120u);
  EXPECT_EQ(finished.stats.remote_bytes, 5u + 30u);
}

TEST(DriverTranscript, FailedFetchesAreLocatedAgain) {
  Rig rig({.fetch_attempts = 2});
  rig.told(peer_info(2, "there"));
  rig({submission(1, 1)});
  EXPECT_EQ(rig.told(ready({0}, 2)), "fetch 0@2");
  EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{3}}}), "");
  EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{2}}}), "locate 0");
  EXPECT_EQ(rig.told(ready({0}, 3)), "fetch 0@3");
  EXPECT_EQ(rig.told(ended()), "");
  EXPECT_EQ(
      rig({FetchFailed{datum(0), PeerId{3}}}),
      "lose 0 \"fetching it failed 2 times, last from peer 3: check the network between its host "
      "and this one\"; finished 1");
  EXPECT_EQ(std::get<RunFinished>(rig.actions.back()).outcome, RunOutcome::failed);
}

TEST(DriverTranscript, ASchedulerThatHasYetToHearOfADeathIsAskedLater) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  rig({submission(1, 1)});
  rig.told(ready({0}, 2));
  EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{2}}}), "locate 0");
  for (int attempt = 2; attempt < 8; ++attempt) {
    EXPECT_EQ(rig.told(ready({0}, 2)), "fetch 0@2");
    EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{2}}}), "");
    EXPECT_EQ(rig.later(Duration::milliseconds(50)), "");
    EXPECT_EQ(rig.later(Duration::milliseconds(100)), "locate 0");
  }
  EXPECT_EQ(rig.told(ready({0}, 3)), "fetch 0@3");
}

TEST(DriverTranscript, WhatOnlyTheDriverCannotFetchMayBeRead) {
  Rig rig({.fetch_attempts = 1});
  rig.told(peer_info(2, "there"));
  rig({submission(1, 1)});
  rig.told(ready({0}, 2));
  rig.told(ended());
  EXPECT_EQ(
      rig({FetchFailed{datum(0), PeerId{2}}}),
      "lose 0 \"fetching it failed 1 times, last from peer 2: check the network between its host "
      "and this one\"; finished 1");
  EXPECT_EQ(std::get<RunFinished>(rig.actions.back()).outcome, RunOutcome::failed);
  EXPECT_EQ(rig({reader(2, datum(0))}), "submit 2 deliver");
}

TEST(DriverTranscript, AGonePeersDataAreLocated) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({submission(2, 2)});
  rig.told(ready({0}, 2));
  EXPECT_EQ(rig.told(protocol::PeerGone{PeerId{2}, ""}), "forget 2; locate 0");
  EXPECT_EQ(rig.told(protocol::DataLost{{datum(0)}, "its only copy"}), "lose 0 \"its only copy\"");
  EXPECT_EQ(rig({BringAsked{{datum(0)}}}), "lose 0 \"its only copy\"");
  EXPECT_EQ(rig({ReleaseAsked{{datum(0), datum(1)}}}),
            "lose 1 \"released before it came\"; release 0 1");
}

TEST(DriverTranscript, AFailedRunStillBringsWhatWasMade) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  rig({submission(3, 2)});
  EXPECT_EQ(rig.told(ready({0}, 2)), "fetch 0@2");
  EXPECT_EQ(rig.told(ended(RunOutcome::failed)), "lose 1 \"bang\"");
  EXPECT_EQ(rig({Arrived{datum(0), 1}}), "deliver 0; finished 1");
  EXPECT_EQ(rig({Arrived{datum(1), 1}}), "drop 1");
}

TEST(DriverTranscript, WhatWasToBeMadeAgainIsAskedForWhenTheRunFails) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  rig({submission(3, 2)});
  rig.told(ready({0}, 2));
  EXPECT_EQ(rig.told(protocol::PeerGone{PeerId{2}, ""}), "forget 2; abandon 0; locate 0");
  EXPECT_EQ(rig.told(ended(RunOutcome::failed)), "lose 1 \"bang\"; locate 0");
  EXPECT_EQ(rig.told(protocol::DataLost{{datum(0)}, "gone"}), "lose 0 \"gone\"; finished 1");
}

TEST(DriverTranscript, ACancelledRunBringsNothing) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  rig({submission(3, 2)});
  rig.told(ready({0}, 2));
  EXPECT_EQ(rig({CancelAsked{1}}), "cancel 1");
  EXPECT_EQ(rig.told(ended(RunOutcome::cancelled)),
            "abandon 0; lose 0 \"cancelled\"; lose 1 \"cancelled\"; finished 1");
  EXPECT_EQ(rig({CancelAsked{1}}), "");
}

TEST(DriverTranscript, PersistedDataComeWhenAskedFor) {
  Rig rig;
  EXPECT_EQ(rig({submission(2, 2, 1, false)}), "submit 1");
  EXPECT_EQ(rig.told(ready({0}, 2)), "exists 0");
  EXPECT_EQ(rig.told(ended()), "finished 1");
  EXPECT_EQ(rig({BringAsked{{datum(0), datum(1), datum(7)}}}),
            "lose 7 \"the datum is not known, or was released\"; fetch 0@2; locate 1");
  EXPECT_EQ(rig.told(ready({1}, 3)), "fetch 1@3");
  EXPECT_EQ(rig({Arrived{datum(0), 1}}), "deliver 0");
  EXPECT_EQ(rig({BringAsked{{datum(0)}}}), "deliver 0");
  EXPECT_EQ(rig({ReleaseAsked{{datum(0)}}}), "drop 0; release 0");
  EXPECT_EQ(rig({Arrived{datum(0), 1}}), "drop 0");
}

TEST(DriverTranscript, PersistedDataThatAreNotMadeFail) {
  Rig rig;
  rig({submission(3, 2, 1, false)});
  rig.told(ready({0}, 2));
  EXPECT_EQ(rig.told(ended(RunOutcome::failed)), "lose 1 \"bang\"; finished 1");
  EXPECT_EQ(rig.told(protocol::DataLost{{datum(0)}, "its only copy"}), "lose 0 \"its only copy\"");
}

TEST(DriverTranscript, WhatFailsIsKnownAtOnceAndTheRestComes) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  rig({submission(3, 3)});
  EXPECT_EQ(rig.told(protocol::DataLost{{datum(1)}, "bang", ErrorKind::task_failed}),
            "lose 1 \"bang\"");
  EXPECT_EQ(std::get<DatumFailed>(rig.actions.back()).kind, ErrorKind::task_failed);
  EXPECT_EQ(rig({reader(2, datum(1))}), "submit 2 deliver")
      << "the scheduler knows what of it goes";
  EXPECT_EQ(rig.told(ready({0, 2}, 2)), "fetch 0@2; fetch 2@2");
  EXPECT_EQ(rig.told(ended(RunOutcome::failed)), "");
  EXPECT_EQ(rig({Arrived{datum(0), 8}, Arrived{datum(2), 8}}), "deliver 0; deliver 2; finished 1");
}

TEST(DriverTranscript, ARefusalForALostDatumGivesItsCause) {
  Rig rig;
  rig({submission(1, 1)});
  EXPECT_EQ(rig({reader(2, datum(0))}), "submit 2 deliver") << "nothing was heard yet";
  rig.told(ended(RunOutcome::failed));
  auto refusal = ended(RunOutcome::failed, 2);
  refusal.error_kind = ErrorKind::bad_input;
  refusal.error = "external datum 0 does not exist, or no more";
  EXPECT_EQ(rig.told(refusal), "lose 0 \"bang\"; finished 2");
  EXPECT_EQ(std::get<RunFinished>(rig.actions.back()).error_kind, ErrorKind::task_failed);
}

TEST(DriverTranscript, PutDataStayUntilUnused) {
  Rig rig;
  EXPECT_EQ(rig({PutAsked{{5, {10, 20}}}}), "put");
  EXPECT_EQ(rig({BringAsked{{datum(1, 5)}}}), "deliver 1");
  EXPECT_EQ(rig({ReleaseAsked{{datum(0, 5), datum(0, 5)}}}), "release 0");
  EXPECT_EQ(rig.told(protocol::PutDataUnused{{datum(0, 5)}}), "drop 0");
  EXPECT_EQ(rig.told(protocol::PutDataUnused{{datum(0, 5)}}), "");
}

TEST(DriverTranscript, QuestionsAndAnswersPassThrough) {
  Rig rig;
  protocol::Explain question;
  question.request = 5;
  question.task = 3;
  EXPECT_EQ(rig({ExplainAsked{question}}), "explain 5");
  EXPECT_EQ(rig.told(protocol::Explanation{5, "it waits"}), "explained 5 it waits");
  rig({SchedulerLost{"closed"}});
  EXPECT_EQ(rig({ExplainAsked{question}}), "") << "nobody is there to answer";
}

TEST(DriverTranscript, WithoutASchedulerEverythingFails) {
  Rig rig;
  rig({submission(1, 1)});
  rig({PutAsked{{5, {10}}}, ReleaseAsked{{datum(0, 5)}}});
  EXPECT_EQ(rig({SchedulerLost{"closed"}}),
            "lose 0 \"the link to the scheduler is lost: closed\"; finished 1; drop 0");
  EXPECT_EQ(rig({submission(1, 1, 2)}),
            "lose 0 \"the link to the scheduler is lost: closed\"; finished 2");
  EXPECT_EQ(rig({ReleaseAsked{{datum(0)}}}), "");
}

}  // namespace
}  // namespace ashlar::driver
