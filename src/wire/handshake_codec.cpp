#include "wire/channel.hpp"

namespace ashlar::wire {

namespace {

void write_hello(const protocol::Hello& hello, schema::Hello::Builder out) {
  out.setProtocolVersion(hello.protocol_version);
  out.setSoftwareVersion(as_text(hello.software_version));
  out.setRole(static_cast<schema::Role>(hello.role));
  out.setToken(as_text(hello.token));
  out.setName(as_text(hello.name));
  write_endpoint(hello.endpoint, out.initEndpoint());
  out.setPeer(hello.peer.value);
  out.setSlots(hello.slots);
  out.setMemoryLimit(hello.memory_limit);
  if (!hello.kernels.empty())
    write_texts(hello.kernels, out.initKernels(list_size(hello.kernels.size())));
  if (!hello.resources.empty())
    write_resources(hello.resources, out.initResources(list_size(hello.resources.size())));
  out.setEncrypts(hello.encrypts);
  out.setKeepsTemplates(hello.keeps_templates);
  out.setReturnsLoans(hello.returns_loans);
  out.setReadsChecksums(hello.reads_checksums);
  out.setTakesPieces(hello.takes_pieces);
  out.setOpensLanes(hello.opens_lanes);
  out.setLaneOf(hello.lane_of);
  if (!hello.authorities.empty())
    write_texts(hello.authorities, out.initAuthorities(list_size(hello.authorities.size())));
  write_column(hello.repeatable, [&](unsigned n) { return out.initRepeatable(n); });
}

protocol::Hello read_hello(schema::Hello::Reader in) {
  require(in.getRole() <= schema::Role::PEER, "unknown role");
  protocol::Hello hello;
  hello.protocol_version = in.getProtocolVersion();
  hello.software_version = read_text(in.getSoftwareVersion());
  hello.role = static_cast<protocol::Role>(in.getRole());
  hello.token = read_text(in.getToken());
  hello.name = read_text(in.getName());
  hello.endpoint = read_endpoint(in.getEndpoint());
  hello.peer = PeerId{in.getPeer()};
  hello.slots = in.getSlots();
  hello.memory_limit = in.getMemoryLimit();
  hello.kernels = read_texts(in.getKernels());
  hello.resources = read_resources(in.getResources());
  hello.encrypts = in.getEncrypts();
  hello.keeps_templates = in.getKeepsTemplates();
  hello.returns_loans = in.getReturnsLoans();
  hello.reads_checksums = in.getReadsChecksums();
  hello.takes_pieces = in.getTakesPieces();
  hello.opens_lanes = in.getOpensLanes();
  hello.lane_of = in.getLaneOf();
  hello.authorities = read_texts(in.getAuthorities());
  hello.repeatable = read_u32(in.getRepeatable());
  for (const std::uint32_t position : hello.repeatable)
    require(position < hello.kernels.size(), "a repeatable kernel that is not listed");
  return hello;
}

struct Writer {
  schema::Handshake::Builder out;

  void operator()(const protocol::Hello& hello) { write_hello(hello, out.initHello()); }
  void operator()(const protocol::Welcome& welcome) {
    auto to = out.initWelcome();
    to.setProtocolVersion(welcome.protocol_version);
    to.setPeer(welcome.peer.value);
    to.setSession(welcome.session.value);
    write_cluster_size(welcome.cluster, to.initCluster());
    to.setKeepsTemplates(welcome.keeps_templates);
    to.setExplains(welcome.explains);
    to.setHeedsStreams(welcome.heeds_streams);
    to.setReturnsLoans(welcome.returns_loans);
    to.setReadsChecksums(welcome.reads_checksums);
    to.setTakesPieces(welcome.takes_pieces);
    to.setHeedsRunning(welcome.heeds_running);
  }
  void operator()(const protocol::Refusal& refusal) {
    out.initRefusal().setReason(as_text(refusal.reason));
  }
};

Handshake read(schema::Handshake::Reader in) {
  switch (in.which()) {
    case schema::Handshake::HELLO:
      return read_hello(in.getHello());
    case schema::Handshake::WELCOME: {
      const auto from = in.getWelcome();
      return protocol::Welcome{.protocol_version = from.getProtocolVersion(),
                               .peer = PeerId{from.getPeer()},
                               .session = SessionId{from.getSession()},
                               .cluster = read_cluster_size(from.getCluster()),
                               .keeps_templates = from.getKeepsTemplates(),
                               .explains = from.getExplains(),
                               .heeds_streams = from.getHeedsStreams(),
                               .returns_loans = from.getReturnsLoans(),
                               .reads_checksums = from.getReadsChecksums(),
                               .takes_pieces = from.getTakesPieces(),
                               .heeds_running = from.getHeedsRunning()};
    }
    case schema::Handshake::REFUSAL:
      return protocol::Refusal{.reason = read_text(in.getRefusal().getReason())};
  }
  refuse_unknown("begin with", in.which());
}

}  // namespace

std::vector<std::byte> encode(const Handshake& message) {
  std::size_t words = 96;
  if (const auto* hello = std::get_if<protocol::Hello>(&message))
    words += text_words(hello->kernels) + resource_words(hello->resources) +
             text_words(hello->authorities) + list_words(hello->repeatable);
  return encode_as<schema::Handshake>(
      words, [&](schema::Handshake::Builder out) { std::visit(Writer{out}, message); });
}

Decoded<Handshake> decode_handshake(std::span<const std::byte> bytes) {
  return decode_as<Handshake, schema::Handshake>(bytes, read);
}

}  // namespace ashlar::wire
