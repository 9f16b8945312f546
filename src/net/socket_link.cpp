#include "net/socket_link.hpp"

#include <netinet/in.h>
#include <sys/uio.h>
#include <unistd.h>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "net/socket.hpp"

namespace ashlar::net {

namespace {

/// One turn of one link reads about this much before others have theirs.
constexpr std::size_t turn_bytes = 1 << 20;
/// A detached link that makes no progress for this long closes.
constexpr auto linger_time = std::chrono::seconds(5);
constexpr std::size_t gathered_parts_max = 192;
constexpr std::size_t parts_of_frame = 4;
/// Of payloads, between two system calls: what is summed up is in the cache when it is sent.
constexpr std::size_t summed_ahead_max = 256 << 10;
constexpr std::size_t received_descriptors_max = 4;

std::string name_of_peer(int socket, bool is_local) {
  if (is_local) {
    ucred peer{};
    socklen_t size = sizeof peer;
    ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return "unix peer of process " + std::to_string(peer.pid);
  }
  NativeAddress address;
  address.size = sizeof address.storage;
  if (::getpeername(socket, address.get(), &address.size) != 0) return "tcp peer";
  return tcp_text(address);
}

}  // namespace

std::shared_ptr<Link> Link::adopt(boost::asio::io_context& io, int socket, Limits limits) {
  return std::make_shared<SocketLink>(io, socket, limits);
}

std::shared_ptr<Link> Link::adopt(boost::asio::io_context& io, int socket, Limits limits,
                                  const Tls* tls, Side side) {
  if (tls == nullptr || is_local_socket(socket)) return adopt(io, socket, limits);
  return std::make_shared<SocketLink>(io, socket, limits,
                                      tls->open(socket, side, limits.key_bytes));
}

SocketLink::SocketLink(boost::asio::io_context& io, int socket, const Limits& limits,
                       std::unique_ptr<TlsStream> tls)
    : io_(io),
      socket_(io),
      linger_timer_(io),
      handshake_timer_(io),
      limits_(limits),
      reader_(limits),
      poll_(LinkPoll::of(io)),
      tls_(std::move(tls)),
      is_local_(is_local_socket(socket)) {
  peer_name_ = name_of_peer(socket, is_local_);
  tune_link_socket(socket);
  boost::system::error_code error;
  socket_.assign(socket, error);
  is_open_ = !error;
  if (error) {
    ::close(socket);
    closed_reason_ = "cannot be watched: " + error.message();
  }
}

SocketLink::~SocketLink() { poll_.remove(*this); }

template <class Member>
auto SocketLink::later(Member member) {
  return [weak = weak_from_this(), member](const boost::system::error_code& = {}) {
    const auto link = std::static_pointer_cast<SocketLink>(weak.lock());
    if (link && link->is_open_) (link.get()->*member)();
  };
}

void SocketLink::start(LinkEvents& events) {
  ASHLAR_CHECK(!is_started_, "a link is started once");
  is_started_ = true;
  events_ = &events;
  if (is_open_) {
    if (tls_) begin_handshake();
    arm_read();
    if (is_sharing_wanted_) share_memory();
  } else {
    report_closed();
  }
}

// ---- reading -----------------------------------------------------------------------------------

void SocketLink::begin_handshake() {
  handshake_timer_.expires_after(std::chrono::milliseconds(limits_.handshake_ms));
  handshake_timer_.async_wait(later(&SocketLink::miss_handshake));
  read_turn();
}

/// Called in the end, also when it was done in time.
void SocketLink::miss_handshake() {
  if (is_secured()) return;
  close(
      "TLS: the handshake was not finished within " + std::to_string(limits_.handshake_ms) +
      " ms; check that the other side is an Ashlar process (the right address and port?), that it "
      "has certificates (--tls-cert, --tls-key and --tls-ca), and that it is well");
}

void SocketLink::arm_read() {
  if (is_read_armed_ || !is_open_) return;
  is_read_armed_ = true;
  if (tls_ && tls_->has_received() && !is_detached_)
    return boost::asio::post(io_, later(&SocketLink::socket_ready));
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     later(&SocketLink::socket_ready));
}

void SocketLink::socket_ready() {
  is_read_armed_ = false;
  if (reads_ring_ && poll_.has_poller()) {
    poll_.listen_later(*this);  // the bell matters less than what it was rung for
  } else if (reads_ring_) {
    listen();
  } else if (is_detached_ && is_secured()) {
    discard_ready();
  } else {
    read_turn();
    if (is_open_) arm_read();
  }
  poll();
  await_or_go_on();
}

void SocketLink::read_turn() {
  std::size_t bytes_left = turn_bytes;
  // A partial read means that there is no more, nearly always; when there is, waiting returns at
  // once.
  while (read_once(bytes_left) == Read::full && bytes_left > 0 && wants_more()) {
  }
  if (tls_ && is_open_) flush();  // it may have answers of its own, or may begin now
}

long SocketLink::receive(std::array<std::span<std::byte>, 2> parts) {
  if (tls_) return tls_->receive(parts);
  std::array<iovec, 2> places{};
  std::size_t count = 0;
  for (const auto part : parts)
    if (!part.empty()) places[count++] = {part.data(), part.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(received_descriptors_max * sizeof(int))> room{};
  msghdr message{};
  message.msg_iov = places.data();
  message.msg_iovlen = count;
  if (is_local_) {
    message.msg_control = room.data();
    message.msg_controllen = room.size();
  }
  long received;
  do {
    received = ::recvmsg(socket_.native_handle(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  for (cmsghdr* part = is_local_ ? CMSG_FIRSTHDR(&message) : nullptr; part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t descriptors = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < descriptors; ++i) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      reader_.add_descriptor(descriptor);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) return -EMSGSIZE;
  return received;
}

SocketLink::Read SocketLink::read_once(std::size_t& bytes_left) {
  if (reads_ring_) return read_ring(bytes_left);
  const auto parts = reader_.room();
  const long received = receive(parts);
  if (received < 0) {
    const int error = static_cast<int>(-received);
    if (error == EMSGSIZE) close("bad frame: too many descriptors");
    if (tls_ && !tls_->problem().empty()) close(tls_->problem());
    if (!would_block(error)) close("lost: " + error_text(error));
    return Read::nothing;
  }
  if (received == 0) {
    close(reader_.is_mid_frame() ? "closed by peer in the middle of a frame" : "closed by peer");
    return Read::nothing;
  }
  const auto count = static_cast<std::size_t>(received);
  bytes_left -= std::min(bytes_left, count);
  hand_over(count);
  return count == parts[0].size() + parts[1].size() ? Read::full : Read::partial;
}

void SocketLink::hand_over(std::size_t count) {
  bytes_received_ += count;
  const std::string problem = reader_.advance(count, *this);
  if (is_batch_open_ && wants_more()) {
    is_batch_open_ = false;
    events_->on_batch_end();
  }
  if (!problem.empty() && wants_more()) close("bad frame: " + problem);
}

/// The peer may have said why before it closed: what has arrived is read before the link closes.
void SocketLink::read_last_and_close(const std::string& reason) {
  std::size_t bytes_left = std::size_t{64} << 20;  // more than a socket or a ring holds
  while (read_once(bytes_left) != Read::nothing && bytes_left > 0 && wants_more()) {
  }
  close(reader_.is_mid_frame() ? reason + " in the middle of a frame" : reason);
}

/// What comes for nobody is thrown away: closing with bytes unread would reset the link, and a
/// reset may overtake what was written last.
void SocketLink::discard_ready() {
  std::array<std::byte, 16 << 10> nobody;
  const long received = ::recv(socket_.native_handle(), nobody.data(), nobody.size(), MSG_DONTWAIT);
  if (received > 0 || (received < 0 && (would_block(errno) || errno == EINTR))) return arm_read();
  if (received < 0) return close("lost: " + error_text(errno));
  is_peer_done_ = true;
  if (is_shut_) close("closed by peer");
}

std::span<std::byte> SocketLink::on_frame(std::span<const std::byte> control,
                                          std::uint64_t payload_bytes, int descriptor) {
  is_batch_open_ = true;
  return events_->on_frame(control, payload_bytes, descriptor);
}

void SocketLink::on_payload(bool is_intact) {
  is_batch_open_ = true;
  events_->on_payload(is_intact);
}

// ---- writing -----------------------------------------------------------------------------------

void SocketLink::send(Frame frame) {
  if (!is_open_ || is_detached_ || !write_problem_.empty()) return;
  ASHLAR_CHECK(frame.descriptor < 0 || is_local_, "descriptors travel on Unix sockets only");
  const FrameHeader header{.magic = adds_checksums_        ? FrameHeader::magic_with_checksums
                                    : frame.descriptor < 0 ? FrameHeader::magic_plain
                                                           : FrameHeader::magic_with_descriptor,
                           .control_bytes = static_cast<std::uint32_t>(frame.control.size()),
                           .payload_bytes = frame.payload.size()};
  if (frame.control.size() > std::min<std::uint64_t>(limits_.control_bytes, UINT32_MAX))
    return close("cannot send a control part of " + std::to_string(frame.control.size()) +
                 " bytes, expected at most " + std::to_string(limits_.control_bytes));
  queue_.push_back(queued(header, std::move(frame)));
  queued_bytes_ += queue_.back().bytes();
  if (queued_bytes_ > limits_.queued_bytes)
    return close("the peer does not read: " + std::to_string(queued_bytes_) +
                 " bytes are queued, expected at most " + std::to_string(limits_.queued_bytes));
  if (is_flush_due_ || is_write_armed_ || wants_room_) return;
  is_flush_due_ = true;
  if (poll_.has_poller()) return poll_.flush_later(*this);
  boost::asio::post(io_, [weak = weak_from_this()] {
    if (const auto link = std::static_pointer_cast<SocketLink>(weak.lock())) link->flush();
  });
}

void SocketLink::flush() {
  is_flush_due_ = false;
  if (is_writing_) return;  // called by the owner of a payload that has just been written
  is_writing_ = true;
  while (is_open_ && has_to_write()) {
    const long sent = writes_ring_ ? write_ring() : send_some();
    if (sent < 0) {
      const int error = static_cast<int>(-sent);
      would_block(error) ? arm_write() : fail_write(error);
      break;
    }
    drop_written(static_cast<std::size_t>(sent));
  }
  is_writing_ = false;
  if (is_open_ && is_detached_) linger();
}

bool SocketLink::has_to_write() const {
  if (tls_ && tls_->has_unsent()) return true;
  return !queue_.empty() && !wants_room_ && is_secured();
}

SocketLink::Queued SocketLink::queued(const FrameHeader& header, Frame frame) {
  Queued queued{.frame = std::move(frame)};
  const auto plain = header.encode();
  std::copy(plain.begin(), plain.end(), queued.head.begin());
  if (header.magic == FrameHeader::magic_with_checksums) {
    const FrameSums sums = FrameSums::of(header, Checksum::of(queued.frame.control));
    std::memcpy(queued.head.data() + FrameHeader::bytes, &sums, FrameSums::bytes);
    queued.head_bytes += FrameSums::bytes;
  }
  return queued;
}

/// Sums up the next part of a payload of which so much has been written. Returns whether that was
/// the last part; then the checksum is there.
bool SocketLink::sum_up(Queued& queued, std::size_t written) {
  const auto payload = queued.frame.payload;
  if (queued.summed == payload.size()) return true;
  if (queued.summed == 0) payload_sum_.restart();
  if (queued.summed - written >= summed_ahead_max) return false;
  const std::size_t part = std::min(payload.size() - queued.summed, summed_ahead_max);
  payload_sum_.add(payload.subspan(queued.summed, part));
  queued.summed += part;
  if (queued.summed < payload.size()) return false;
  const std::uint64_t sum = payload_sum_.value();
  std::memcpy(queued.payload_sum.data(), &sum, sizeof sum);
  return true;
}

/// Gathers many frames into one system call. A descriptor goes with the first byte of its frame,
/// so a frame that has one starts a call of its own.
long SocketLink::send_some() {
  std::array<iovec, gathered_parts_max> parts;
  std::size_t count = 0;
  std::size_t skipped = written_of_front_;
  std::size_t summed = 0;
  const auto add = [&](std::span<const std::byte> part) {
    const std::size_t skip = std::min(skipped, part.size());
    skipped -= skip;
    part = part.subspan(skip);
    if (!part.empty()) parts[count++] = {const_cast<std::byte*>(part.data()), part.size()};
  };
  int descriptor = -1;
  for (std::size_t i = 0; i < queue_.size() && count + parts_of_frame <= parts.size(); ++i) {
    Queued& queued = queue_[i];
    if (queued.frame.descriptor >= 0) {
      if (i > 0) break;
      if (written_of_front_ == 0) descriptor = queued.frame.descriptor;
    }
    add(queued.header());
    add(queued.frame.control);
    if (!queued.has_payload_sum()) {
      add(queued.frame.payload);
    } else {
      const bool is_whole = sum_up(queued, std::min(skipped, queued.summed));
      summed += queued.summed - std::min(skipped, queued.summed);
      add(queued.frame.payload.first(queued.summed));
      if (!is_whole) break;
      add(queued.payload_sum);
      if (summed >= summed_ahead_max) break;
    }
    if (queued.is_ring) break;
  }
  if (tls_) return tls_->send({parts.data(), count});
  return send_parts(socket_.native_handle(), {parts.data(), count}, descriptor);
}

void SocketLink::drop_written(std::size_t count) {
  bytes_sent_ += count;
  queued_bytes_ -= count;
  written_of_front_ += count;
  while (!queue_.empty() && written_of_front_ >= queue_.front().bytes()) {
    written_of_front_ -= queue_.front().bytes();
    // Out of the queue before it dies: a payload's owner may call the link.
    const Queued done = std::move(queue_.front());
    queue_.pop_front();
    if (!done.is_ring) continue;
    writes_ring_ = true;
    if (std::exchange(owes_bell_, false)) ring_bell();
  }
}

void SocketLink::arm_write() {
  if (is_write_armed_) return;
  is_write_armed_ = true;
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                     [then = later(&SocketLink::flush),
                      weak = weak_from_this()](const boost::system::error_code& error) {
                       if (const auto link = weak.lock())
                         static_cast<SocketLink&>(*link).is_write_armed_ = false;
                       then(error);
                     });
}

/// The peer may have said why before it closed.
void SocketLink::fail_write(int error) {
  write_problem_ =
      error == EPIPE || error == ECONNRESET ? "closed by peer" : "lost: " + error_text(error);
  discard_queue();
  if (!is_started_ || is_detached_) return close(write_problem_);
  boost::asio::post(io_, [weak = weak_from_this()] {
    const auto link = std::static_pointer_cast<SocketLink>(weak.lock());
    if (link && link->is_open_) link->read_last_and_close(link->write_problem_);
  });
}

SendingRate SocketLink::sending_rate() const {
  if (is_local_ || !is_open_) return {};
  return sending_rate_of(const_cast<SocketLink*>(this)->socket_.native_handle());
}

// ---- ending ------------------------------------------------------------------------------------

void SocketLink::detach() {
  events_ = nullptr;
  if (is_detached_ || !is_open_) return;
  is_detached_ = true;
  flush();
}

/// Says that nothing follows once all is written, then waits for the peer to close. Waits as long
/// as there is progress, and no longer.
void SocketLink::linger() {
  if (queue_.empty() && !is_shut_ && !has_to_write()) {
    is_shut_ = true;
    ::shutdown(socket_.native_handle(), SHUT_WR);
    if (is_peer_done_) return close("closed by peer");
  }
  if (!is_peer_done_) arm_read();
  linger_timer_.expires_after(linger_time);
  linger_timer_.async_wait([kept = shared_from_this()](const boost::system::error_code& error) {
    if (!error) kept->close("not closed by peer");
  });
}

void SocketLink::close(const std::string& reason) {
  if (!is_open_) return;
  is_open_ = false;
  closed_reason_ = reason;
  boost::system::error_code ignored;
  socket_.close(ignored);
  linger_timer_.cancel();
  handshake_timer_.cancel();
  discard_queue();
  if (is_started_) report_closed();
}

void SocketLink::discard_queue() {
  queued_bytes_ = 0;
  written_of_front_ = 0;
  const auto discarded = std::move(queue_);
  queue_.clear();
}

void SocketLink::report_closed() {
  boost::asio::post(io_, [weak = weak_from_this()] {
    const auto link = std::static_pointer_cast<SocketLink>(weak.lock());
    if (!link || link->events_ == nullptr) return;
    LinkEvents& events = *std::exchange(link->events_, nullptr);
    events.on_closed(link->closed_reason_);
  });
}

}  // namespace ashlar::net
