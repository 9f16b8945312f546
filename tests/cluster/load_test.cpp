#include <ashlar/error.hpp>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "fixture.hpp"

namespace ashlar::testing {
namespace {

class LoadTest : public SessionTest {};

/// The table's column of threads of other programs, over the workers the most.
double most_others(const std::string& table) {
  double most = 0;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("local:")) continue;
    std::istringstream columns(line);
    std::string name, worker_class;
    double slowness = 0, calm = 0, others = 0;
    columns >> name >> worker_class >> slowness >> calm >> others;
    most = std::max(most, others);
  }
  return most;
}

TEST_F(LoadTest, WhatWasLearntIsToldAndForgotten) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(session().submit<add_one>(i).get(), i + 1);
  const std::string table = session().learned();
  EXPECT_NE(table.find("\nadd_one "), std::string::npos) << table;
  EXPECT_NE(table.find("\nlocal:"), std::string::npos) << table;
  session().forget_learned();
  EXPECT_EQ(session().learned().find("\nadd_one "), std::string::npos) << session().learned();
}

TEST_F(LoadTest, WhatElseKeepsTheCoresBusyIsNoticed) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  volatile std::uint64_t x = 0;
  double others = 0;
  while (others < 0.4 && std::chrono::steady_clock::now() < deadline) {
    for (int i = 0; i < 1'000'000; ++i) x = x + 1;  // this program is no worker
    others = most_others(session().learned());
  }
  EXPECT_GE(others, 0.4) << session().learned();
}

TEST(Learned, AClosedSessionSaysSo) {
  Session session = two_workers();
  session.close();
  EXPECT_THROW(session.learned(), Disconnected);
  EXPECT_THROW(session.forget_learned(), Disconnected);
}

}  // namespace
}  // namespace ashlar::testing
