#include <ashlar/graph.hpp>

#include <gtest/gtest.h>

#include <string>

#include "fake_session.hpp"

namespace ashlar {
namespace {

using graph::TaskGraph;
using test::FakeDatum;
using test::FakeSession;

int add(int a, int b) { return a + b; }
int one() { return 1; }
std::string spell(int x) { return std::to_string(x); }
void scale(View<double, 1> values, double factor) {
  for (double& x : values.span()) x *= factor;
}
double sum_of(View<const double, 1> values) {
  double sum = 0;
  for (const double x : values.span()) sum += x;
  return sum;
}
int unnamed(int x) { return x; }
struct Thrower {
  int value = 0;
};

}  // namespace

template <>
struct Codec<Thrower> {
  static std::size_t size(const Thrower&) { return 4; }
  static void encode(const Thrower&, Writer&) { throw BadInput("no way"); }
  static Thrower decode(Reader& reader) { return {reader.read<int>()}; }
};

namespace {

int use(int a, const std::vector<double>&, const Thrower&) { return a; }

Tasks all_tasks() {
  Tasks tasks;
  tasks.add<add>("add").add<one>("one").add<spell>("spell").add<scale>("scale");
  tasks.add<sum_of>("sum_of").add<use>("use");
  return tasks;
}

std::shared_ptr<const TaskGraph> frozen(const Graph& graph) {
  return graph.data().frozen(all_tasks());
}

TEST(Graph, IsTheFlatVectorsOneWouldWrite) {
  Graph graph;
  const auto outside = graph.input(5);
  const auto a = graph.add<one>();
  const auto b =
      graph.add<add>({.priority = 7, .cost_seconds = 0.5, .resources = {{"gpu", 1}}}, a, 2);
  const auto line = __LINE__ - 1;
  const auto c = graph.add<add>(b, outside);
  graph.add<spell>({.after = {b}}, c);
  graph.want(c);
  graph.want(a);
  graph.want(c);

  const auto made = frozen(graph);
  TaskGraph expected;
  expected.kernels = {"one", "add", "spell"};
  expected.constraints = {{}, {{{"gpu", 1.0}}}};
  expected.kernel = {0, 1, 1, 2};
  expected.input_offsets = {0, 0, 1, 3, 5};
  expected.inputs = {0, 1, 4, 2, 1};
  expected.output_offsets = {0, 1, 2, 3, 4};
  expected.param_offsets = {0, 0, 12, 20, 24};
  expected.priority = {0, 7, 0, 0};
  expected.flops = {0, 1.0e10f, 0, 0};
  expected.constraint = {0, 1, 0, 0};
  expected.source = {0, 1, 2, 3};
  expected.output_bytes = {4, 4, 4, TaskGraph::dynamic_bytes};
  expected.external_bytes = {4};
  expected.wanted = {0, 2};
  expected.sources = made->sources;
  expected.params = made->params;
  EXPECT_EQ(*made, expected);
  EXPECT_NE(made->source_of(1).find("graph_test.cpp:" + std::to_string(line)), std::string::npos)
      << made->source_of(1);
}

TEST(Graph, NamesEachSourceLineOnce) {
  Graph graph;
  auto node = graph.add<one>();
  for (int i = 0; i < 100; ++i) {
    node = graph.add<add>(node, 1);
    node = graph.add<add>(node, node);
  }
  EXPECT_EQ(frozen(graph)->sources.size(), 3u);
  EXPECT_EQ(graph.task_count(), 201u);
}

TEST(Graph, RunsAsOftenAsWanted) {
  FakeSession session{all_tasks()};
  Graph graph;
  const auto start = graph.input(session.submit<add>(1, 2));
  const auto values = graph.input(HostArray::zeros<double>({4}));
  const auto next = graph.add<add>(start, 10);
  const auto total = graph.add<sum_of>(values);
  graph.want(next);
  graph.want(total);

  const auto first = session.run(graph);
  const auto* same = frozen(graph).get();
  EXPECT_EQ(first[next].get(), 13);
  EXPECT_EQ(first[total].get(), 0.0);
  first.wait();

  HostArray twos(DType::float64, {4});
  for (int i = 0; i < 4; ++i) twos.data<double>()[i] = 2;
  graph.bind(start, 100);
  graph.bind(values, twos);
  const auto second = session.run(graph);
  EXPECT_EQ(second[next].get(), 110);
  EXPECT_EQ(second[total].get(), 8.0);
  EXPECT_EQ(first[next].get(), 13);

  const auto* rebound = frozen(graph).get();
  graph.bind(start, 101);
  EXPECT_EQ(frozen(graph).get(), rebound);  // equal sizes: nothing to make again
  EXPECT_NE(rebound, same);
  EXPECT_EQ(session.run(graph)[next].get(), 111);
}

TEST(Graph, GrowsAfterARun) {
  FakeSession session{all_tasks()};
  Graph graph;
  const auto a = graph.add<one>();
  graph.want(a);
  const auto first = session.run(graph);
  const auto b = graph.add<add>(a, a);
  graph.want(b);
  EXPECT_EQ(session.run(graph)[b].get(), 2);
  EXPECT_EQ(first[a].get(), 1);
  EXPECT_THROW(first[b], BadInput);
}

TEST(Graph, TakesEachFutureOnceAndKeepsLargeValues) {
  FakeSession session{all_tasks()};
  const auto three = session.submit<add>(1, 2);
  Graph graph;
  const auto six = graph.add<add>(three, three);
  Node<double> sum = [&] {
    const auto large = HostArray::zeros<double>({5000});
    return graph.add<sum_of>(large);
  }();
  graph.want(six);
  graph.want(sum);
  EXPECT_EQ(frozen(graph)->external_count(), 2u);
  const auto run = session.run(graph);
  EXPECT_EQ(run[six].get(), 6);
  EXPECT_EQ(run[sum].get(), 0.0);
}

TEST(Graph, SaysWhichBufferMayBeTakenOver) {
  Graph graph;
  const auto values = graph.input(HostArray::zeros<double>({4}));
  const auto a = graph.add<scale>(values, 2.0);
  const auto b = graph.add<scale>(a, 2.0);
  graph.add<sum_of>(b);
  graph.add<scale>({.after = {b}}, b, 1.0);  // b is read twice
  const auto none = TaskGraph::no_input;
  EXPECT_EQ(frozen(graph)->reuse_input, (std::vector<std::uint32_t>{0, 0, none, none}));
}

TEST(Graph, ForgetsATaskWhoseArgumentsFail) {
  FakeSession session{all_tasks()};
  Graph graph;
  const auto a = graph.add<one>();
  graph.want(a);
  const std::vector<double> large(10000);
  EXPECT_THROW(graph.add<use>(a, large, Thrower{}), BadInput);
  EXPECT_THROW(graph.add<add>(Future<int>(), 1), BadInput);
  const auto made = frozen(graph);
  EXPECT_EQ(made->task_count(), 1u);
  EXPECT_TRUE(made->inputs.empty());
  EXPECT_TRUE(made->params.empty());
  EXPECT_EQ(made->external_count(), 0u);
  EXPECT_EQ(session.run(graph)[a].get(), 1);
}

TEST(Graph, RefusesWhatIsNotItsOwn) {
  Graph graph, other;
  const auto a = graph.add<one>();
  const auto b = other.add<one>();
  EXPECT_THROW(graph.add<add>(a, b), BadInput);
  EXPECT_THROW(graph.want(b), BadInput);
  EXPECT_THROW(graph.bind(a, 1), BadInput);
  EXPECT_THROW(graph.want(graph.input(1)), BadInput);
  EXPECT_THROW(graph.input(Future<int>()), BadInput);
  EXPECT_THROW(graph.add<sum_of>(HostArray::zeros<double>({2, 2})), BadInput);
  Graph moved = std::move(graph);
  moved.want(a);
  EXPECT_EQ(frozen(moved)->wanted, (std::vector<std::uint32_t>{0}));
}

TEST(Graph, RefusesUnnamedFunctionsWhenItIsRun) {
  FakeSession session{all_tasks()};
  Graph graph;
  graph.add<unnamed>(1);
  EXPECT_THROW(session.run(graph), BadInput);
}

TEST(RequestGraph, MakesOneTaskOfEachRequest) {
  const auto datum = std::make_shared<FakeDatum>(HostArray());
  std::vector<detail::TaskRequest> requests(2);
  requests[0].kernel = "add";
  requests[0].params = {std::byte{1}};
  requests[0].inputs = {datum, datum};
  requests[0].output_bytes = 4;
  requests[1].kernel = "add";
  requests[1].inputs = {datum};
  requests[1].reuse_input = 0;
  requests[1].priority = -1;
  const auto [made, externals] = session::graph_of(requests);
  EXPECT_EQ(made->kernels, (std::vector<std::string>{"add"}));
  EXPECT_EQ(made->inputs, (std::vector<std::uint32_t>{2, 2, 2}));
  EXPECT_EQ(made->input_offsets, (std::vector<std::uint32_t>{0, 2, 3}));
  EXPECT_EQ(made->param_offsets, (std::vector<std::uint32_t>{0, 1, 1}));
  EXPECT_EQ(made->output_bytes, (std::vector<std::uint64_t>{4, TaskGraph::dynamic_bytes}));
  EXPECT_EQ(made->reuse_input, (std::vector<std::uint32_t>{TaskGraph::no_input, 0}));
  EXPECT_EQ(made->priority, (std::vector<std::int32_t>{0, -1}));
  EXPECT_EQ(made->wanted, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(externals.size(), 1u);
}

}  // namespace
}  // namespace ashlar
