#include "net/ucx_endpoint.hpp"

#include <ashlar/error.hpp>

#include <chrono>
#include <cstring>
#include <utility>

namespace ashlar::net {

namespace {

constexpr std::size_t bulk_sending_max = 4;
constexpr std::uint64_t stream_bytes_sending_max = 1 << 20;
constexpr std::uint64_t stream_bytes_behind_max = 256 << 10;
/// What a message counts for beside its bytes, for what UCX and this side keep of it.
constexpr std::uint64_t message_bytes = 1 << 10;
/// What may be here before it can be handed over. A peer keeps far below it, by the limits above
/// and as UCX brings no more in a step.
constexpr std::uint64_t waiting_bytes_max = 64 << 20;
constexpr std::uint64_t ahead_max = waiting_bytes_max / message_bytes;
constexpr auto patience = std::chrono::seconds(5);

std::span<const std::byte> bytes_of(const void* data, std::size_t bytes) {
  return {static_cast<const std::byte*>(data), bytes};
}

}  // namespace

/// A message that UCX has not let go of.
struct UcxEndpoint::Sending {
  std::shared_ptr<UcxEndpoint> endpoint;
  UcxHead head;
  std::size_t bytes = 0;
  std::vector<std::byte> owned;
  std::shared_ptr<const void> owner;
};

/// A bulk message that UCX receives. It keeps the endpoint itself while UCX refers to it.
struct UcxEndpoint::Receiving {
  std::shared_ptr<UcxEndpoint> endpoint;
  std::shared_ptr<Receiving> self;
  std::shared_ptr<const void> owner;
  std::size_t bytes = 0;
  ucs_status_t status = UCS_INPROGRESS;
};

UcxEndpoint::UcxEndpoint(UcxWorker& worker, std::string peer_name)
    : worker_(worker), peer_name_(std::move(peer_name)), patience_(worker.io()) {}

std::shared_ptr<UcxEndpoint> UcxEndpoint::connect(UcxWorker& worker, const sockaddr* address,
                                                  std::size_t address_bytes,
                                                  std::string peer_name) {
  auto endpoint = std::make_shared<UcxEndpoint>(worker, std::move(peer_name));
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR;
  params.flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER;
  params.sockaddr.addr = address;
  params.sockaddr.addrlen = static_cast<socklen_t>(address_bytes);
  endpoint->open(params);
  return endpoint;
}

std::shared_ptr<UcxEndpoint> UcxEndpoint::accept(UcxWorker& worker, ucp_conn_request_h request,
                                                 std::string peer_name) {
  auto endpoint = std::make_shared<UcxEndpoint>(worker, std::move(peer_name));
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST;
  params.conn_request = request;
  endpoint->open(params);
  endpoint->send(UcxHead::greeting, {}, {}, {});
  return endpoint;
}

void UcxEndpoint::open(ucp_ep_params_t& params) {
  params.field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler.arg = this;
  params.err_handler.cb = [](void* self, ucp_ep_h, ucs_status_t status) {
    auto& endpoint = *static_cast<UcxEndpoint*>(self);
    endpoint.fail(status == UCS_ERR_CONNECTION_RESET
                      ? "closed by peer"
                      : std::string("lost: ") + endpoint.worker_.ucx().status_string(status));
  };
  const auto status = worker_.ucx().ep_create(worker_.get(), &params, &native_);
  if (status != UCS_OK) {
    native_ = nullptr;
    throw Disconnected(worker_.ucx().status_string(status));
  }
  worker_.add(native_, shared_from_this());
  worker_.go_on_later();
}

void UcxEndpoint::attach(User& user) {
  user_ = &user;
  is_reading_ = false;
}

void UcxEndpoint::read() {
  is_reading_ = true;
  act_later();
}

// ---- sending -----------------------------------------------------------------------------------

bool UcxEndpoint::has_room() const {
  return bulk_sending_ < bulk_sending_max && stream_bytes_sending_ < stream_bytes_sending_max &&
         (bulk_sending_ == 0 || stream_bytes_behind_ < stream_bytes_behind_max);
}

void UcxEndpoint::send_stream(std::vector<std::byte> bytes) {
  if (bulk_sending_ > 0) stream_bytes_behind_ += bytes.size() + message_bytes;
  const std::span<const std::byte> view(bytes);  // stays good when the vector is moved
  send(UcxHead::stream, view, std::move(bytes), {});
}

void UcxEndpoint::send_bulk(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  if (bulk_sending_ == 0) stream_bytes_behind_ = 0;
  send(UcxHead::bulk, bytes, {}, std::move(owner));
}

void UcxEndpoint::send(UcxHead::Kind kind, std::span<const std::byte> bytes,
                       std::vector<std::byte> owned, std::shared_ptr<const void> owner) {
  if (native_ == nullptr || !failure_.empty() || is_end_sent_) return;
  auto sending = std::make_unique<Sending>(Sending{shared_from_this(),
                                                   {.kind = kind, .sequence = sequence_++},
                                                   bytes.size(),
                                                   std::move(owned),
                                                   std::move(owner)});
  ucp_request_param_t params{};
  params.op_attr_mask =
      UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
  params.flags = UCP_AM_SEND_FLAG_REPLY |
                 (kind == UcxHead::bulk ? UCP_AM_SEND_FLAG_RNDV : UCP_AM_SEND_FLAG_EAGER);
  params.cb.send = &UcxEndpoint::on_sent;
  params.user_data = sending.get();
  const auto request =
      worker_.ucx().am_send_nbx(native_, UcxHead::message_id, &sending->head, sizeof sending->head,
                                bytes.data(), bytes.size(), &params);
  worker_.go_on_later();
  is_end_sent_ = kind == UcxHead::end;
  if (UCS_PTR_IS_ERR(request)) {
    return fail(std::string("lost: ") + worker_.ucx().status_string(UCS_PTR_STATUS(request)));
  }
  if (kind == UcxHead::bulk) {
    ++bulk_sending_;
  } else {
    ++streams_sending_;
    stream_bytes_sending_ += bytes.size();
  }
  if (request == nullptr) return sent(*sending, UCS_OK);
  worker_.count_unfinished(1);
  sending.release();  // on_sent has it
}

void UcxEndpoint::on_sent(void* request, ucs_status_t status, void* user_data) {
  const std::shared_ptr<Sending> sending(static_cast<Sending*>(user_data));
  UcxWorker& worker = sending->endpoint->worker_;
  worker.ucx().request_free(request);
  worker.count_unfinished(-1);
  sending->endpoint->sent(*sending, status);
  worker.bury(sending);
}

void UcxEndpoint::sent(const Sending& sending, ucs_status_t status) {
  if (sending.head.kind == UcxHead::bulk) {
    --bulk_sending_;
    bulk_bytes_sent_ += sending.bytes;
  } else {
    --streams_sending_;
    stream_bytes_sending_ -= sending.bytes;
  }
  has_sent_ = true;
  if (status != UCS_OK) {
    fail(status == UCS_ERR_CONNECTION_RESET || status == UCS_ERR_CANCELED
             ? "closed by peer"
             : std::string("lost: ") + worker_.ucx().status_string(status));
  }
  act_later();
}

// ---- receiving ---------------------------------------------------------------------------------

bool UcxEndpoint::on_message(std::span<const std::byte> header, Message message) {
  if (!failure_.empty() || is_end_here_) return false;
  UcxHead head;
  if (header.size() != sizeof head) {
    fail("bad frame: not an Ashlar message; is another program at the other end?");
    return false;
  }
  std::memcpy(static_cast<void*>(&head), header.data(), sizeof head);
  const bool is_sound = head.magic == UcxHead::magic_value && head.kind <= UcxHead::end &&
                        message.is_announced == (head.kind == UcxHead::bulk) &&
                        (message.bytes == 0 || message.data != nullptr) && head.sequence >= next_ &&
                        head.sequence - next_ < ahead_max && !arrived_.contains(head.sequence);
  if (!is_sound) {
    fail("bad frame: an impossible message");
    return false;
  }
  waiting_bytes_ += waiting(message);
  if (waiting_bytes_ > waiting_bytes_max) {
    fail("bad frame: more at once than was agreed");
    return false;
  }
  message.kind = head.kind;
  arrived_.emplace(head.sequence, message);
  act_later();
  return true;
}

std::uint64_t UcxEndpoint::waiting(const Message& message) {
  return message_bytes + (message.is_announced ? 0 : message.bytes);
}

void UcxEndpoint::on_received(void* request, ucs_status_t status, std::size_t, void* user_data) {
  auto& receiving = *static_cast<Receiving*>(user_data);
  UcxEndpoint& endpoint = *receiving.endpoint;
  UcxWorker& worker = endpoint.worker_;
  worker.ucx().request_free(request);
  worker.count_unfinished(-1);
  receiving.status = status;
  endpoint.act_later();
  worker.bury(std::exchange(receiving.self, nullptr));
}

void UcxEndpoint::release(const Message& message) {
  if (message.data != nullptr) worker_.ucx().am_data_release(worker_.get(), message.data);
}

void UcxEndpoint::act() {
  const auto kept = shared_from_this();
  if (std::exchange(has_sent_, false) && user_ != nullptr)
    user_->on_sent(std::exchange(bulk_bytes_sent_, 0));
  bool is_any = false;
  while (take_received() || take_next()) is_any = true;
  if (is_any && user_ != nullptr) user_->on_batch_end();
  tell_of_end();
  if (has_left_) end_soon();
}

bool UcxEndpoint::take_received() {
  if (receiving_.empty() || receiving_.front()->status == UCS_INPROGRESS) return false;
  const auto done = std::move(receiving_.front());
  receiving_.pop_front();
  done->owner.reset();
  if (done->status != UCS_OK) {
    fail(done->status == UCS_ERR_CANCELED || done->status == UCS_ERR_CONNECTION_RESET
             ? "closed by peer"
             : std::string("lost: ") + worker_.ucx().status_string(done->status));
  } else if (user_ != nullptr) {
    user_->on_bulk(done->bytes);
  }
  return true;
}

/// Bulk messages are received several at a time, others wait for those.
bool UcxEndpoint::take_next() {
  if (!is_reading_ && !has_left_) return false;
  const auto next = arrived_.begin();
  if (next == arrived_.end() || next->first != next_) return false;
  if (next->second.kind != UcxHead::bulk && !receiving_.empty()) return false;
  const Message message = next->second;
  arrived_.erase(next);
  waiting_bytes_ -= waiting(message);
  ++next_;
  take(message);
  return true;
}

void UcxEndpoint::take(Message message) {
  if (message.kind == UcxHead::bulk && user_ != nullptr) return take_bulk(message);
  if (message.kind == UcxHead::end) is_end_here_ = true;
  if (message.kind == UcxHead::greeting && user_ != nullptr) user_->on_greeting();
  if (message.kind == UcxHead::stream && user_ != nullptr)
    user_->on_stream(bytes_of(message.data, message.bytes));
  release(message);
}

void UcxEndpoint::take_bulk(Message message) {
  Place place = user_->on_bulk_announced(message.bytes);
  if (native_ == nullptr || !failure_.empty() || place.bytes.size() != message.bytes ||
      message.bytes == 0)
    return release(message);
  auto receiving = std::make_shared<Receiving>(
      Receiving{shared_from_this(), nullptr, std::move(place.owner), message.bytes});
  receiving->self = receiving;
  receiving_.push_back(receiving);
  ucp_request_param_t params{};
  params.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  params.cb.recv_am = &UcxEndpoint::on_received;
  params.user_data = receiving.get();
  const auto request = worker_.ucx().am_recv_data_nbx(worker_.get(), message.data,
                                                      place.bytes.data(), message.bytes, &params);
  worker_.go_on_later();
  if (request != nullptr && !UCS_PTR_IS_ERR(request)) {
    worker_.count_unfinished(1);
    return;
  }
  receiving->self = nullptr;
  receiving->status = request == nullptr ? UCS_OK : UCS_PTR_STATUS(request);
}

// ---- ending ------------------------------------------------------------------------------------

void UcxEndpoint::fail(const std::string& reason) {
  if (!failure_.empty()) return;
  failure_ = reason;
  act_later();
}

/// What has arrived before the failure is handed over first.
void UcxEndpoint::tell_of_end() {
  if (user_ == nullptr || !is_reading_ || is_end_told_ || (failure_.empty() && !is_end_here_))
    return;
  is_end_told_ = true;
  user_->on_end(is_end_here_ ? "closed by peer" : failure_);
}

void UcxEndpoint::leave() {
  if (std::exchange(has_left_, true)) return;
  user_ = nullptr;
  patience_.expires_after(patience);
  patience_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto endpoint = weak.lock();
    if (endpoint && !error) endpoint->close();
  });
  send(UcxHead::end, {}, {}, {});
  act_later();
}

void UcxEndpoint::end_soon() {
  const bool is_done =
      is_end_here_ && bulk_sending_ == 0 && streams_sending_ == 0 && receiving_.empty();
  if (is_done || !failure_.empty()) close();
}

void UcxEndpoint::cut_off() {
  has_left_ = true;
  user_ = nullptr;
  close();
}

void UcxEndpoint::close() {
  if (native_ == nullptr) return;
  const auto kept = shared_from_this();
  patience_.cancel();
  if (failure_.empty()) failure_ = "closed";
  for (const auto& [sequence, message] : std::exchange(arrived_, {})) release(message);
  ucp_request_param_t params{};
  params.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  params.flags = UCP_EP_CLOSE_FLAG_FORCE;
  const auto native = std::exchange(native_, nullptr);
  const auto request = worker_.ucx().ep_close_nbx(native, &params);
  if (request != nullptr && !UCS_PTR_IS_ERR(request)) worker_.ucx().request_free(request);
  worker_.remove(native);
  worker_.go_on_later();
}

}  // namespace ashlar::net
