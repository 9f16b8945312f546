#include "net/ucx_link.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.hpp"

namespace ashlar::net {

namespace {

/// Payloads below this go with the stream: a copy costs less than the messages it takes to avoid
/// it.
constexpr std::size_t bulk_bytes_min = 64 << 10;
constexpr auto linger_time = std::chrono::seconds(5);
/// The rate is that of so many bytes, then of the next ones.
constexpr std::uint64_t measured_bytes_min = 1 << 20;
constexpr std::uint64_t measured_bytes_max = 64 << 20;

}  // namespace

bool UcxLink::Queued::has_payload_sum() const {
  return head_bytes > FrameHeader::bytes && !frame.payload.empty();
}

bool UcxLink::Queued::is_bulk() const { return frame.payload.size() >= bulk_bytes_min; }

std::size_t UcxLink::Queued::bytes() const {
  return head_bytes + frame.control.size() + frame.payload.size() +
         (has_payload_sum() ? payload_sum.size() : 0);
}

std::size_t UcxLink::Queued::bytes_before_bulk() const { return head_bytes + frame.control.size(); }

/// Appends stream bytes: up to the payload if that is bulk and has not been sent, else to the end.
void UcxLink::Queued::take(std::vector<std::byte>& chunk, std::size_t chunk_max) {
  const bool is_bulk_sent = bulk_sent == frame.payload.size();
  const std::span<const std::byte> parts[] = {
      std::span(head).first(head_bytes), frame.control,
      is_bulk() ? std::span<const std::byte>() : frame.payload,
      has_payload_sum() && (!is_bulk() || is_bulk_sent) ? std::span<const std::byte>(payload_sum)
                                                        : std::span<const std::byte>()};
  std::size_t skipped = taken;
  for (std::span<const std::byte> part : parts) {
    const std::size_t skip = std::min(skipped, part.size());
    skipped -= skip;
    part = part.subspan(skip);
    part = part.first(std::min(part.size(), chunk_max - chunk.size()));
    chunk.insert(chunk.end(), part.begin(), part.end());
    taken += part.size();
  }
}

UcxLink::UcxLink(std::shared_ptr<UcxEndpoint> endpoint, const Limits& limits)
    : io_(endpoint->worker().io()),
      endpoint_(std::move(endpoint)),
      linger_timer_(io_),
      limits_(limits),
      reader_(limits) {
  endpoint_->attach(*this);
}

UcxLink::~UcxLink() { endpoint_->leave(); }

void UcxLink::start(LinkEvents& events) {
  ASHLAR_CHECK(!is_started_, "a link is started once");
  is_started_ = true;
  events_ = &events;
  is_open_ ? endpoint_->read() : report_closed();
}

// ---- reading -----------------------------------------------------------------------------------

void UcxLink::on_stream(std::span<const std::byte> bytes) {
  if (is_detached_) return;
  const auto kept = shared_from_this();
  while (!bytes.empty() && wants_more()) {
    std::size_t count = 0;
    for (const std::span<std::byte> room : reader_.room()) {
      const auto part = bytes.first(std::min(room.size(), bytes.size()));
      if (!part.empty()) std::memcpy(room.data(), part.data(), part.size());
      bytes = bytes.subspan(part.size());
      count += part.size();
    }
    hand_over(count);
  }
}

void UcxLink::hand_over(std::size_t bytes) {
  bytes_received_ += bytes;
  const std::string problem = reader_.advance(bytes, *this);
  if (!problem.empty() && wants_more()) close("bad frame: " + problem);
}

/// Several of a payload's messages are announced before the first is complete.
UcxEndpoint::Place UcxLink::on_bulk_announced(std::uint64_t bytes) {
  if (is_detached_) return {};
  const auto payload = reader_.payload();
  if (bytes == 0 || bytes > payload.size() - announced_) {
    close("bad frame: payload bytes that no frame announces");
    return {};
  }
  const auto place =
      payload.subspan(static_cast<std::size_t>(announced_), static_cast<std::size_t>(bytes));
  announced_ += bytes;
  if (payload_owner_ != nullptr) return {place, payload_owner_};
  auto stand_in = std::make_shared<std::vector<std::byte>>(place.size());
  stand_ins_.push_back(stand_in);
  return {*stand_in, stand_in};
}

void UcxLink::on_bulk(std::uint64_t bytes) {
  if (!wants_more()) return;
  const auto kept = shared_from_this();
  announced_ -= bytes;
  if (!stand_ins_.empty()) {
    std::memcpy(reader_.payload().data(), stand_ins_.front()->data(), stand_ins_.front()->size());
    stand_ins_.pop_front();
  }
  hand_over(static_cast<std::size_t>(bytes));
}

void UcxLink::on_batch_end() {
  const auto kept = shared_from_this();
  if (std::exchange(is_batch_open_, false) && wants_more()) events_->on_batch_end();
}

std::span<std::byte> UcxLink::on_frame(std::span<const std::byte> control,
                                       std::uint64_t payload_bytes, int descriptor) {
  is_batch_open_ = true;
  const auto place = events_->on_frame(control, payload_bytes, descriptor);
  payload_owner_ = wants_more() && !place.empty() ? events_->payload_owner() : nullptr;
  return place;
}

void UcxLink::on_payload(bool is_intact) {
  is_batch_open_ = true;
  payload_owner_.reset();  // whoever has the payload may ask whether it is the only one
  events_->on_payload(is_intact);
}

std::string UcxLink::on_ring(std::uint64_t, int) { return "shared memory between hosts"; }

void UcxLink::on_end(const std::string& reason) {
  close(reader_.is_mid_frame() ? reason + " in the middle of a frame" : reason);
}

// ---- writing -----------------------------------------------------------------------------------

void UcxLink::send(Frame frame) {
  if (!is_open_ || is_detached_) return;
  ASHLAR_CHECK(frame.descriptor < 0, "descriptors travel on Unix sockets only");
  if (frame.control.size() > std::min<std::uint64_t>(limits_.control_bytes, UINT32_MAX))
    return close("cannot send a control part of " + std::to_string(frame.control.size()) +
                 " bytes, expected at most " + std::to_string(limits_.control_bytes));
  queue_.push_back(queued(std::move(frame)));
  queued_bytes_ += queue_.back().bytes();
  if (queued_bytes_ > limits_.queued_bytes)
    return close("the peer does not read: " + std::to_string(queued_bytes_) +
                 " bytes are queued, expected at most " + std::to_string(limits_.queued_bytes));
  if (std::exchange(is_flush_due_, true)) return;
  endpoint_->worker().flush_later([weak = weak_from_this()] {
    if (const auto link = weak.lock()) link->flush();
  });
}

UcxLink::Queued UcxLink::queued(Frame frame) const {
  const FrameHeader header{
      .magic = adds_checksums_ ? FrameHeader::magic_with_checksums : FrameHeader::magic_plain,
      .control_bytes = static_cast<std::uint32_t>(frame.control.size()),
      .payload_bytes = frame.payload.size()};
  Queued queued{.frame = std::move(frame)};
  const auto plain = header.encode();
  std::copy(plain.begin(), plain.end(), queued.head.begin());
  if (!adds_checksums_) return queued;
  const FrameSums sums = FrameSums::of(header, Checksum::of(queued.frame.control));
  std::memcpy(queued.head.data() + FrameHeader::bytes, &sums, FrameSums::bytes);
  queued.head_bytes += FrameSums::bytes;
  if (queued.has_payload_sum() && !queued.is_bulk()) {
    const std::uint64_t sum = Checksum::of(queued.frame.payload);
    std::memcpy(queued.payload_sum.data(), &sum, sizeof sum);
  }
  return queued;
}

void UcxLink::flush() {
  is_flush_due_ = false;
  if (is_writing_) return;  // called by the owner of a payload that has just been sent
  is_writing_ = true;
  while (is_open_ && !queue_.empty() && endpoint_->has_room()) {
    Queued& front = queue_.front();
    const bool is_bulk_due = front.is_bulk() && front.taken >= front.bytes_before_bulk() &&
                             front.bulk_sent < front.frame.payload.size();
    is_bulk_due ? send_bulk(front) : send_stream();
  }
  is_writing_ = false;
  if (is_open_ && is_detached_) linger();
}

/// One message of what many frames have before the next bulk payload.
void UcxLink::send_stream() {
  std::vector<std::byte> chunk;
  chunk.reserve(std::min<std::uint64_t>(queued_bytes_, UcxEndpoint::stream_bytes_max));
  std::vector<Queued> done;  // dies after: a payload's owner may call the link
  while (!queue_.empty()) {
    Queued& front = queue_.front();
    front.take(chunk, UcxEndpoint::stream_bytes_max);
    if (front.taken + front.bulk_sent < front.bytes()) break;
    done.push_back(std::move(front));
    queue_.pop_front();
  }
  queued_bytes_ -= chunk.size();
  bytes_sent_ += chunk.size();
  endpoint_->send_stream(std::move(chunk));
}

void UcxLink::send_bulk(Queued& front) {
  const auto payload = front.frame.payload;
  const auto part = payload.subspan(
      front.bulk_sent, std::min(payload.size() - front.bulk_sent, UcxEndpoint::bulk_bytes_max));
  if (front.has_payload_sum()) {
    if (front.bulk_sent == 0) payload_sum_.restart();
    payload_sum_.add(part);
    const std::uint64_t sum = payload_sum_.value();
    std::memcpy(front.payload_sum.data(), &sum, sizeof sum);
  }
  front.bulk_sent += part.size();
  queued_bytes_ -= part.size();
  bytes_sent_ += part.size();
  measure(0);
  bulk_bytes_due_ += part.size();
  auto owner = front.frame.payload_owner;
  std::shared_ptr<Frame> done;  // dies after
  if (front.taken + front.bulk_sent == front.bytes()) {
    done = std::make_shared<Frame>(std::move(front.frame));
    queue_.pop_front();
  }
  endpoint_->send_bulk(part, std::move(owner));
}

void UcxLink::on_sent(std::uint64_t bulk_bytes) {
  const auto kept = shared_from_this();
  measure(bulk_bytes);
  bulk_bytes_due_ -= bulk_bytes;
  flush();
}

/// The rate is that of the time in which something was on its way.
void UcxLink::measure(std::uint64_t bulk_bytes) {
  const auto now = std::chrono::steady_clock::now();
  if (bulk_bytes_due_ > 0) {
    measured_seconds_ += std::chrono::duration<double>(now - measured_since_).count();
    measured_bytes_ += bulk_bytes;
  }
  measured_since_ = now;
  if (measured_bytes_ < measured_bytes_min || measured_seconds_ <= 0) return;
  rate_ = {.bytes_per_second = static_cast<double>(measured_bytes_) / measured_seconds_};
  if (measured_bytes_ < measured_bytes_max) return;
  measured_seconds_ = 0;
  measured_bytes_ = 0;
}

// ---- ending ------------------------------------------------------------------------------------

void UcxLink::detach() {
  events_ = nullptr;
  if (is_detached_ || !is_open_) return;
  is_detached_ = true;
  endpoint_->read();  // also when it was never started: it has to hear of the end
  flush();
}

/// Leaves once all is handed to UCX; waits for that as long as there is progress.
void UcxLink::linger() {
  if (queue_.empty()) return close("detached");
  linger_timer_.expires_after(linger_time);
  linger_timer_.async_wait([kept = shared_from_this()](const boost::system::error_code& error) {
    if (!error) kept->close("not read by peer");
  });
}

void UcxLink::close(const std::string& reason) {
  if (!is_open_) return;
  const auto kept = shared_from_this();
  is_open_ = false;
  closed_reason_ = reason;
  linger_timer_.cancel();
  discard_queue();
  endpoint_->leave();
  if (is_started_) report_closed();
}

void UcxLink::discard_queue() {
  queued_bytes_ = 0;
  const auto discarded = std::move(queue_);
  queue_.clear();
}

void UcxLink::report_closed() {
  boost::asio::post(io_, [weak = weak_from_this()] {
    const auto link = std::static_pointer_cast<UcxLink>(weak.lock());
    if (!link || link->events_ == nullptr) return;
    LinkEvents& events = *std::exchange(link->events_, nullptr);
    events.on_closed(link->closed_reason_);
  });
}

}  // namespace ashlar::net
