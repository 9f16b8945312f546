#include <boost/asio/post.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include "runtime/exchange_link.hpp"
#include "store/packing.hpp"

// What goes to other hosts in pieces: on a network that is slower than compressing, and on one
// whose speed is not known yet, which may turn out to be; and where a link has several lanes.

namespace ashlar::runtime {

namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10;  // compressed within half a millisecond
constexpr int queued_max = 2;                                // while one is sent the next is made
static_assert(piece_bytes <= protocol::FetchPiece::bytes_max);

}  // namespace

/// What a piece is sent from; the next one may be made when it has been.
class Exchange::PeerLink::Piece {
 public:
  Piece(std::weak_ptr<PeerLink> lane, std::shared_ptr<const void> owner,
        std::vector<std::byte> packed)
      : lane_(std::move(lane)), owner_(std::move(owner)), packed_(std::move(packed)) {}
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;
  ~Piece() {
    const auto lane = lane_.lock();
    if (!lane || lane->is_closed_) return;
    --lane->pieces_queued_;
    boost::asio::post(lane->exchange_.loop_.io(), [weak = lane_] {
      const auto open = weak.lock();
      if (open && !open->is_closed_) open->link_it_belongs_to_->send_pieces();
    });
  }

  std::span<const std::byte> packed() const { return packed_; }

 private:
  std::weak_ptr<PeerLink> lane_;
  std::shared_ptr<const void> owner_;
  std::vector<std::byte> packed_;
};

bool Exchange::PeerLink::wants_pieces(std::span<const std::byte> bytes,
                                      const net::SendingRate& rate) const {
  if (is_local_ || !takes_pieces_ || bytes.size() <= piece_bytes) return false;
  if (!lanes_.empty()) return true;
  return rate.bytes_per_second <= 0 || store::pays_to_pack(bytes, rate.bytes_per_second);
}

void Exchange::PeerLink::send_in_pieces(std::uint64_t request, std::span<const std::byte> bytes,
                                        std::shared_ptr<const void> owner) {
  leaving_.push_back({request, bytes, std::move(owner), 0});
  send_pieces();
}

void Exchange::PeerLink::send_pieces() {
  while (!leaving_.empty()) {
    PeerLink* lane = free_lane();
    if (lane == nullptr) return;
    Leaving& first = leaving_.front();
    send_piece(*lane, first);
    if (first.left == first.bytes.size()) leaving_.pop_front();
  }
}

/// The one of the link's connections on which the least waits; none when there is enough on all.
Exchange::PeerLink* Exchange::PeerLink::free_lane() {
  PeerLink* best = this;
  for (PeerLink* lane : lanes_) {
    if (lane->is_ready() && lane->pieces_queued_ < best->pieces_queued_) best = lane;
  }
  return best->pieces_queued_ < queued_max ? best : nullptr;
}

void Exchange::PeerLink::send_piece(PeerLink& lane, Leaving& leaving) {
  const auto whole = leaving.bytes;
  const auto part = whole.subspan(leaving.left, std::min(piece_bytes, whole.size() - leaving.left));
  const net::SendingRate rate = lane.link_->sending_rate();
  if (lanes_.empty()) want_lanes(rate);
  const double bytes_per_second = rate.bytes_per_second * static_cast<double>(1 + lanes_.size());
  std::vector<std::byte> packed;
  if (bytes_per_second > 0 && !rate.is_lower_bound && store::pays_to_pack(part, bytes_per_second)) {
    packed.resize(store::packed_bytes_max(part.size()));
    packed.resize(store::pack(part, packed));
  }
  const bool is_packed = !packed.empty();
  const auto piece =
      std::make_shared<Piece>(lane.weak_from_this(), leaving.owner, std::move(packed));
  const protocol::FetchPiece message{leaving.request, whole.size(), leaving.left, part.size(),
                                     is_packed};
  leaving.left += part.size();
  ++lane.pieces_queued_;
  lane.send(message, is_packed ? piece->packed() : part, piece);
}

void Exchange::PeerLink::forget_pieces(std::uint64_t request) { coming_.erase(request); }

void Exchange::PeerLink::begin_piece(const protocol::FetchPiece& piece) {
  const bool is_sound = piece.is_packed ? payload_bytes_ > 0 && payload_bytes_ < piece.piece_bytes
                                        : payload_bytes_ == piece.piece_bytes;
  if (!is_sound) throw BadInput("peer announces a piece of another size than it sends");
  piece_ = piece;
  payload_ = {};
  const PeerLink& link = *link_it_belongs_to_;
  if (link.asked_.contains(piece.request)) {
    Coming& coming = link_it_belongs_to_->coming_[piece.request];
    if (!coming.buffer) coming.buffer = store::Buffer::allocate(exchange_.arena_, piece.bytes);
    const auto next = coming.begun.lower_bound(piece.offset);
    const bool is_apart =
        (next == coming.begun.end() || piece.offset + piece.piece_bytes <= next->first) &&
        (next == coming.begun.begin() || std::prev(next)->second <= piece.offset);
    if (!is_apart || coming.buffer.size() != piece.bytes) {
      throw BadInput("peer sends pieces that do not belong together");
    }
    coming.begun.emplace_hint(next, piece.offset, piece.offset + piece.piece_bytes);
    payload_ = coming.buffer;  // kept, also when nobody wants it any more
  }
  if (payload_ && !piece.is_packed) {
    payload_sink_ = payload_.writable().subspan(piece.offset, piece.piece_bytes);
  } else {
    packed_.resize(payload_bytes_);
    payload_sink_ = packed_;
  }
}

void Exchange::PeerLink::finish_piece() {
  const store::Buffer buffer = std::exchange(payload_, {});
  PeerLink& link = *link_it_belongs_to_;
  const auto coming = link.coming_.find(piece_.request);
  if (coming == link.coming_.end()) return;
  if (!buffer) return link_->close("bad message: a piece that was not asked for when it began");
  const auto place = buffer.writable().subspan(piece_.offset, piece_.piece_bytes);
  if (piece_.is_packed && !store::unpack(packed_, place)) {
    return link_->close("bad message: a piece that cannot be unpacked");
  }
  coming->second.came += piece_.piece_bytes;
  if (coming->second.came < piece_.bytes) return;
  link.coming_.erase(coming);
  if (const auto fetch = link.forget_request(piece_.request)) {
    exchange_.table_.put(fetch->datum, buffer);
    exchange_.events_.on_fetched(fetch->datum, piece_.bytes, false, is_local_);
  }
}

}  // namespace ashlar::runtime
