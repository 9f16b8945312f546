#include <ashlar/error.hpp>

#include <chrono>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace ashlar::testing {
namespace {

using namespace std::chrono_literals;

class ExplainTest : public SessionTest {};

void expect(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in\n" << text;
  }
}

TEST_F(ExplainTest, ATaskSaysWhatItWaitsForAndAfterwardsWhereItWas) {
  const TemporaryFolder folder;
  Graph graph;
  const auto first = graph.add<wait_for_file>(folder / "go");
  const auto second = graph.add<add_one>(first);
  const auto third = graph.add<add_one>(second);
  graph.want(third);
  const GraphRun run = session().run(graph);
  const Future<int> value = run[third];
  expect(value.explain(), {"task 2, kernel \"add_one\", ", "explain_test.cpp:",
                           "task 0, kernel "
                           "\"wait_for_file\""});
  expect(session().explain(value), {"task 2, kernel \"add_one\""});
  expect(run.explain(first),
         {"task 0, kernel \"wait_for_file\", ", "explain_test.cpp:", "on worker local:"});
  expect(run.explain(), {" of session ", "goes on, 0 of 3 tasks done", "bound by: "});
  expect(session().explain(), {"goes on, 0 of 3 tasks done"});
  std::ofstream(folder / "go") << '\n';
  EXPECT_EQ(value.get(), 3);
  run.wait();
  expect(value.explain(), {"task 2", "done on worker local:", "why there: ", "placed "});
  expect(run.explain(second), {"task 1, kernel \"add_one\"", "done on worker local:"});
  expect(run.done().explain(), {"done, 3 of 3 tasks done, after ", "critical path: ",
                                " in 3 tasks one after the other: ", "kernel \"wait_for_file\""});
  EXPECT_NE(run.done().report().bound_by.find("critical path"), std::string::npos);
  EXPECT_NE(to_string(run.done().report()).find("\nbound by              "), std::string::npos);
}

TEST_F(ExplainTest, ArraysAreExplainedByTheRunThatMakesThem) {
  const auto a = random::uniform({64, 64}, {.chunks = {32, 32}, .seed = 1});
  const Array kept = session().persist(a + 1.0);
  session().wait(kept);
  expect(session().explain(kept), {"done, 8 of 8 tasks done", "bound by: "});
  const auto future = session().compute_async(matmul(a, a));
  future.get();
  expect(future.explain(), {"done, ", "bound by: ", "explain_test.cpp:"});
  session().compute(sum(a));
  expect(session().explain(), {"done, ", "bound by: "});
  EXPECT_THROW(session().explain(a), BadInput);
}

TEST_F(ExplainTest, NothingIsExplainedOfWhatNoTaskMakes) {
  EXPECT_THROW(session().put(3).explain(), BadInput);
  EXPECT_THROW(Future<int>().explain(), BadInput);
  const auto one = session().submit<add_one>(1), two = session().submit<add_one>(2);
  EXPECT_THROW(session().gather_async(std::vector{one, two}).explain(), BadInput);
  Graph graph, other;
  const auto input = graph.input(1);
  const auto node = graph.add<add_one>(input);
  graph.want(node);
  const GraphRun run = session().run(graph);
  EXPECT_THROW(run.explain(input), BadInput);
  EXPECT_THROW(run.explain(other.add<add_one>(1)), BadInput);
  EXPECT_EQ(run[node].get(), 2);
}

TEST_F(ExplainTest, ItIsToldWithoutWaiting) {
  const auto value = session().submit<add_one>(1);
  value.get();
  value.report();  // the scheduler has heard of it
  std::promise<std::string> told;
  value.explain_async().then([&](Future<std::string> text) { told.set_value(text.get()); });
  auto text = told.get_future();
  ASSERT_EQ(text.wait_for(60s), std::future_status::ready);
  expect(text.get(), {"kernel \"add_one\"", "done on worker local:"});
  EXPECT_THROW(session().explain_async().report(), BadInput);
}

TEST_F(ExplainTest, AFailureIsExplainedWithItsCause) {
  const auto failing = session().submit<fail_with>("out of ink");
  EXPECT_THROW(failing.get(), TaskFailed);
  expect(failing.explain(), {"kernel \"fail_with\"", "failed: ", "out of ink"});
}

TEST(Explain, AClosedSessionSaysSo) {
  Session session = two_workers();
  const auto value = session.submit<add_one>(1);
  value.get();
  session.close();
  EXPECT_THROW(session.explain(), Disconnected);
  EXPECT_THROW(value.explain(), Disconnected);
}

TEST(Explain, WhoeverWaitsForAnAnswerHearsOfTheEnd) {
  Session session = two_workers();
  std::vector<Future<std::string>> texts;
  for (int i = 0; i < 100; ++i) texts.push_back(session.explain_async());
  session.close();
  for (const auto& text : texts) {
    try {
      expect(text.get(), {"has no run that is known"});
    } catch (const Disconnected&) {
    }
  }
}

}  // namespace
}  // namespace ashlar::testing
