#include "unit/wire/random_messages.hpp"

namespace ashlar::wire {

namespace {

template <class T, class Make>
std::vector<T> list(std::size_t count, Make make) {
  std::vector<T> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(make());
  return values;
}

}  // namespace

std::string RandomMessages::text() {
  std::string text;
  const std::size_t size = random_.below(30);
  for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>(random_.below(256)));
  return text;
}

std::vector<std::uint32_t> RandomMessages::numbers(std::size_t n) {
  return list<std::uint32_t>(n, [&] { return u32(); });
}
std::vector<std::uint64_t> RandomMessages::sizes(std::size_t n) {
  return list<std::uint64_t>(n, [&] { return size(); });
}
std::vector<PeerId> RandomMessages::peers(std::size_t n) {
  return list<PeerId>(n, [&] { return peer(); });
}

std::vector<DatumId> RandomMessages::ids(std::size_t n) {
  const bool one_run = coin();
  const bool one_session = one_run || coin();
  const RunId first = run();
  return list<DatumId>(n, [&] {
    RunId id = one_run ? first : run();
    if (one_session) id.session = first.session;
    return DatumId{id, u32()};
  });
}

std::vector<DatumId> RandomMessages::own_ids(std::size_t n) {
  auto owned = ids(n);
  for (DatumId& id : owned) id.run.session = session;
  return owned;
}

std::shared_ptr<const graph::TaskGraph> RandomMessages::graph() {
  auto g = std::make_shared<graph::TaskGraph>();
  const std::size_t tasks = count();
  g->kernels = list<std::string>(1 + random_.below(4), [&] { return text(); });
  if (coin())
    g->constraints = list<graph::Constraint>(1 + random_.below(3), [&] {
      graph::Constraint constraint;
      if (coin()) constraint.resources.emplace_back(text(), random_.uniform() * 8);
      return constraint;
    });
  g->sources = list<std::string>(random_.below(3), [&] { return text(); });
  g->external_bytes = sizes(random_.below(4));
  for (std::size_t t = 0; t < tasks; ++t) {
    const auto made = static_cast<std::uint32_t>(g->output_bytes.size());
    g->kernel.push_back(static_cast<std::uint32_t>(random_.below(g->kernels.size())));
    for (std::uint64_t i = random_.below(4); i > 0 && made > 0; --i)
      g->inputs.push_back(static_cast<std::uint32_t>(random_.below(made)));
    g->input_offsets.push_back(static_cast<std::uint32_t>(g->inputs.size()));
    for (std::uint64_t i = 1 + random_.below(2); i > 0; --i)
      g->output_bytes.push_back(coin() ? size() : graph::TaskGraph::dynamic_bytes);
    g->output_offsets.push_back(static_cast<std::uint32_t>(g->output_bytes.size()));
    for (std::uint64_t i = random_.below(20); i > 0; --i)
      g->params.push_back(static_cast<std::byte>(random_.below(256)));
    g->param_offsets.push_back(static_cast<std::uint32_t>(g->params.size()));
  }
  const auto below = [&](std::size_t bound) {
    return static_cast<std::uint32_t>(random_.below(bound));
  };
  if (coin()) g->flops = list<float>(tasks, [&] { return static_cast<float>(random_.uniform()); });
  if (coin())
    g->moved_bytes = list<float>(tasks, [&] { return static_cast<float>(random_.uniform()); });
  if (coin())
    g->priority = list<std::int32_t>(tasks, [&] { return static_cast<std::int32_t>(u32()); });
  if (!g->constraints.empty())
    g->constraint = list<std::uint16_t>(
        tasks, [&] { return static_cast<std::uint16_t>(below(g->constraints.size())); });
  if (!g->sources.empty())
    g->source = list<std::uint32_t>(tasks, [&] { return below(g->sources.size()); });
  if (coin())
    for (std::uint32_t t = 0; t < tasks; ++t) {
      const auto inputs = g->inputs_of(t).size();
      g->reuse_input.push_back(inputs > 0 && coin() ? below(inputs) : graph::TaskGraph::no_input);
    }
  if (coin() && tasks > 2) {
    const auto extent = [&] { return 4 + size() / 2; };
    g->products = list<graph::Product>(1 + below(3), [&] {
      return graph::Product{
          1 + below(4), 1 + below(4), 1 + below(4), extent(), extent(), extent(), 8};
    });
    g->cell = list<std::uint32_t>(
        tasks, [&] { return coin() ? below(g->products[0].cells()) : graph::TaskGraph::no_cell; });
  }
  for (std::uint32_t d = 0; d < g->output_count(); ++d)
    if (coin()) g->wanted.push_back(d);
  return g;
}

void RandomMessages::fill(protocol::Heartbeat& out) {
  const auto below = [&](std::uint64_t bound) {
    return static_cast<std::uint32_t>(random_.below(bound));
  };
  out.memory_used = size();
  out.cpu_percent = below(6'553'601);
  out.slots_percent = below(6'553'601);
  out.cores = below(65537);
  out.cores_busy_percent = below(100ull * out.cores + 1);
  out.host_cores = below(65537);
  out.host_busy_percent = below(100ull * out.host_cores + 1);
  out.run_queue = u32();
  out.cpu_stall_percent = below(101);
  out.process_bytes = size();
  out.host_memory_used = size();
  out.host_memory_limit = size();
  out.cgroup_memory_used = size();
  out.cgroup_memory_limit = size();
  out.sample = u64();
}

void RandomMessages::fill(protocol::FetchPiece& out) {
  out.request = u64();
  out.piece_bytes = 1 + random_.below(protocol::FetchPiece::bytes_max);
  out.offset = size() / 4;
  out.bytes = out.offset + out.piece_bytes + size() / 4;
  out.is_packed = coin();
}

void RandomMessages::fill(protocol::Hello& out) {
  out.protocol_version = u32();
  out.software_version = text();
  out.role = static_cast<protocol::Role>(random_.below(3));
  out.token = text();
  out.name = text();
  out.endpoint = {text(), text(), text(), text()};
  out.peer = peer();
  out.encrypts = coin();
  out.authorities = list<std::string>(random_.below(4), [&] { return text(); });
  out.slots = u32();
  out.memory_limit = u64();
  out.kernels = list<std::string>(count(), [&] { return text(); });
  out.resources = list<std::pair<std::string, double>>(
      random_.below(4), [&] { return std::pair(text(), random_.uniform() * 100); });
  out.keeps_templates = coin();
  out.returns_loans = coin();
  out.reads_checksums = coin();
  out.takes_pieces = coin();
  out.opens_lanes = coin();
  out.lane_of = u32();
  for (std::uint32_t k = 0; k < out.kernels.size(); ++k)
    if (coin()) out.repeatable.push_back(k);
}

void RandomMessages::fill(protocol::SubmitRun& out) {
  out.run = u32();
  out.graph = graph();
  out.externals = own_ids(out.graph->external_count());
  out.deliver = coin();
  out.ends_on_failure = coin();
  if (coin()) out.template_number = static_cast<std::uint32_t>(random_.below(1000));
  if (out.template_number != protocol::no_template && coin()) out.graph = nullptr;
}

void RandomMessages::fill(protocol::DropTemplates& out) { out = {session, numbers(count())}; }

void RandomMessages::fill(protocol::RunTemplate& out) {
  const std::size_t n = count();
  out = {run(), static_cast<std::uint32_t>(random_.below(1000)), ids(n), sizes(n), peers(n)};
}

void RandomMessages::fill(protocol::Explain& out) {
  out = {u64(), static_cast<protocol::Subject>(random_.below(3)), run().session, u32(), u32()};
}

void RandomMessages::fill(protocol::DataReady& out) {
  const std::size_t n = count();
  out = {u32(), numbers(n), sizes(n), peers(n)};
}

void RandomMessages::fill(protocol::RunEnded& out) {
  out.run = u32();
  out.outcome = static_cast<protocol::RunOutcome>(random_.below(3));
  out.error_kind = error_kind();
  out.error = text();
  const auto ns = [&] { return static_cast<std::int64_t>(u64()); };
  out.stats = {u64(), ns(), ns(), ns(), u64(), u64(), {}, u64(), text(), u64(), u64(), {}};
  if (coin()) out.stats.rebalance = {u64(), u64(), u64(), u64(), u64(), ns()};
  out.stats.workers = list<protocol::WorkerShare>(random_.below(5), [&] {
    return protocol::WorkerShare{peer(), text(), u32(), u64(), ns(), ns()};
  });
  out.stats.template_tasks = u64();
  out.stats.spilled_bytes = u64();
  out.stats.loaded_bytes = u64();
}

void RandomMessages::fill(protocol::AssignTasks& out) {
  const std::size_t n = count();
  out.run = run();
  out.task = numbers(n);
  out.attempt = numbers(n);
  out.kernel = numbers(n);
  out.rank = numbers(n);
  out.expected_ns = sizes(n);
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto input_count = static_cast<std::uint32_t>(random_.below(5));
    const auto output_count = static_cast<std::uint32_t>(random_.below(3));
    const auto param_bytes = static_cast<std::uint32_t>(random_.below(9));
    out.input_count.push_back(input_count);
    out.output_count.push_back(output_count);
    out.param_bytes.push_back(param_bytes);
    out.reuse_input.push_back(input_count > 0 && coin() ? input_count - 1
                                                        : graph::TaskGraph::no_input);
    out.deliver.push_back(coin() ? 1 : 0);
    inputs += input_count;
    outputs += output_count;
    for (std::uint32_t b = 0; b < param_bytes; ++b)
      out.params.push_back(static_cast<std::byte>(random_.below(256)));
  }
  out.driver = peer();
  out.inputs = ids(inputs);
  out.input_bytes = sizes(inputs);
  out.input_holder = peers(inputs);
  out.outputs = numbers(outputs);
  out.output_bytes = sizes(outputs);
  if (outputs > 0) out.output_bytes[0] = graph::TaskGraph::dynamic_bytes;
  if (coin()) out.template_number = u32();
  if (coin())
    out.priority = list<std::int32_t>(n, [&] { return static_cast<std::int32_t>(u32()); });
}

void RandomMessages::fill(protocol::RevokeTasks& out) {
  const std::size_t n = count();
  out = {run(), numbers(n), numbers(n)};
}

void RandomMessages::fill(protocol::Relocate& out) {
  const std::size_t n = count();
  out = {ids(n), peers(n)};
}

void RandomMessages::fill(protocol::Prefetch& out) {
  const std::size_t n = count();
  out = {run(), numbers(n), sizes(n), peers(n), numbers(n)};
}

void RandomMessages::fill(protocol::TasksDone& out) {
  const std::size_t n = count();
  out = {run(), numbers(n), numbers(n), sizes(n), {}};
  if (coin()) out.output_bytes = sizes(n);
}

void RandomMessages::fill(protocol::TaskFailed& out) {
  out = {run(), u32(), u32(), static_cast<ErrorKind>(random_.below(6)), text()};
}

void RandomMessages::fill(protocol::DataMissing& out) {
  const std::size_t n = count(), broken = count();
  out = {ids(n), peers(n), peers(broken), {}, peers(count())};
  for (std::size_t i = 0; i < broken; ++i) out.reasons.push_back(text());
}

void RandomMessages::fill(protocol::MemoryShort& out) {
  const std::size_t n = count();
  out = {u64(), u64(), ids(n), sizes(n), text()};
}

void RandomMessages::fill(protocol::Fetch& out) {
  const std::size_t n = count();
  out = {list<std::uint64_t>(n, [&] { return u64(); }), ids(n)};
  if (!coin()) return;
  out.urgency = list<protocol::Urgency>(n, [&] {
    return protocol::Urgency{static_cast<std::int32_t>(u32()), u32(), u32()};
  });
}

void RandomMessages::fill(protocol::TasksRunning& out) {
  const std::size_t n = count();
  out = {ids(n), numbers(n), list<std::uint64_t>(n, [&] { return u64(); })};
}

void RandomMessages::fill(protocol::FetchInPlace& out) {
  const std::size_t n = count();
  out = {u32(), list<std::uint64_t>(n, [&] { return u64(); }), sizes(n), sizes(n)};
}

void RandomMessages::fill(protocol::LeaseReturned& out) {
  out.requests = list<std::uint64_t>(count(), [&] { return u64(); });
}

}  // namespace ashlar::wire
