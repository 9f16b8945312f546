#pragma once

#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "protocol/messages.hpp"
#include "wire/codec.hpp"
#include "wire/columns.hpp"
#include "wire/message_writer.hpp"

/// What every channel's encoder and decoder share.
namespace ashlar::wire {

/// Fills a root struct of type Root and returns its bytes.
template <class Root, class Write>
std::vector<std::byte> encode_as(std::size_t expected_words, Write write) {
  try {
    MessageWriter message(expected_words + 32);
    write(message.initRoot<Root>());
    return message.finish();
  } catch (const kj::Exception& error) {
    throw BadInput(std::string("the message cannot be encoded: ") + error.getDescription().cStr());
  }
}

/// Reads a root struct of type Root. `read` returns the message or throws Malformed.
template <class Message, class Root, class Read>
Decoded<Message> decode_as(std::span<const std::byte> bytes, Read read) noexcept {
  Decoded<Message> decoded;
  try {
    const std::size_t words = bytes.size() / sizeof(capnp::word);
    const void* place = bytes.data();
    std::unique_ptr<capnp::word[]> aligned;
    if (reinterpret_cast<std::uintptr_t>(place) % alignof(std::uint64_t) != 0) {
      aligned = std::make_unique_for_overwrite<capnp::word[]>(words);
      std::memcpy(static_cast<void*>(aligned.get()), place, words * sizeof(capnp::word));
      place = aligned.get();
    }
    // Every word is read at most once, so an honest message stays below this; one whose pointers
    // overlap to look larger than it is does not.
    capnp::ReaderOptions options;
    options.traversalLimitInWords = words + 64;
    capnp::FlatArrayMessageReader message({static_cast<const capnp::word*>(place), words}, options);
    decoded.message = read(message.getRoot<Root>());
  } catch (const kj::Exception& error) {
    decoded.error = std::string("unsound message: ") + error.getDescription().cStr();
  } catch (const std::exception& error) {
    decoded.error = std::string("unsound message: ") + error.what();
  }
  return decoded;
}

/// A union member that this version does not know.
template <class Which>
[[noreturn]] void refuse_unknown(const char* channel, Which which) {
  throw Malformed(std::string("unknown message ") + std::to_string(static_cast<unsigned>(which)) +
                  " to " + channel + "; the sender may be of a newer version");
}

void write_endpoint(const protocol::Endpoint& endpoint, schema::Endpoint::Builder out);
protocol::Endpoint read_endpoint(schema::Endpoint::Reader in);

void write_heartbeat(const protocol::Heartbeat& beat, schema::Heartbeat::Builder out);
protocol::Heartbeat read_heartbeat(schema::Heartbeat::Reader in);

void write_cluster_size(const protocol::ClusterSize& size, schema::ClusterSize::Builder out);
protocol::ClusterSize read_cluster_size(schema::ClusterSize::Reader in);

void write_peer_info(const protocol::PeerInfo& info, schema::PeerInfo::Builder out);
protocol::PeerInfo read_peer_info(schema::PeerInfo::Reader in);
void write_peer_gone(const protocol::PeerGone& gone, schema::PeerGone::Builder out);
protocol::PeerGone read_peer_gone(schema::PeerGone::Reader in);

/// Amounts by name, of what a worker has or a task needs.
using Resources = std::vector<std::pair<std::string, double>>;
std::size_t resource_words(const Resources& resources);
void write_resources(const Resources& resources, capnp::List<schema::Resource>::Builder out);
Resources read_resources(capnp::List<schema::Resource>::Reader in);

std::size_t graph_words(const graph::TaskGraph& graph);
void write_graph(const graph::TaskGraph& graph, schema::TaskGraph::Builder out);
/// A sound graph. Errors: Malformed.
graph::TaskGraph read_graph(schema::TaskGraph::Reader in);

}  // namespace ashlar::wire
