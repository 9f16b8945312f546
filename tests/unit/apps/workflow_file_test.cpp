#include "apps/workflow_file.hpp"

#include <gtest/gtest.h>
#include <ashlar/error.hpp>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "simulate/forecast.hpp"

namespace ashlar::apps {
namespace {

using nlohmann::json;

/// Two parts of a file are worked on, then joined; a report waits for the join and reads nothing.
/// Tasks come in no order.
json workflow() {
  return json::parse(R"json({
    "name": "split and join", "schemaVersion": "1.5",
    "workflow": {
      "specification": {
        "tasks": [
          {"name": "report", "id": "r", "parents": ["j"], "inputFiles": [], "outputFiles": []},
          {"name": "join_ID0004", "id": "j", "parents": ["w1", "w2"],
           "inputFiles": ["a.out", "b.out", "settings"], "outputFiles": ["all"]},
          {"name": "work_ID0002", "id": "w1", "parents": ["s"], "inputFiles": ["a"], "outputFiles": ["a.out"]},
          {"name": "work (b)", "id": "w2", "parents": ["s"], "inputFiles": ["b"], "outputFiles": ["b.out"]},
          {"name": "split_1", "id": "s", "parents": [], "inputFiles": ["in"], "outputFiles": ["a", "b"]}
        ],
        "files": [
          {"id": "in", "sizeInBytes": 900}, {"id": "settings", "sizeInBytes": 1},
          {"id": "a", "sizeInBytes": 10}, {"id": "b", "sizeInBytes": 20},
          {"id": "a.out", "sizeInBytes": 30}, {"id": "b.out", "sizeInBytes": 40},
          {"id": "all", "sizeInBytes": 70}
        ]
      },
      "execution": {
        "makespanInSeconds": 9,
        "tasks": [
          {"id": "s", "runtimeInSeconds": 1}, {"id": "w1", "runtimeInSeconds": 2.5},
          {"id": "w2", "runtimeInSeconds": 3}, {"id": "j", "runtimeInSeconds": 0.5},
          {"id": "r", "runtimeInSeconds": 0}
        ]
      }
    }
  })json");
}

json& tasks_of(json& file) { return file["workflow"]["specification"]["tasks"]; }

TEST(WorkflowFile, FilesAreOutputsAndParentsDependences) {
  const simulate::Program program = read_workflow("w.json", workflow());
  const graph::TaskGraph& g = program.graph;
  EXPECT_EQ(g.kernels, (std::vector<std::string>{"split", "work", "join", "report"}));
  EXPECT_EQ(g.kernel, (std::vector<std::uint32_t>{0, 1, 1, 2, 3}));
  EXPECT_EQ(program.task_seconds, (std::vector<double>{1, 2.5, 3, 0.5, 0}));
  // split: a, b; work: a.out; b.out; join: nothing but that it is done, all; report: likewise.
  EXPECT_EQ(g.output_bytes, (std::vector<std::uint64_t>{10, 20, 30, 40, 0, 70, 0}));
  EXPECT_EQ(g.inputs, (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(g.input_offsets, (std::vector<std::uint32_t>{0, 0, 1, 2, 4, 5}));
  EXPECT_EQ(g.wanted, (std::vector<std::uint32_t>{5, 6}));
}

TEST(WorkflowFile, RunsOnASimulatedCluster) {
  const auto program =
      std::make_shared<const simulate::Program>(read_workflow("w.json", workflow()));
  const auto machine =
      std::make_shared<const simulate::Machine>(simulate::Machine{.speeds = {1, 1}, .slots = 1});
  const auto found = simulate::forecast({.program = program, .machine = machine, .runs = 2});
  EXPECT_EQ(found.error, "");
  EXPECT_NEAR(found.makespan_seconds, 4.5, 0.1) << "1, then 3 beside 2.5, then 0.5";
}

TEST(WorkflowFile, SaysWhatIsWrongAndWhere) {
  const auto says = [](const std::function<void(json&)>& change) {
    json file = workflow();
    change(file);
    try {
      read_workflow("w.json", file);
    } catch (const BadInput& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  const auto expect = [&](const std::string& text, const std::function<void(json&)>& change) {
    EXPECT_EQ(says(change), "w.json: " + text);
  };
  expect("\"workflow\": needs \"execution\", as WfFormat 1.5 says",
         [](json& f) { f["workflow"].erase("execution"); });
  expect("\"workflow\": needs \"specification\", as WfFormat 1.5 says",
         [](json& f) { f["workflow"] = 3; });
  expect("\"specification\": needs at least one task",
         [](json& f) { tasks_of(f) = json::array(); });
  expect("\"specification\": \"tasks\": expected a list", [](json& f) { tasks_of(f) = "none"; });
  expect("task \"j\": no size is given of file \"all\"",
         [](json& f) { f["workflow"]["specification"]["files"].erase(6); });
  expect("task \"r\": there is no task \"x\", its parent",
         [](json& f) { tasks_of(f)[0]["parents"] = {"x"}; });
  expect("task \"w2\": writes file \"a.out\", as does \"w1\"",
         [](json& f) { tasks_of(f)[3]["outputFiles"] = {"a.out"}; });
  expect("task \"w1\": is there twice", [](json& f) { tasks_of(f)[3]["id"] = "w1"; });
  expect("task \"r\": waits for itself, by way of its parents",
         [](json& f) { tasks_of(f)[1]["parents"] = {"r"}; });
  expect("task \"s\": \"runtimeInSeconds\" is -1: expected a number from 0 on",
         [](json& f) { f["workflow"]["execution"]["tasks"][0]["runtimeInSeconds"] = -1; });
  expect("task \"r\": \"execution\" does not say how long it took",
         [](json& f) { f["workflow"]["execution"]["tasks"].erase(4); });
  expect("file \"in\": \"sizeInBytes\" is \"1\": expected a number from 0 on",
         [](json& f) { f["workflow"]["specification"]["files"][0]["sizeInBytes"] = "1"; });
}

}  // namespace
}  // namespace ashlar::apps
