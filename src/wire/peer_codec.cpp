#include "wire/channel.hpp"

namespace ashlar::wire {

namespace {

struct Writer {
  schema::PeerMessage::Builder out;

  void operator()(const protocol::Fetch& fetch) {
    auto to = out.initFetch();
    write_column(fetch.requests, [&](unsigned n) { return to.initRequests(n); });
    write_ids(fetch.data, to.initData());
    std::vector<std::int32_t> priority;
    std::vector<std::uint32_t> run, rank;
    for (const protocol::Urgency& urgency : fetch.urgency) {
      priority.push_back(urgency.priority);
      run.push_back(urgency.run);
      rank.push_back(urgency.rank);
    }
    write_column(priority, [&](unsigned n) { return to.initPriority(n); });
    write_column(run, [&](unsigned n) { return to.initRun(n); });
    write_column(rank, [&](unsigned n) { return to.initRank(n); });
  }
  void operator()(const protocol::FetchCancel& cancel) {
    out.initFetchCancel().setRequest(cancel.request);
  }
  void operator()(const protocol::ArenaShared& shared) {
    auto to = out.initArenaShared();
    to.setArena(shared.arena);
    to.setBytes(shared.bytes);
  }
  void operator()(const protocol::FetchInPlace& place) {
    auto to = out.initFetchInPlace();
    to.setArena(place.arena);
    write_column(place.requests, [&](unsigned n) { return to.initRequests(n); });
    write_column(place.offsets, [&](unsigned n) { return to.initOffsets(n); });
    write_column(place.bytes, [&](unsigned n) { return to.initBytes(n); });
  }
  void operator()(const protocol::FetchBytes& bytes) {
    auto to = out.initFetchBytes();
    to.setRequest(bytes.request);
    to.setBytes(bytes.bytes);
  }
  void operator()(const protocol::FetchRefused& refused) {
    out.initFetchRefused().setRequest(refused.request);
  }
  void operator()(const protocol::PushInPlace& push) {
    auto to = out.initPushInPlace();
    to.setLease(push.lease);
    write_id(push.datum, to.initDatum());
    to.setArena(push.arena);
    to.setOffset(push.offset);
    to.setBytes(push.bytes);
  }
  void operator()(const protocol::PushBytes& push) {
    auto to = out.initPushBytes();
    write_id(push.datum, to.initDatum());
    to.setBytes(push.bytes);
  }
  void operator()(const protocol::LeaseReturned& returned) {
    auto to = out.initLeaseReturned();
    write_column(returned.requests, [&](unsigned n) { return to.initRequests(n); });
  }
  void operator()(const protocol::LoansWanted&) { out.initLoansWanted(); }
  void operator()(const protocol::LanesWanted& wanted) {
    out.initLanesWanted().setLink(wanted.link);
  }
  void operator()(const protocol::FetchPiece& piece) {
    auto to = out.initFetchPiece();
    to.setRequest(piece.request);
    to.setBytes(piece.bytes);
    to.setOffset(piece.offset);
    to.setPieceBytes(piece.piece_bytes);
    to.setIsPacked(piece.is_packed);
  }
};

std::uint64_t sound_bytes(std::uint64_t bytes) {
  require(bytes < datum_bytes_bound, "a place or size of 2^62 bytes or more");
  return bytes;
}

protocol::Fetch read_fetch(schema::Fetch::Reader from) {
  protocol::Fetch fetch{read_u64(from.getRequests()), read_ids(from.getData())};
  require(fetch.requests.size() == fetch.data.size(), "requests and data of unequal number");
  const auto priority = read_column<std::int32_t, std::int32_t>(from.getPriority());
  const auto run = read_u32(from.getRun());
  const auto rank = read_u32(from.getRank());
  require(run.size() == priority.size() && rank.size() == priority.size(),
          "columns of urgency differ in length");
  require(rank.empty() || rank.size() == fetch.requests.size(), "some requests have no urgency");
  for (std::size_t i = 0; i < rank.size(); ++i) {
    fetch.urgency.push_back({priority[i], run[i], rank[i]});
  }
  return fetch;
}

protocol::PeerMessage read(schema::PeerMessage::Reader in) {
  using schema::PeerMessage;
  switch (in.which()) {
    case PeerMessage::FETCH:
      return read_fetch(in.getFetch());
    case PeerMessage::FETCH_CANCEL:
      return protocol::FetchCancel{.request = in.getFetchCancel().getRequest()};
    case PeerMessage::ARENA_SHARED: {
      const auto from = in.getArenaShared();
      return protocol::ArenaShared{.arena = from.getArena(), .bytes = sound_bytes(from.getBytes())};
    }
    case PeerMessage::FETCH_IN_PLACE: {
      const auto from = in.getFetchInPlace();
      protocol::FetchInPlace place{from.getArena(), read_u64(from.getRequests()),
                                   read_sizes(from.getOffsets()), read_sizes(from.getBytes())};
      require(place.requests.size() == place.offsets.size() &&
                  place.requests.size() == place.bytes.size(),
              "requests and places of unequal number");
      return place;
    }
    case PeerMessage::FETCH_BYTES: {
      const auto from = in.getFetchBytes();
      return protocol::FetchBytes{.request = from.getRequest(),
                                  .bytes = sound_bytes(from.getBytes())};
    }
    case PeerMessage::FETCH_REFUSED:
      return protocol::FetchRefused{.request = in.getFetchRefused().getRequest()};
    case PeerMessage::PUSH_IN_PLACE: {
      const auto from = in.getPushInPlace();
      return protocol::PushInPlace{.lease = from.getLease(),
                                   .datum = read_id(from.getDatum()),
                                   .arena = from.getArena(),
                                   .offset = sound_bytes(from.getOffset()),
                                   .bytes = sound_bytes(from.getBytes())};
    }
    case PeerMessage::PUSH_BYTES: {
      const auto from = in.getPushBytes();
      return protocol::PushBytes{.datum = read_id(from.getDatum()),
                                 .bytes = sound_bytes(from.getBytes())};
    }
    case PeerMessage::LEASE_RETURNED:
      return protocol::LeaseReturned{.requests = read_u64(in.getLeaseReturned().getRequests())};
    case PeerMessage::LOANS_WANTED:
      return protocol::LoansWanted{};
    case PeerMessage::LANES_WANTED: {
      const protocol::LanesWanted wanted{.link = in.getLanesWanted().getLink()};
      require(wanted.link != 0, "lanes of link 0");
      return wanted;
    }
    case PeerMessage::FETCH_PIECE: {
      const auto from = in.getFetchPiece();
      const protocol::FetchPiece piece{.request = from.getRequest(),
                                       .bytes = sound_bytes(from.getBytes()),
                                       .offset = sound_bytes(from.getOffset()),
                                       .piece_bytes = from.getPieceBytes(),
                                       .is_packed = from.getIsPacked()};
      require(piece.piece_bytes > 0 && piece.piece_bytes <= protocol::FetchPiece::bytes_max,
              "a piece of no bytes or too many");
      require(piece.offset + piece.piece_bytes <= piece.bytes, "a piece beyond the datum's end");
      return piece;
    }
  }
  refuse_unknown("a peer", in.which());
}

}  // namespace

std::vector<std::byte> encode(const protocol::PeerMessage& message) {
  std::size_t words = 0;
  if (const auto* returned = std::get_if<protocol::LeaseReturned>(&message)) {
    words = returned->requests.size();
  } else if (const auto* fetch = std::get_if<protocol::Fetch>(&message)) {
    words = list_words(fetch->requests, fetch->urgency) + id_words(fetch->data);
  } else if (const auto* place = std::get_if<protocol::FetchInPlace>(&message)) {
    words = list_words(place->requests, place->offsets, place->bytes);
  }
  return encode_as<schema::PeerMessage>(
      words, [&](schema::PeerMessage::Builder out) { std::visit(Writer{out}, message); });
}

Decoded<protocol::PeerMessage> decode_peer(std::span<const std::byte> bytes) {
  return decode_as<protocol::PeerMessage, schema::PeerMessage>(bytes, read);
}

}  // namespace ashlar::wire
