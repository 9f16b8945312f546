#include "net/ucx_worker.hpp"

#include <ashlar/error.hpp>

#include <boost/asio/post.hpp>

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

#include "net/ucx_devices.hpp"
#include "net/ucx_endpoint.hpp"

namespace ashlar::net {

namespace {

/// Of UCX, before others have their turn.
constexpr int steps_per_turn = 16;
/// At the end, for letting go of memory that is still being sent.
constexpr auto farewell_time = std::chrono::milliseconds(500);

[[noreturn]] void fail(const UcxLibrary& ucx, const char* what, ucs_status_t status) {
  throw Unsupported(std::string("UCX does not start: ") + what + ": " + ucx.status_string(status) +
                    "; check the UCX_ variables of the environment, or use the transport tcp");
}

}  // namespace

UcxWorker::UcxWorker(boost::asio::execution_context& context)
    : service(context),
      io_(static_cast<boost::asio::io_context&>(context)),
      poll_(LinkPoll::of(io_)),
      event_(io_) {}

UcxWorker& UcxWorker::of(boost::asio::io_context& io) {
  auto& worker = boost::asio::use_service<UcxWorker>(io);
  if (worker.worker_ == nullptr) worker.open({});
  return worker;
}

UcxWorker& UcxWorker::at(boost::asio::io_context& io, const boost::asio::ip::address& address) {
  auto& worker = boost::asio::use_service<UcxWorker>(io);
  if (worker.worker_ == nullptr) worker.open(ucx_devices_at(address));
  return worker;
}

void UcxWorker::open(const std::string& devices) {
  ucx_ = &UcxLibrary::get();
  if (context_ == nullptr) {
    ucp_config_t* config = nullptr;
    if (const auto status = ucx_->config_read(nullptr, nullptr, &config); status != UCS_OK)
      fail(*ucx_, "its configuration", status);
    // Shared memory is used only if it notices that the peer is gone. An older or newer UCX may not
    // know the name, and then uses other ways.
    if (std::getenv("UCX_POSIX_ERROR_HANDLING") == nullptr)
      ucx_->config_modify(config, "POSIX_ERROR_HANDLING", "y");
    if (!devices.empty() && std::getenv("UCX_NET_DEVICES") == nullptr)
      ucx_->config_modify(config, "NET_DEVICES", devices.c_str());
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES;
    params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
    const auto status =
        ucx_->init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &context_);
    ucx_->config_release(config);
    if (status != UCS_OK) {
      context_ = nullptr;
      fail(*ucx_, "its transports", status);
    }
  }
  open_worker();
  poll_.add(*this);
  go_on_later();
}

void UcxWorker::open_worker() {
  ucp_worker_params_t params{};
  params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  ucp_worker_h worker = nullptr;
  if (const auto status = ucx_->worker_create(context_, &params, &worker); status != UCS_OK)
    fail(*ucx_, "a worker", status);
  int descriptor = -1;
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                       UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = UcxHead::message_id;
  handler.flags = UCP_AM_FLAG_PERSISTENT_DATA;
  handler.cb = &UcxWorker::on_message;
  handler.arg = this;
  auto status = ucx_->worker_set_am_recv_handler(worker, &handler);
  if (status == UCS_OK) status = ucx_->worker_get_efd(worker, &descriptor);
  boost::system::error_code error;
  if (status == UCS_OK) event_.assign(descriptor, error);
  if (status != UCS_OK || error) {
    ucx_->worker_destroy(worker);
    fail(*ucx_, "its events", status != UCS_OK ? status : UCS_ERR_IO_ERROR);
  }
  worker_ = worker;
}

/// Links are gone by now; what is still on its way is cut off.
void UcxWorker::shutdown() {
  to_flush_.clear();
  if (worker_ != nullptr) {
    const auto end = std::chrono::steady_clock::now() + farewell_time;
    for (const auto& [native, endpoint] : std::map(endpoints_)) endpoint->cut_off();
    while (unfinished_ > 0 && std::chrono::steady_clock::now() < end)
      ucx_->worker_progress(worker_);
    event_.release();
    ucx_->worker_destroy(std::exchange(worker_, nullptr));
  }
  if (context_ != nullptr) ucx_->cleanup(std::exchange(context_, nullptr));
  buried_.clear();
}

void UcxWorker::add(ucp_ep_h native, std::shared_ptr<UcxEndpoint> endpoint) {
  endpoints_[native] = std::move(endpoint);
}

void UcxWorker::remove(ucp_ep_h native) {
  const auto gone = endpoints_.extract(native);
  if (gone) bury(gone.mapped());
}

ucs_status_t UcxWorker::on_message(void* worker, const void* header, std::size_t header_bytes,
                                   void* data, std::size_t bytes,
                                   const ucp_am_recv_param_t* param) {
  auto& self = *static_cast<UcxWorker*>(worker);
  if ((param->recv_attr & UCP_AM_RECV_ATTR_FIELD_REPLY_EP) == 0) return UCS_OK;
  const auto endpoint = self.endpoints_.find(param->reply_ep);
  if (endpoint == self.endpoints_.end()) return UCS_OK;
  const bool is_announced = (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0;
  const bool is_held = is_announced || (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_DATA) != 0;
  const bool is_kept =
      endpoint->second->on_message({static_cast<const std::byte*>(header), header_bytes},
                                   {is_held ? data : nullptr, bytes, is_announced});
  return is_held && is_kept ? UCS_INPROGRESS : UCS_OK;
}

void UcxWorker::act_later(std::weak_ptr<UcxActor> actor) {
  to_act_.push_back(std::move(actor));
  go_on_later();
}

void UcxWorker::go_on_later() {
  if (is_turn_posted_ || poll_.has_poller()) return;
  is_turn_posted_ = true;
  boost::asio::post(io_, [this] {
    is_turn_posted_ = false;
    turn();
  });
}

void UcxWorker::flush_later(std::function<void()> flush) {
  to_flush_.push_back(std::move(flush));
  if (poll_.has_poller()) {
    if (to_flush_.size() == 1) poll_.flush_later(*this);
  } else if (to_flush_.size() == 1) {
    boost::asio::post(io_, [this] { this->flush(); });
  }
}

void UcxWorker::flush() {
  for (const auto& each : std::exchange(to_flush_, {})) each();
}

/// Returns whether anything happened.
bool UcxWorker::progress() {
  has_news_ = false;
  bool did_anything = act();
  for (int i = 0; i < steps_per_turn && ucx_->worker_progress(worker_) > 0; ++i) {
    did_anything = true;
    act();  // after each step, so that what has come does not pile up
  }
  return act() || did_anything;
}

bool UcxWorker::act() {
  const auto to_act = std::exchange(to_act_, {});
  for (const auto& weak : to_act) {
    if (const auto actor = weak.lock()) actor->act();
  }
  while (!buried_.empty()) {
    const auto dying = std::exchange(buried_, {});  // whose end may have others buried
  }
  return !to_act.empty();
}

bool UcxWorker::poll() {
  const bool may_progress = !endpoints_.empty() || unfinished_ > 0 || !to_act_.empty() || has_news_;
  return may_progress && progress();
}

bool UcxWorker::await() {
  return worker_ != nullptr && (!to_act_.empty() || !to_flush_.empty() || !arm());
}

/// From now on the descriptor tells of news; false when there are some.
bool UcxWorker::arm() {
  has_news_ = ucx_->worker_arm(worker_) == UCS_ERR_BUSY;
  if (!has_news_) wait();
  return !has_news_;
}

void UcxWorker::wait() {
  if (is_waiting_) return;
  is_waiting_ = true;
  event_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& error) {
                      is_waiting_ = false;
                      if (!error) turn();
                    });
}

/// Where nobody polls: goes on, then waits for news, or for its next turn when there are some.
void UcxWorker::turn() {
  if (worker_ == nullptr) return;
  progress();
  if (!poll_.has_poller() && (!to_act_.empty() || !arm())) go_on_later();
}

}  // namespace ashlar::net
