#include "wire/columns.hpp"

#include <algorithm>

#include "graph/task_graph.hpp"

namespace ashlar::wire {

std::size_t text_words(const std::vector<std::string>& texts) {
  std::size_t words = texts.size();
  for (const std::string& text : texts) words += text.size() / 8 + 1;
  return words;
}

void write_ids(const std::vector<DatumId>& ids, schema::DatumIds::Builder out,
               SessionColumn session) {
  if (ids.empty()) return;
  const unsigned count = list_size(ids.size());
  const RunId run = ids.front().run;
  bool one_session = true;
  bool one_run = true;
  for (const DatumId& id : ids) {
    one_session &= id.run.session == run.session;
    one_run &= id.run.number == run.number;
  }
  const auto column = [&](auto list, auto value_of) {
    auto* bytes = list_bytes(list);
    for (unsigned i = 0; i < list.size(); ++i) {
      const std::uint32_t value = value_of(ids[i]);
      std::memcpy(bytes + i * sizeof value, &value, sizeof value);
    }
  };
  if (session == SessionColumn::written)
    column(out.initSession(one_session ? 1 : count),
           [](const DatumId& id) { return id.run.session.value; });
  column(out.initRun(one_run ? 1 : count), [](const DatumId& id) { return id.run.number; });
  column(out.initIndex(count), [](const DatumId& id) { return id.index; });
}

void write_id(const DatumId& id, schema::DatumId::Builder out) {
  out.setSession(id.run.session.value);
  out.setRun(id.run.number);
  out.setIndex(id.index);
}

void write_run(const RunId& run, schema::RunId::Builder out) {
  out.setSession(run.session.value);
  out.setNumber(run.number);
}

std::vector<std::string> read_texts(capnp::List<capnp::Text>::Reader list) {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const auto text : list) texts.push_back(read_text(text));
  return texts;
}

std::vector<std::byte> read_blob(capnp::Data::Reader blob) {
  const auto* first = reinterpret_cast<const std::byte*>(blob.begin());
  return {first, first + blob.size()};
}

std::vector<DatumId> read_ids(schema::DatumIds::Reader in, SessionId implied) {
  const ColumnView<std::uint32_t, std::uint32_t> index_column(in.getIndex());
  const ColumnView<std::uint32_t, std::uint32_t> run_column(in.getRun());
  const ColumnView<std::uint32_t, std::uint32_t> session_column(in.getSession());
  const auto index = index_column.values();
  const auto run = run_column.values();
  auto session = session_column.values();
  if (index.empty()) {
    require(run.empty() && session.empty(), "ids without an index");
    return {};
  }
  if (!implied.is_none()) {
    require(std::ranges::all_of(session, [&](std::uint32_t s) { return s == implied.value; }),
            "ids of another session");
    session = {&implied.value, 1};
  }
  const auto fits = [&](std::span<const std::uint32_t> column) {
    return column.size() == 1 || column.size() == index.size();
  };
  require(fits(run) && fits(session), "columns of ids differ in length");

  std::vector<DatumId> ids(index.size(), DatumId{RunId{SessionId{session[0]}, run[0]}, 0});
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i].index = index[i];
  if (run.size() > 1)
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i].run.number = run[i];
  if (session.size() > 1)
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i].run.session.value = session[i];
  return ids;
}

DatumId read_id(schema::DatumId::Reader in) {
  return {RunId{SessionId{in.getSession()}, in.getRun()}, in.getIndex()};
}

RunId read_run(schema::RunId::Reader in) { return {SessionId{in.getSession()}, in.getNumber()}; }

ErrorKind read_error_kind(schema::ErrorKind kind) {
  require(kind <= schema::ErrorKind::CANCELLED, "unknown kind of error");
  return static_cast<ErrorKind>(kind);
}

std::vector<std::uint64_t> read_sizes(capnp::List<std::uint64_t>::Reader list) {
  auto sizes = read_u64(list);
  std::uint64_t bits = 0;
  for (const std::uint64_t bytes : sizes) bits |= bytes;
  require(bits < datum_bytes_bound, "a datum of 2^62 bytes or more");
  return sizes;
}

std::vector<std::uint64_t> read_planned_sizes(capnp::List<std::uint64_t>::Reader list) {
  static_assert(graph::TaskGraph::dynamic_bytes + 1 == 0);
  auto sizes = read_u64(list);
  std::uint64_t bits = 0;
  for (const std::uint64_t bytes : sizes) bits |= bytes + 1;
  require(bits < datum_bytes_bound, "a datum of 2^62 bytes or more");
  return sizes;
}

}  // namespace ashlar::wire
