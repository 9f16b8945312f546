#include "scheduler/placement/rehearsal.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.hpp"
#include "scheduler/placement/order.hpp"

namespace ashlar::scheduler::placement {

Rehearsal::Rehearsal(const View& view, const Submission& run,
                     const std::vector<std::uint32_t>& order, const std::vector<Host>& hosts,
                     double looks_max)
    : run_(run),
      order_(order),
      places_(order.size()),
      sites_(hosts.size()),
      looks_left_(looks_max) {
  ASHLAR_CHECK(hosts.size() <= hosts_max);
  for (std::uint32_t place = 0; place < order.size(); ++place) places_[order[place]] = place;
  for (std::uint32_t task = 0; task < order.size(); ++task) task_ns_.push_back(run.task_ns(task));
  const std::uint32_t outputs = run.graph.output_count();
  for (std::uint32_t d = 0; d < outputs + run.graph.external_count(); ++d) {
    moving_ns_.push_back(moving_ns(view, run.bytes_of(d)));
    if (d < outputs) continue;
    const std::uint32_t host = position_of(run.host_of_external(d), hosts);
    holders_of_externals_.push_back(host == nowhere ? ~Hosts{0} : bit(host));
  }
  for (std::size_t h = 0; h < hosts.size(); ++h) {
    sites_[h].slots = static_cast<std::uint32_t>(std::max(1l, std::lround(hosts[h].slots)));
    sites_[h].slowness = sites_[h].slots / hosts[h].slots;
  }
}

std::int64_t Rehearsal::makespan_ns(const std::vector<std::uint32_t>& where) {
  begin(where);
  for (const std::uint32_t task : order_) {
    if (missing_[task] == 0) place(task);
  }
  send();
  for (std::uint32_t host = 0; host < sites_.size(); ++host) start(host);
  while (!events_.empty()) {
    if (looks_left_ < 0) return given_up;
    look(sites_.size());
    const Event event = events_.top();
    events_.pop();
    now_ns_ = event.at_ns;
    if (event.is_arrival) {
      sends_nothing_ |= bit(event.from);
      gets_nothing_ |= bit(event.to);
      sites_[event.to].incoming_ns -= moving_ns_[event.number];
      arrive(event.number, event.to);
    } else {
      end(order_[event.number]);
    }
    if (!events_.empty() && events_.top().at_ns == now_ns_) continue;
    send();
    for (std::uint32_t host = 0; host < sites_.size(); ++host) start(host);
  }
  return now_ns_;
}

void Rehearsal::begin(const std::vector<std::uint32_t>& where) {
  now_ns_ = 0;
  events_ = {};
  look(order_.size() + run_.graph.inputs.size());
  where_ = where;
  holders_.assign(run_.graph.output_count(), 0);
  holders_.insert(holders_.end(), holders_of_externals_.begin(), holders_of_externals_.end());
  asked_ = holders_;
  sends_nothing_ = gets_nothing_ = ~Hosts{0} >> (hosts_max - sites_.size());
  for (Site& site : sites_) {
    site.free = site.slots;
    site.backlog_ns = site.incoming_ns = 0;
    site.ready = {};
    site.awaited.clear();
  }
  missing_.assign(order_.size(), 0);
  for (std::uint32_t task = 0; task < order_.size(); ++task) {
    const std::uint32_t host = where[task];
    if (host != anywhere) sites_[host].backlog_ns += task_ns_[task];
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      const bool is_made = datum >= run_.graph.output_count();
      if (is_made && (host == anywhere || (holders_[datum] & bit(host)))) continue;
      ++missing_[task];
      if (is_made) ask(datum, host, places_[task]);
    }
  }
}

void Rehearsal::end(std::uint32_t task) {
  const graph::TaskGraph& g = run_.graph;
  Site& site = sites_[where_[task]];
  ++site.free;
  site.backlog_ns -= task_ns_[task];
  for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
    asked_[d] |= bit(where_[task]);
    for (const std::uint32_t reader : run_.consumers.of(d)) {
      if (where_[reader] == anywhere) continue;
      ask(d, where_[reader], places_[reader]);
    }
    arrive(d, where_[task]);
    for (const std::uint32_t reader : run_.consumers.of(d)) {
      if (where_[reader] == anywhere && --missing_[reader] == 0) place(reader);
    }
  }
}

void Rehearsal::arrive(std::uint32_t datum, std::uint32_t host) {
  holders_[datum] |= bit(host);
  look(run_.consumers.of(datum).size());
  for (const std::uint32_t reader : run_.consumers.of(datum)) {
    if (where_[reader] == host && --missing_[reader] == 0) place(reader);
  }
}

/// All that it reads is there; or made, and it gets a host.
void Rehearsal::place(std::uint32_t task) {
  if (where_[task] == anywhere) {
    const std::uint32_t host = where_[task] = first_to_finish(task);
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      if (holders_[datum] & bit(host)) continue;
      ++missing_[task];
      ask(datum, host, places_[task]);
    }
    sites_[host].backlog_ns += task_ns_[task];
    if (missing_[task] > 0) return;
  }
  sites_[where_[task]].ready.push(places_[task]);
}

std::uint32_t Rehearsal::first_to_finish(std::uint32_t task) const {
  std::uint32_t best = 0;
  double least = std::numeric_limits<double>::max();
  for (std::uint32_t host = 0; host < sites_.size(); ++host) {
    const Site& site = sites_[host];
    std::int64_t moving = 0;
    bool waits = false;
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      if (holders_[datum] & bit(host)) continue;
      waits = true;
      if (!(asked_[datum] & bit(host))) moving += moving_ns_[datum];
    }
    if (waits) moving += site.incoming_ns;
    const double backlog = static_cast<double>(site.backlog_ns / site.slots) * site.slowness;
    const double running = static_cast<double>(task_ns_[task]) * site.slowness;
    const double finish = std::max(static_cast<double>(moving), backlog) + running;
    if (finish < least) {
      least = finish;
      best = host;
    }
  }
  return best;
}

void Rehearsal::ask(std::uint32_t datum, std::uint32_t host, std::uint32_t place) {
  if (asked_[datum] & bit(host)) return;
  asked_[datum] |= bit(host);
  sites_[host].incoming_ns += moving_ns_[datum];
  sites_[host].awaited.emplace(place, datum);
}

void Rehearsal::send() {
  for (Hosts idle = gets_nothing_; idle != 0; idle &= idle - 1) {
    send_to(static_cast<std::uint32_t>(std::countr_zero(idle)));
  }
}

/// What is needed first of what some host has that sends nothing.
void Rehearsal::send_to(std::uint32_t host) {
  auto& awaited = sites_[host].awaited;
  auto next = awaited.begin();
  for (; next != awaited.end() && looks_left_ >= 0; ++next, look(1)) {
    if ((holders_[next->second] & sends_nothing_) != 0) break;
  }
  if (next == awaited.end() || looks_left_ < 0) return;
  const std::uint32_t datum = next->second;
  awaited.erase(next);
  // Others may need who made it for something that only it has.
  const Hosts able = holders_[datum] & sends_nothing_;
  const bool is_made_here = datum < run_.graph.output_count();
  const Hosts others = is_made_here ? able & ~bit(where_[run_.producer[datum]]) : able;
  const auto from = static_cast<std::uint32_t>(std::countr_zero(others != 0 ? others : able));
  sends_nothing_ &= ~bit(from);
  gets_nothing_ &= ~bit(host);
  events_.push({now_ns_ + moving_ns_[datum], true, datum, from, host});
}

void Rehearsal::start(std::uint32_t host) {
  Site& site = sites_[host];
  while (site.free > 0 && !site.ready.empty()) {
    const std::uint32_t place = site.ready.top();
    site.ready.pop();
    --site.free;
    const double ns = static_cast<double>(task_ns_[order_[place]]) * site.slowness;
    events_.push({now_ns_ + static_cast<std::int64_t>(ns), false, place});
  }
}

}  // namespace ashlar::scheduler::placement
