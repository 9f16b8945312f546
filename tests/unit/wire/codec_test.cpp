#include "wire/codec.hpp"

#include <ashlar/error.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "unit/wire/random_messages.hpp"

namespace ashlar::wire {
namespace {

constexpr SessionId session = RandomMessages::session;

template <class Message>
struct Channel;
template <>
struct Channel<Handshake> {
  static auto decode(std::span<const std::byte> bytes) { return decode_handshake(bytes); }
};
template <>
struct Channel<protocol::DriverToScheduler> {
  static auto decode(std::span<const std::byte> bytes) {
    return decode_driver_to_scheduler(bytes, session);
  }
};
template <>
struct Channel<protocol::SchedulerToDriver> {
  static auto decode(std::span<const std::byte> bytes) { return decode_scheduler_to_driver(bytes); }
};
template <>
struct Channel<protocol::SchedulerToWorker> {
  static auto decode(std::span<const std::byte> bytes) { return decode_scheduler_to_worker(bytes); }
};
template <>
struct Channel<protocol::WorkerToScheduler> {
  static auto decode(std::span<const std::byte> bytes) { return decode_worker_to_scheduler(bytes); }
};
template <>
struct Channel<protocol::PeerMessage> {
  static auto decode(std::span<const std::byte> bytes) { return decode_peer(bytes); }
};

bool are_equal(const protocol::SubmitRun& a, const protocol::SubmitRun& b) {
  if (!a.graph != !b.graph || (a.graph && *a.graph != *b.graph)) return false;
  return a.run == b.run && a.externals == b.externals && a.deliver == b.deliver &&
         a.ends_on_failure == b.ends_on_failure && a.template_number == b.template_number;
}
template <class T>
bool are_equal(const T& a, const T& b) {
  return a == b;
}
template <class Variant>
bool are_same_message(const Variant& a, const Variant& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& left) { return are_equal(left, std::get<std::decay_t<decltype(left)>>(b)); },
      a);
}

template <class Message>
class Codec : public testing::Test {};
using Messages =
    testing::Types<Handshake, protocol::DriverToScheduler, protocol::SchedulerToDriver,
                   protocol::SchedulerToWorker, protocol::WorkerToScheduler, protocol::PeerMessage>;
TYPED_TEST_SUITE(Codec, Messages);

TYPED_TEST(Codec, EveryKindOfMessageComesBackTheSame) {
  for (std::size_t kind = 0; kind < std::variant_size_v<TypeParam>; ++kind) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      RandomMessages random(seed);
      const auto message = random.of_kind<TypeParam>(kind);
      const auto decoded = Channel<TypeParam>::decode(encode(message));
      ASSERT_TRUE(decoded.message) << decoded.error << ", kind " << kind << ", seed " << seed;
      ASSERT_TRUE(are_same_message(*decoded.message, message))
          << "kind " << kind << ", seed " << seed;
    }
  }
}

TYPED_TEST(Codec, MessagesAreReadAtAnyAlignment) {
  RandomMessages random(3);
  const auto message = random.any<TypeParam>();
  const auto bytes = encode(message);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::vector<std::byte> shifted(shift);
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    const auto decoded =
        Channel<TypeParam>::decode(std::span<const std::byte>(shifted).subspan(shift));
    ASSERT_TRUE(decoded.message) << decoded.error;
    EXPECT_TRUE(are_same_message(*decoded.message, message));
  }
}

TYPED_TEST(Codec, TruncatedMessagesAreRefused) {
  for (std::size_t kind = 0; kind < std::variant_size_v<TypeParam>; ++kind) {
    RandomMessages random(kind, 4);
    const auto bytes = encode(random.of_kind<TypeParam>(kind));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      // A copy of exactly this size, so that a sanitizer sees any read beyond it.
      const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<long>(size));
      const auto decoded = Channel<TypeParam>::decode(cut);
      ASSERT_FALSE(decoded.message) << "kind " << kind << ", size " << size;
      ASSERT_FALSE(decoded.error.empty());
    }
  }
}

TYPED_TEST(Codec, FlippedBitsNeverDoMoreThanChangeOrRefuseTheMessage) {
  for (std::size_t kind = 0; kind < std::variant_size_v<TypeParam>; ++kind) {
    RandomMessages random(kind, 4);
    auto bytes = encode(random.of_kind<TypeParam>(kind));
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = static_cast<std::byte>(1u << (bit % 8));
      bytes[bit / 8] ^= mask;
      const auto decoded = Channel<TypeParam>::decode(bytes);
      ASSERT_NE(decoded.message.has_value(), !decoded.error.empty());
      // What was taken for sound can be said again.
      if (decoded.message) {
        ASSERT_FALSE(encode(*decoded.message).empty());
      }
      bytes[bit / 8] ^= mask;
    }
  }
}

TYPED_TEST(Codec, NoiseIsRefusedOrHarmless) {
  SplitMix64 random(11);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> noise(random.below(200));
    for (std::byte& b : noise) b = static_cast<std::byte>(random.next() >> (random.below(2) * 61));
    const auto decoded = Channel<TypeParam>::decode(noise);
    ASSERT_NE(decoded.message.has_value(), !decoded.error.empty());
  }
}

// ---- what senders can get wrong beyond the format ---------------------------------------------

template <class Message>
std::string error_of(const Message& message) {
  return Channel<Message>::decode(encode(message)).error;
}

protocol::AssignTasks two_tasks() {
  RandomMessages random(5, 0);
  protocol::AssignTasks assign;
  assign.run = {session, 1};
  assign.task = {4, 5};
  assign.attempt = assign.kernel = assign.rank = {1, 1};
  assign.expected_ns = {1, 10'000'000'000};
  assign.reuse_input = {0, graph::TaskGraph::no_input};
  assign.input_count = {2, 1};
  assign.output_count = {1, 1};
  assign.param_bytes = {3, 0};
  assign.deliver = {0, 1};
  assign.inputs = random.ids(3);
  assign.input_bytes = {8, 8, 8};
  assign.input_holder.assign(3, PeerId{1});
  assign.outputs = {4, 5};
  assign.output_bytes = {8, graph::TaskGraph::dynamic_bytes};
  assign.params.resize(3);
  return assign;
}

TEST(AssignTasksCodec, RefusesEveryMismatchOfColumns) {
  using Assign = protocol::AssignTasks;
  ASSERT_EQ(error_of<protocol::SchedulerToWorker>(two_tasks()), "");
  const std::vector<std::function<void(Assign&)>> mistakes = {
      [](Assign& a) { a.task.push_back(1); },
      [](Assign& a) { a.attempt.pop_back(); },
      [](Assign& a) { a.kernel.clear(); },
      [](Assign& a) { a.rank.push_back(1); },
      [](Assign& a) { a.expected_ns.pop_back(); },
      [](Assign& a) { a.reuse_input.pop_back(); },
      [](Assign& a) { a.reuse_input[1] = 1; },
      [](Assign& a) { a.input_count.pop_back(); },
      [](Assign& a) { a.input_count[0] = 3; },
      [](Assign& a) {
        a.input_count = {0xffffffffu, 4};
      },
      [](Assign& a) { a.output_count[1] = 0; },
      [](Assign& a) { a.param_bytes[1] = 1; },
      [](Assign& a) { a.deliver[0] = 2; },
      [](Assign& a) { a.deliver.pop_back(); },
      [](Assign& a) { a.inputs.pop_back(); },
      [](Assign& a) { a.input_bytes.pop_back(); },
      [](Assign& a) { a.input_bytes[0] = std::uint64_t{1} << 63; },
      [](Assign& a) { a.input_holder.push_back(PeerId{}); },
      [](Assign& a) { a.outputs.pop_back(); },
      [](Assign& a) { a.output_bytes.push_back(1); },
      [](Assign& a) { a.params.pop_back(); },
      [](Assign& a) { a.priority.push_back(1); },
  };
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    Assign assign = two_tasks();
    mistakes[i](assign);
    EXPECT_NE(error_of<protocol::SchedulerToWorker>(assign), "") << "mistake " << i;
  }
}

TEST(ColumnsCodec, RefuseDifferentLengths) {
  using namespace protocol;
  EXPECT_NE(error_of<SchedulerToWorker>(RevokeTasks{.run = {}, .task = {1, 2}, .attempt = {1}}),
            "");
  EXPECT_NE(error_of<SchedulerToWorker>(Relocate{.data = {DatumId{}}, .holder = {}}), "");
  const Prefetch prefetch{
      .run = {}, .datum = {1}, .bytes = {1}, .holder = {PeerId{1}}, .rank = {1}};
  EXPECT_EQ(error_of<SchedulerToWorker>(prefetch), "");
  for (const auto& shorten : std::initializer_list<void (*)(Prefetch&)>{
           [](Prefetch& p) { p.datum.clear(); }, [](Prefetch& p) { p.bytes.clear(); },
           [](Prefetch& p) { p.holder.clear(); }, [](Prefetch& p) { p.rank.clear(); }}) {
    Prefetch shorter = prefetch;
    shorten(shorter);
    EXPECT_NE(error_of<SchedulerToWorker>(shorter), "");
  }
  EXPECT_NE(error_of<WorkerToScheduler>(TasksDone{
                .run = {}, .task = {1}, .attempt = {}, .elapsed_ns = {1}, .output_bytes = {}}),
            "");
  EXPECT_NE(error_of<WorkerToScheduler>(DataMissing{.data = {}, .peer = {PeerId{1}}}), "");
  EXPECT_NE(
      error_of<WorkerToScheduler>(DataMissing{.data = {}, .peer = {}, .unreachable = {PeerId{1}}}),
      "");
  EXPECT_NE(error_of<WorkerToScheduler>(MemoryShort{0, 0, {}, {1}, {}}), "");
  EXPECT_NE(error_of<SchedulerToDriver>(
                DataReady{.run = 1, .index = {1, 2}, .bytes = {1, 2}, .holder = {PeerId{1}}}),
            "");
}

TEST(EnumsCodec, RefuseUnknownValues) {
  protocol::Hello hello;
  hello.role = static_cast<protocol::Role>(9);
  EXPECT_NE(error_of<Handshake>(hello), "");
  protocol::RunEnded ended;
  ended.outcome = static_cast<protocol::RunOutcome>(3);
  EXPECT_NE(error_of<protocol::SchedulerToDriver>(ended), "");
  ended = {};
  ended.error_kind = static_cast<ErrorKind>(6);
  EXPECT_NE(error_of<protocol::SchedulerToDriver>(ended), "");
  protocol::Explain explain;
  explain.subject = static_cast<protocol::Subject>(3);
  EXPECT_NE(error_of<protocol::DriverToScheduler>(explain), "");
  protocol::TaskFailed failed;
  failed.kind = static_cast<ErrorKind>(77);
  EXPECT_NE(error_of<protocol::WorkerToScheduler>(failed), "");
}

TEST(SizesCodec, RefuseDataLargerThanAnyMachine) {
  using namespace protocol;
  const std::uint64_t huge = (std::uint64_t{1} << 62) + 1;
  EXPECT_NE(error_of<DriverToScheduler>(PutData{.run = 1, .bytes = {8, huge}}), "");
  EXPECT_NE(error_of<PeerMessage>(FetchBytes{.request = 1, .bytes = huge}), "");
  EXPECT_NE(error_of<PeerMessage>(FetchInPlace{0, {1}, {huge}, {1}}), "");
  EXPECT_NE(error_of<PeerMessage>(FetchInPlace{0, {1}, {0}, {huge}}), "");
}

TEST(PeerCodec, RefusesColumnsOfDifferentLengths) {
  using namespace protocol;
  EXPECT_NE(error_of<PeerMessage>(Fetch{{1, 2}, {DatumId{{SessionId{1}, 2}, 3}}}), "");
  const DatumId id{{SessionId{1}, 2}, 3};
  EXPECT_NE(error_of<PeerMessage>(Fetch{{1, 2}, {id, id}, {Urgency{}}}), "");
  EXPECT_EQ(error_of<PeerMessage>(Fetch{{1, 2}, {id, id}, {Urgency{}, Urgency{-1, 2, 3}}}), "");
  EXPECT_NE(error_of<PeerMessage>(FetchInPlace{0, {1, 2}, {0}, {8, 8}}), "");
  EXPECT_NE(error_of<PeerMessage>(FetchInPlace{0, {1, 2}, {0, 8}, {8}}), "");
}

TEST(HeartbeatCodec, RefusesLoadThatNoHostHas) {
  const auto is_refused = [](const protocol::Heartbeat& beat) {
    const auto worker = decode_worker_to_scheduler(encode(protocol::WorkerToScheduler(beat)));
    const auto driver =
        decode_driver_to_scheduler(encode(protocol::DriverToScheduler(beat)), session);
    EXPECT_EQ(worker.message.has_value(), driver.message.has_value());
    return !worker.message;
  };
  EXPECT_FALSE(is_refused({}));
  EXPECT_FALSE(is_refused({.cores = 2, .cores_busy_percent = 200}));
  EXPECT_TRUE(is_refused({.cores = 2, .cores_busy_percent = 201}));
  EXPECT_TRUE(is_refused({.host_cores = 1, .host_busy_percent = 101}));
  EXPECT_TRUE(is_refused({.cores = 65537}));
  EXPECT_TRUE(is_refused({.host_cores = ~0u}));
  EXPECT_TRUE(is_refused({.cpu_percent = 6'553'601}));
  EXPECT_TRUE(is_refused({.slots_percent = 6'553'601}));
  EXPECT_TRUE(is_refused({.cpu_stall_percent = 101}));
  constexpr std::uint64_t too_much = std::uint64_t{1} << 62;
  EXPECT_FALSE(is_refused({.memory_used = too_much - 1}));
  EXPECT_TRUE(is_refused({.memory_used = too_much}));
  EXPECT_TRUE(is_refused({.process_bytes = too_much}));
  EXPECT_TRUE(is_refused({.host_memory_used = too_much}));
  EXPECT_TRUE(is_refused({.host_memory_limit = too_much}));
  EXPECT_TRUE(is_refused({.cgroup_memory_used = too_much}));
  EXPECT_TRUE(is_refused({.cgroup_memory_limit = too_much}));
}

TEST(DriverIds, TakeTheSessionOfTheLink) {
  const protocol::ReleaseData release{.data = {{{SessionId{1}, 2}, 3}, {{SessionId{9}, 4}, 5}}};
  const auto decoded = decode_driver_to_scheduler(encode(release), SessionId{42});
  ASSERT_TRUE(decoded.message) << decoded.error;
  const auto& data = std::get<protocol::ReleaseData>(*decoded.message).data;
  EXPECT_EQ(data[0], (DatumId{{SessionId{42}, 2}, 3}));
  EXPECT_EQ(data[1], (DatumId{{SessionId{42}, 4}, 5}));
}

TEST(SubmitRunCodec, RefusesUnsoundGraphsByName) {
  protocol::SubmitRun submit;
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"add"};
  graph->kernel = {0};
  graph->inputs = {0};
  graph->input_offsets = {0, 1};
  graph->output_offsets = {0, 1};
  graph->param_offsets = {0, 0};
  graph->output_bytes = {8};
  submit.graph = graph;
  const std::string cycle = error_of<protocol::DriverToScheduler>(submit);
  EXPECT_NE(cycle.find("task 0"), std::string::npos) << cycle;

  graph->inputs = {1};
  graph->external_bytes = {8};
  submit.externals.clear();
  const std::string unbound = error_of<protocol::DriverToScheduler>(submit);
  EXPECT_NE(unbound.find("external"), std::string::npos) << unbound;
  submit.externals = {DatumId{{session, 1}, 0}};
  EXPECT_EQ(error_of<protocol::DriverToScheduler>(submit), "");
}

TEST(RunTemplateCodec, RefusesWhatNoTemplateCanMean) {
  protocol::RunTemplate run{.run = {session, 3},
                            .template_number = 7,
                            .inputs = {DatumId{{session, 1}, 0}},
                            .input_bytes = {8},
                            .input_holder = {PeerId{2}}};
  EXPECT_EQ(error_of<protocol::SchedulerToWorker>(run), "");
  run.input_holder.push_back(PeerId{2});
  EXPECT_NE(error_of<protocol::SchedulerToWorker>(run).find("differ in length"), std::string::npos);
  run.input_holder.pop_back();
  run.template_number = protocol::no_template;
  EXPECT_NE(error_of<protocol::SchedulerToWorker>(run).find("no template"), std::string::npos);
}

TEST(SubmitRunCodec, NeedsAGraphOrTheNumberOfATemplate) {
  protocol::SubmitRun submit;
  submit.externals = {DatumId{{session, 1}, 0}};
  EXPECT_NE(error_of<protocol::DriverToScheduler>(submit), "") << "an external datum of no graph";
  submit.template_number = 7;
  EXPECT_EQ(error_of<protocol::DriverToScheduler>(submit), "");
}

/// A message whose root struct has this union tag in its first data word and nothing else.
std::vector<std::byte> message_with_tag(std::uint16_t tag) {
  std::vector<std::byte> bytes(24);
  const std::uint32_t table[2] = {0, 2};
  const std::uint32_t root[2] = {0, 1};  // a struct right here: one data word, no pointers
  std::memcpy(bytes.data(), table, 8);
  std::memcpy(bytes.data() + 8, root, 8);
  std::memcpy(bytes.data() + 16, &tag, 2);
  return bytes;
}

TEST(UnknownMessages, AreRefusedWithTheirNumber) {
  const auto bytes = message_with_tag(999);
  for (const std::string& error :
       {decode_handshake(bytes).error, decode_driver_to_scheduler(bytes, session).error,
        decode_scheduler_to_driver(bytes).error, decode_scheduler_to_worker(bytes).error,
        decode_worker_to_scheduler(bytes).error, decode_peer(bytes).error})
    EXPECT_NE(error.find("unknown message 999"), std::string::npos) << error;
}

TEST(MissingFields, TakeTheirDefaults) {
  // An older writer knows none of the pointers of a message.
  const auto decoded = decode_worker_to_scheduler(message_with_tag(0));
  ASSERT_TRUE(decoded.message) << decoded.error;
  EXPECT_EQ(std::get<protocol::TasksDone>(*decoded.message), protocol::TasksDone{});
}

TEST(LargeMessages, DoNotNeedTheRightGuessOfTheirSize) {
  protocol::Shutdown shutdown{.reason = std::string(1 << 20, 'x')};
  const auto decoded = decode_scheduler_to_worker(encode(shutdown));
  ASSERT_TRUE(decoded.message) << decoded.error;
  EXPECT_EQ(std::get<protocol::Shutdown>(*decoded.message), shutdown);
  // Many segments: each text misses what is left of the last one.
  protocol::RunEnded ended;
  for (int i = 0; i < 200; ++i)
    ended.stats.workers.push_back({.worker = PeerId{1}, .name = std::string(5000, 'n')});
  const auto many = decode_scheduler_to_driver(encode(ended));
  ASSERT_TRUE(many.message) << many.error;
  EXPECT_EQ(std::get<protocol::RunEnded>(*many.message), ended);
}

}  // namespace
}  // namespace ashlar::wire
