#include <cmath>

#include "wire/channel.hpp"

namespace ashlar::wire {

void write_endpoint(const protocol::Endpoint& endpoint, schema::Endpoint::Builder out) {
  out.setHostIdentity(as_text(endpoint.host_identity));
  out.setLocalAddress(as_text(endpoint.local_address));
  out.setRemoteAddress(as_text(endpoint.remote_address));
}

protocol::Endpoint read_endpoint(schema::Endpoint::Reader in) {
  return {.host_identity = read_text(in.getHostIdentity()),
          .local_address = read_text(in.getLocalAddress()),
          .remote_address = read_text(in.getRemoteAddress())};
}

void write_heartbeat(const protocol::Heartbeat& beat, schema::Heartbeat::Builder out) {
  out.setMemoryUsed(beat.memory_used);
  out.setCpuPercent(beat.cpu_percent);
}

protocol::Heartbeat read_heartbeat(schema::Heartbeat::Reader in) {
  return {.memory_used = in.getMemoryUsed(), .cpu_percent = in.getCpuPercent()};
}

void write_peer_info(const protocol::PeerInfo& info, schema::PeerInfo::Builder out) {
  out.setPeer(info.peer.value);
  out.setName(as_text(info.name));
  write_endpoint(info.endpoint, out.initEndpoint());
}

protocol::PeerInfo read_peer_info(schema::PeerInfo::Reader in) {
  return {.peer = PeerId{in.getPeer()},
          .name = read_text(in.getName()),
          .endpoint = read_endpoint(in.getEndpoint())};
}

void write_peer_gone(const protocol::PeerGone& gone, schema::PeerGone::Builder out) {
  out.setPeer(gone.peer.value);
  out.setReason(as_text(gone.reason));
}

protocol::PeerGone read_peer_gone(schema::PeerGone::Reader in) {
  return {.peer = PeerId{in.getPeer()}, .reason = read_text(in.getReason())};
}

std::size_t resource_words(const Resources& resources) {
  std::size_t words = 1;
  for (const auto& resource : resources) words += 3 + resource.first.size() / 8;
  return words;
}

void write_resources(const Resources& resources, capnp::List<schema::Resource>::Builder out) {
  for (unsigned i = 0; i < out.size(); ++i) {
    out[i].setName(as_text(resources[i].first));
    out[i].setAmount(resources[i].second);
  }
}

Resources read_resources(capnp::List<schema::Resource>::Reader in) {
  Resources resources;
  resources.reserve(in.size());
  for (const auto resource : in) {
    const double amount = resource.getAmount();
    require(std::isfinite(amount) && amount >= 0, "an amount of a resource that is no amount");
    resources.emplace_back(read_text(resource.getName()), amount);
  }
  return resources;
}

}  // namespace ashlar::wire
