#include <ashlar/error.hpp>

#include "net/ucx.hpp"

// In place of the other files of UCX, where it was not found.

namespace ashlar::net {

void need_ucx() {
  throw Unsupported(
      "this Ashlar was built without UCX; use the transport tcp, or build it with -DASHLAR_UCX=ON "
      "where UCX's headers are (package libucx-dev)");
}

std::unique_ptr<Listener> listen_by_ucx(boost::asio::io_context&, const Address&,
                                        std::function<void(std::shared_ptr<Link>)>, Limits) {
  need_ucx();
  return nullptr;
}

void connect_by_ucx(boost::asio::io_context&, const std::string&, int,
                    std::function<void(std::shared_ptr<Link>, const NoLink&)>, Limits) {
  need_ucx();
}

std::string ucx_text(const Address&) {
  need_ucx();
  return {};
}

}  // namespace ashlar::net
