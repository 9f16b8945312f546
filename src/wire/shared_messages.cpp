#include <cmath>

#include "wire/channel.hpp"

namespace ashlar::wire {

void write_endpoint(const protocol::Endpoint& endpoint, schema::Endpoint::Builder out) {
  out.setHostIdentity(as_text(endpoint.host_identity));
  out.setLocalAddress(as_text(endpoint.local_address));
  out.setRemoteAddress(as_text(endpoint.remote_address));
  out.setUcxAddress(as_text(endpoint.ucx_address));
}

protocol::Endpoint read_endpoint(schema::Endpoint::Reader in) {
  return {.host_identity = read_text(in.getHostIdentity()),
          .local_address = read_text(in.getLocalAddress()),
          .remote_address = read_text(in.getRemoteAddress()),
          .ucx_address = read_text(in.getUcxAddress())};
}

void write_cluster_size(const protocol::ClusterSize& size, schema::ClusterSize::Builder out) {
  out.setWorkers(size.workers);
  out.setSlots(size.slots);
}

protocol::ClusterSize read_cluster_size(schema::ClusterSize::Reader in) {
  return {.workers = in.getWorkers(), .slots = in.getSlots()};
}

void write_heartbeat(const protocol::Heartbeat& beat, schema::Heartbeat::Builder out) {
  out.setMemoryUsed(beat.memory_used);
  out.setCpuPercent(beat.cpu_percent);
  out.setSlotsPercent(beat.slots_percent);
  out.setCores(beat.cores);
  out.setCoresBusyPercent(beat.cores_busy_percent);
  out.setHostCores(beat.host_cores);
  out.setHostBusyPercent(beat.host_busy_percent);
  out.setRunQueue(beat.run_queue);
  out.setCpuStallPercent(beat.cpu_stall_percent);
  out.setProcessBytes(beat.process_bytes);
  out.setHostMemoryUsed(beat.host_memory_used);
  out.setHostMemoryLimit(beat.host_memory_limit);
  out.setCgroupMemoryUsed(beat.cgroup_memory_used);
  out.setCgroupMemoryLimit(beat.cgroup_memory_limit);
  out.setSample(beat.sample);
}

namespace {

void check_heartbeat(const protocol::Heartbeat& beat) {
  constexpr std::uint64_t cores_max = 65536;
  require(beat.cores <= cores_max && beat.host_cores <= cores_max, "a host of too many cores");
  require(beat.cores_busy_percent <= 100 * beat.cores &&
              beat.host_busy_percent <= 100 * beat.host_cores,
          "cores are busy that are not there");
  require(beat.cpu_percent <= 100 * cores_max && beat.slots_percent <= 100 * cores_max &&
              beat.cpu_stall_percent <= 100,
          "a share of the time that is no share");
  for (const std::uint64_t bytes :
       {beat.memory_used, beat.process_bytes, beat.host_memory_used, beat.host_memory_limit,
        beat.cgroup_memory_used, beat.cgroup_memory_limit})
    require(bytes < datum_bytes_bound, "more memory than any host has");
}

}  // namespace

protocol::Heartbeat read_heartbeat(schema::Heartbeat::Reader in) {
  const protocol::Heartbeat beat{.memory_used = in.getMemoryUsed(),
                                 .cpu_percent = in.getCpuPercent(),
                                 .slots_percent = in.getSlotsPercent(),
                                 .cores = in.getCores(),
                                 .cores_busy_percent = in.getCoresBusyPercent(),
                                 .host_cores = in.getHostCores(),
                                 .host_busy_percent = in.getHostBusyPercent(),
                                 .run_queue = in.getRunQueue(),
                                 .cpu_stall_percent = in.getCpuStallPercent(),
                                 .process_bytes = in.getProcessBytes(),
                                 .host_memory_used = in.getHostMemoryUsed(),
                                 .host_memory_limit = in.getHostMemoryLimit(),
                                 .cgroup_memory_used = in.getCgroupMemoryUsed(),
                                 .cgroup_memory_limit = in.getCgroupMemoryLimit(),
                                 .sample = in.getSample()};
  check_heartbeat(beat);
  return beat;
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
