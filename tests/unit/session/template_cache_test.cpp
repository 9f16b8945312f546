#include "session/template_cache.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace ashlar::session {
namespace {

constexpr std::uint32_t none = protocol::no_template;

/// A chain of tasks; `parameter` is that of the first.
std::shared_ptr<const graph::TaskGraph> chain(std::uint32_t tasks, int parameter = 0) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"k"};
  for (std::uint32_t t = 0; t < tasks; ++t) {
    graph->kernel.push_back(0);
    if (t > 0) graph->inputs.push_back(t - 1);
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->output_bytes.push_back(8);
    graph->output_offsets.push_back(t + 1);
    if (t == 0) graph->params.push_back(static_cast<std::byte>(parameter));
    graph->param_offsets.push_back(1);
  }
  return graph;
}

class Templates : public ::testing::Test {
 protected:
  /// The number under which the graph is to be run.
  std::uint32_t use(const std::shared_ptr<const graph::TaskGraph>& graph,
                    Repetition repetition = Repetition::perhaps, bool comes_home = true) {
    std::uint32_t found = none;
    cache_.use(
        graph, comes_home, repetition, [&](std::uint32_t number) { dropped_.push_back(number); },
        [&](std::uint32_t number) { found = number; });
    return found;
  }

  TemplateCache cache_{{.graphs = 3, .tasks = 100, .tasks_perhaps = 60}};
  std::vector<std::uint32_t> dropped_;
};

TEST_F(Templates, AGraphThatComesAgainGetsANumberWhichItKeeps) {
  EXPECT_EQ(use(chain(5)), none);
  const std::uint32_t number = use(chain(5));
  EXPECT_NE(number, none);
  EXPECT_EQ(use(chain(5)), number) << "equal, though another object";
}

TEST_F(Templates, WhatIsCertainToComeAgainGetsOneAtOnce) {
  EXPECT_NE(use(chain(5), Repetition::certain), none);
}

TEST_F(Templates, WhatNeverComesAgainGetsNone) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(use(chain(5), Repetition::never), none);
}

TEST_F(Templates, GraphsThatDifferInAnythingAreOthers) {
  use(chain(5, 1));
  EXPECT_EQ(use(chain(5, 2)), none) << "a parameter";
  const std::uint32_t number = use(chain(5, 1));
  EXPECT_NE(number, none);
  EXPECT_EQ(use(chain(5, 1), Repetition::perhaps, false), none) << "where its results go";
  EXPECT_NE(use(chain(5, 2)), number);
}

TEST_F(Templates, TheLeastLatelyRunGoesFirst) {
  const std::uint32_t first = use(chain(1), Repetition::certain);
  const std::uint32_t second = use(chain(2), Repetition::certain);
  use(chain(3), Repetition::certain);
  EXPECT_EQ(use(chain(1)), first);
  use(chain(4), Repetition::certain);
  EXPECT_EQ(dropped_, std::vector{second});
  const std::uint32_t again = use(chain(2), Repetition::certain);
  EXPECT_NE(again, second) << "numbers are not used again";
}

TEST_F(Templates, TheirTasksAreBoundedToo) {
  const std::uint32_t first = use(chain(50), Repetition::certain);
  use(chain(40), Repetition::certain);
  EXPECT_TRUE(dropped_.empty());
  use(chain(20), Repetition::certain);
  EXPECT_EQ(dropped_, std::vector{first});
  EXPECT_EQ(use(chain(101), Repetition::certain), none);
  EXPECT_EQ(use(chain(61)), none);
  EXPECT_EQ(use(chain(61)), none) << "too large to be kept for a perhaps";
  EXPECT_EQ(dropped_.size(), 1u);
}

}  // namespace
}  // namespace ashlar::session
