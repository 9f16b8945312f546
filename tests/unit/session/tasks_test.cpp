#include <ashlar/tasks.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <stdexcept>

#include "fake_session.hpp"

namespace ashlar {
namespace refused {

int takes_pointer(const char*);
int takes_reference(int&);
std::string_view gives_view(int);
int two_outputs(View<double, 1>, View<double, 1>);
int in_out_and_result(View<double, 1>);

}  // namespace refused

namespace {

using test::FakeSession;

int add(int a, int b) { return a + b; }
double half(double x) noexcept { return x / 2; }
void nothing() {}
std::string greet(const std::string& name) { return "hello " + name; }
double total(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}
double sum_of(View<const double, 2> grid) {
  return std::accumulate(grid.span().begin(), grid.span().end(), 0.0);
}
HostArray ramp(std::int64_t n) {
  HostArray array(DType::float64, {n, 1});
  for (std::int64_t i = 0; i < n; ++i) array.data<double>()[i] = static_cast<double>(i);
  return array;
}
const void* seen = nullptr;
void scale(View<double, 2> grid, double factor) {
  seen = grid.data();
  for (double& x : grid.span()) x *= factor;
}
void accumulate(View<double, 2> into, View<const double, 2> from) {
  for (std::int64_t i = 0; i < into.size(); ++i) into.span()[i] += from.span()[i];
}
std::int64_t first_bytes(const HostArray& array) {
  return static_cast<std::int64_t>(array.size_bytes());
}
void overwrite(HostArray mine) { std::memset(mine.bytes().data(), 0xff, mine.size_bytes()); }
int fails(int) { throw std::out_of_range("no such seed"); }
std::size_t length(std::string&& text) { return std::string(std::move(text)).size(); }
struct Solver {
  static int solve(int x) { return x * x; }
};
constexpr auto twice = [](int x) { return 2 * x; };
int unnamed(int x) { return x; }

Tasks all_tasks() {
  Tasks tasks;
  tasks.add<add>("add").add<half>("half").add<nothing>("nothing").add<greet>("greet");
  tasks.add<total>("total").add<sum_of>("sum_of").add<ramp>("ramp").add<scale>("scale");
  tasks.add<accumulate>("accumulate").add<first_bytes>("first_bytes").add<fails>("fails");
  tasks.add<overwrite>("overwrite").add<length>("length").add<&Solver::solve>("solve");
  tasks.add<twice>("twice");
  return tasks;
}

TEST(Tasks, RefusesDoubleEmptyAndReservedNames) {
  Tasks tasks;
  tasks.add<add>("add");
  EXPECT_THROW(tasks.add<half>("add"), BadInput);
  EXPECT_THROW(tasks.add<add>("plus"), BadInput);
  EXPECT_THROW(tasks.add<half>(""), BadInput);
  EXPECT_THROW(tasks.add<half>("ashlar.matmul"), BadInput);
  EXPECT_THROW(tasks.add<half>("ashlar.mine"), BadInput);
  EXPECT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks.name_of<add>(), "add");
  kernels::Registry registry;
  detail::register_tasks(tasks, registry);
  EXPECT_THROW(detail::register_tasks(tasks, registry), BadInput);
}

TEST(Tasks, SaysHowToNameAFunction) {
  FakeSession session{all_tasks()};
  try {
    session.submit<unnamed>(1);
    FAIL();
  } catch (const BadInput& error) {
    EXPECT_NE(std::string(error.what()).find("unnamed"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("tasks.add<"), std::string::npos) << error.what();
  }
}

TEST(Submit, RunsFunctionsOfEveryKind) {
  FakeSession session{all_tasks()};
  EXPECT_EQ(session.submit<add>(40, 2).get(), 42);
  EXPECT_EQ(session.submit<half>(3).get(), 1.5);
  EXPECT_EQ(session.submit<greet>("mason").get(), "hello mason");
  EXPECT_EQ(session.submit<total>(std::vector<double>{1, 2, 3}).get(), 6.0);
  EXPECT_EQ(session.submit<length>(std::string("four")).get(), 4u);
  EXPECT_EQ(session.submit<&Solver::solve>(7).get(), 49);
  EXPECT_EQ(session.submit<twice>(7).get(), 14);
  session.submit<nothing>().get();
  Future<void> done = session.submit<nothing>({.priority = 3});
  done.get();
  EXPECT_EQ(session.fake().requests.back().priority, 3);
}

TEST(Submit, TakesFuturesForArguments) {
  FakeSession session{all_tasks()};
  const auto three = session.submit<add>(1, 2);
  EXPECT_EQ(session.submit<add>(three, three).get(), 6);
  const auto grid = session.submit<ramp>(5);
  EXPECT_EQ(session.submit<sum_of>(grid).get(), 10.0);
  EXPECT_EQ(session.submit<first_bytes>(grid).get(), 40);
  std::vector<Future<double>> parts;
  for (int i = 0; i < 4; ++i) parts.push_back(session.submit<half>(i));
  EXPECT_EQ(session.submit<total>(parts).get(), 3.0);
  EXPECT_EQ(session.gather(parts), (std::vector<double>{0, 0.5, 1, 1.5}));
  EXPECT_THROW(session.submit<add>(Future<int>(), 1), BadInput);
  EXPECT_THROW(Future<int>().get(), BadInput);
}

TEST(Submit, KeepsTheLineOfTheCall) {
  FakeSession session{all_tasks()};
  session.submit<add>(1, 2);
  const auto line = __LINE__ - 1;
  session.submit<add>({.priority = 1}, 1, 2);
  session.submit<nothing>();
  const auto& requests = session.fake().requests;
  EXPECT_EQ(requests[0].where.line(), line);
  EXPECT_EQ(requests[1].where.line(), line + 2);
  EXPECT_EQ(requests[2].where.line(), line + 3);
  EXPECT_NE(std::string(requests[0].where.file_name()).find("tasks_test"), std::string::npos);
}

TEST(Submit, PutsLargeArgumentsAndInlinesSmallOnes) {
  FakeSession session{all_tasks()};
  EXPECT_EQ(session.submit<sum_of>(ramp(5)).get(), 10.0);
  EXPECT_EQ(session.fake().puts, 0);
  EXPECT_EQ(session.submit<total>(std::vector<double>(10000, 0.5)).get(), 5000.0);
  EXPECT_EQ(session.submit<sum_of>(HostArray::zeros<double>({100, 100})).get(), 0.0);
  EXPECT_EQ(session.fake().puts, 2);
  EXPECT_LT(session.fake().requests.back().params.size(), 100u);
  const auto shared = session.put(ramp(3));
  EXPECT_EQ(session.submit<sum_of>(shared).get(), 3.0);
}

TEST(Submit, LetsErrorsThrough) {
  FakeSession session{all_tasks()};
  EXPECT_THROW(session.submit<fails>(1).get(), std::out_of_range);
  EXPECT_THROW(session.submit<add>(session.submit<fails>(1), 1).get(), std::out_of_range);
}

TEST(Submit, ChecksArraysAgainstViews) {
  FakeSession session{all_tasks()};
  try {
    session.submit<sum_of>(HostArray::zeros<double>({4}));
    ADD_FAILURE() << "a matrix is expected";
  } catch (const BadInput& error) {
    EXPECT_NE(std::string(error.what()).find("argument 1 of a task: expected an array of 2"),
              std::string::npos)
        << error.what();
  }
  EXPECT_THROW(session.submit<sum_of>(HostArray::zeros<float>({4, 4})), BadInput);
  const auto wrong = session.put(HostArray::zeros<float>({2, 2}));
  EXPECT_THROW(session.submit<sum_of>(wrong).get(), BadInput);
  EXPECT_THROW(session.submit<scale>(wrong, 2.0).get(), BadInput);
}

TEST(Submit, AValueParameterIsTheFunctionsOwn) {
  FakeSession session{all_tasks()};
  const auto grid = session.put(ramp(3));
  session.submit<overwrite>(grid).get();
  EXPECT_EQ(session.submit<sum_of>(grid).get(), 3.0);
}

TEST(InOut, CopiesAnInputThatLivesOn) {
  FakeSession session{all_tasks()};
  const auto grid = session.submit<ramp>(4);
  const Future<HostArray> scaled = session.submit<scale>(grid, 10.0);
  EXPECT_EQ(session.submit<sum_of>(scaled).get(), 60.0);
  EXPECT_EQ(session.submit<sum_of>(grid).get(), 6.0);
  EXPECT_EQ(session.submit<sum_of>(session.submit<scale>(ramp(4), 2.0)).get(), 12.0);
}

TEST(InOut, TakesOverAnInputThatDies) {
  FakeSession session{all_tasks()};
  session.fake().takes_over = true;
  const auto grid = session.submit<ramp>(4);
  const void* elements = grid.get().storage().get();
  const auto scaled = session.submit<scale>(grid, 10.0);
  EXPECT_EQ(seen, elements);
  EXPECT_EQ(scaled.get().storage().get(), elements);
  EXPECT_EQ(session.submit<sum_of>(scaled).get(), 60.0);
}

TEST(InOut, NeverTakesOverWhatTheTaskAlsoReads) {
  FakeSession session{all_tasks()};
  session.fake().takes_over = true;
  const auto grid = session.submit<ramp>(4);
  EXPECT_EQ(session.submit<sum_of>(session.submit<accumulate>(grid, grid)).get(), 12.0);
  EXPECT_EQ(session.submit<sum_of>(grid).get(), 6.0);
}

TEST(Map, CallsForEachElementAsOneGraph) {
  FakeSession session{all_tasks()};
  const auto halves = session.map<half>(std::vector<double>{2, 4, 6});
  EXPECT_EQ(session.gather(halves), (std::vector<double>{1, 2, 3}));
  const auto sums = session.map<add>(std::vector<std::pair<int, int>>{{1, 2}, {3, 4}});
  EXPECT_EQ(session.gather(sums), (std::vector<int>{3, 7}));
  EXPECT_EQ(session.gather(session.map<twice>(std::views::iota(0, 3))),
            (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(session.gather(session.map<half>(halves)), (std::vector<double>{0.5, 1, 1.5}));
  EXPECT_TRUE(session.map<half>(std::vector<double>{}).empty());
  EXPECT_TRUE(session.fake().requests.empty());
}

TEST(Future, CallsBackAndCancels) {
  FakeSession session{all_tasks()};
  auto future = session.submit<add>(1, 2);
  int seen_value = 0;
  future.then([&](const Future<int>& ready) { seen_value = ready.get(); });
  EXPECT_EQ(seen_value, 3);
  EXPECT_TRUE(future.is_ready());
  future.wait();
  future.cancel();
  EXPECT_THROW(future.get(), Cancelled);
}

TEST(Thunk, RefusesHostileParameters) {
  kernels::Registry registry;
  detail::register_tasks(all_tasks(), registry);
  const auto call = [&](const char* name, std::vector<std::byte> params,
                        std::vector<std::span<const std::byte>> inputs) {
    const std::uint64_t announced = graph::TaskGraph::dynamic_bytes;
    test::FakeOutput output(announced, {});
    registry.at(static_cast<std::size_t>(registry.find(name)))
        .cpu({params, inputs, {&announced, 1}, output, graph::TaskGraph::no_input});
  };
  const auto words = [](std::vector<std::uint32_t> values) {
    std::vector<std::byte> bytes(values.size() * 4);
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  };
  constexpr std::uint32_t input = 1u << 30, inputs = 2u << 30, unknown = 3u << 30;
  EXPECT_NO_THROW(call("add", words({4, 1, 4, 2}), {}));
  EXPECT_THROW(call("add", {}, {}), BadInput);
  EXPECT_THROW(call("add", words({4, 1, 4}), {}), BadInput);
  EXPECT_THROW(call("add", words({4, 1, 4, 2, 9}), {}), BadInput);
  EXPECT_THROW(call("add", words({8, 1, 4, 2}), {}), BadInput);
  EXPECT_THROW(call("add", words({4, 1, input | 1}), {}), BadInput);
  EXPECT_THROW(call("add", words({4, 1, inputs | 1}), {}), BadInput);
  EXPECT_THROW(call("add", words({4, 1, unknown | 4, 2}), {}), BadInput);
  EXPECT_THROW(call("total", words({inputs | 0x3fffffff}), {}), BadInput);
  const auto array = encode(ramp(2));
  EXPECT_THROW(call("scale", words({input | 1, 4, 1}), {array}), BadInput);
  EXPECT_THROW(call("scale", words({input | 1, 8, 0, 0}), {std::span(array).first(70)}), BadInput);
  EXPECT_NO_THROW(call("scale", words({input | 1, 8, 0, 0}), {array}));
}

// What must not compile is refused by constraints, not deep inside.
template <auto fn, class... A>
concept Submittable = requires(FakeSession& session, A... a) {
  session.submit<fn>(a...);
};
template <auto fn, class... A>
concept Addable = requires(Graph& graph, A... a) {
  graph.add<fn>(a...);
};
template <auto fn>
concept Nameable = requires(Tasks& tasks) {
  tasks.add<fn>("x");
};

static_assert(Submittable<add, int, int>);
static_assert(Submittable<add, Future<int>, short>);
static_assert(Submittable<greet, const char*>);
static_assert(Submittable<sum_of, HostArray>);
static_assert(Submittable<sum_of, Future<HostArray>>);
static_assert(Submittable<total, std::vector<Future<double>>>);
static_assert(!Submittable<add, int>);
static_assert(!Submittable<add>);
static_assert(!Submittable<nothing, int>);
static_assert(!Submittable<add, int, int, int>);
static_assert(!Submittable<add, int, std::string>);
static_assert(!Submittable<add, std::string, int>);
static_assert(!Submittable<add, int, Future<double>>);
static_assert(!Submittable<sum_of, double>);
static_assert(!Submittable<sum_of, Future<double>>);
static_assert(!Submittable<total, std::vector<Future<int>>>);
static_assert(!Submittable<add, Node<int>, int>);
static_assert(Addable<add, Node<int>, Future<int>>);
static_assert(!Addable<add, Node<double>, int>);

static_assert(Nameable<add>);
static_assert(!Nameable<refused::takes_pointer>);
static_assert(!Nameable<refused::takes_reference>);
static_assert(!Nameable<refused::gives_view>);
static_assert(!Nameable<refused::two_outputs>);
static_assert(!Nameable<refused::in_out_and_result>);

}  // namespace
}  // namespace ashlar
