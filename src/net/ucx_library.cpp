#include "net/ucx_library.hpp"

#include <ashlar/error.hpp>

#include <dlfcn.h>
#include <signal.h>
#include <ucm/api/ucm.h>
#include <ucs/config/global_opts.h>
#include <ucs/debug/debug.h>

#include <cstdlib>
#include <string>

namespace ashlar::net {

namespace {

constexpr const char* library_name = "libucp.so.0";

bool is_set(const char* variable) { return std::getenv(variable) != nullptr; }

/// The library that was loaded; it stays.
class Loaded {
 public:
  Loaded() : handle_(::dlopen(library_name, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) {
      throw Unsupported(std::string("UCX cannot be loaded: ") + ::dlerror() +
                        "; install it (package libucx0), or use the transport tcp");
    }
  }

  template <class Function>
  void find(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(::dlsym(handle_, name));
    if (function == nullptr) {
      throw Unsupported(std::string(library_name) + " has no function " + name +
                        "; install UCX 1.13 or newer, or use the transport tcp");
    }
  }

 private:
  void* handle_;
};

/// A guest in its process: takes back the signal handlers that loading has installed, hooks no
/// memory functions, prints nothing. What the environment asks for stays.
void be_quiet(const Loaded& loaded) {
  if (!is_set("UCX_ERROR_SIGNALS") && !is_set("UCX_HANDLE_ERRORS")) {
    decltype(&::ucs_debug_disable_signal) disable_signal;
    loaded.find(disable_signal, "ucs_debug_disable_signal");
    for (const int signal : {SIGILL, SIGSEGV, SIGBUS, SIGFPE}) disable_signal(signal);
  }
  if (!is_set("UCX_LOG_LEVEL")) {
    decltype(&::ucs_global_opts_set_value) set_value;
    loaded.find(set_value, "ucs_global_opts_set_value");
    set_value("LOG_LEVEL", "fatal");
  }
  if (!is_set("UCX_MEM_EVENTS")) {
    ucm_global_config_t* memory;
    loaded.find(memory, "ucm_global_opts");
    memory->enable_events = 0;
  }
}

}  // namespace

UcxLibrary::UcxLibrary() {
  const Loaded loaded;
  loaded.find(config_read, "ucp_config_read");
  loaded.find(config_modify, "ucp_config_modify");
  loaded.find(config_release, "ucp_config_release");
  loaded.find(init_version, "ucp_init_version");
  loaded.find(cleanup, "ucp_cleanup");
  loaded.find(worker_create, "ucp_worker_create");
  loaded.find(worker_destroy, "ucp_worker_destroy");
  loaded.find(worker_get_efd, "ucp_worker_get_efd");
  loaded.find(worker_arm, "ucp_worker_arm");
  loaded.find(worker_progress, "ucp_worker_progress");
  loaded.find(worker_set_am_recv_handler, "ucp_worker_set_am_recv_handler");
  loaded.find(listener_create, "ucp_listener_create");
  loaded.find(listener_destroy, "ucp_listener_destroy");
  loaded.find(listener_query, "ucp_listener_query");
  loaded.find(listener_reject, "ucp_listener_reject");
  loaded.find(conn_request_query, "ucp_conn_request_query");
  loaded.find(ep_create, "ucp_ep_create");
  loaded.find(ep_close_nbx, "ucp_ep_close_nbx");
  loaded.find(am_send_nbx, "ucp_am_send_nbx");
  loaded.find(am_recv_data_nbx, "ucp_am_recv_data_nbx");
  loaded.find(am_data_release, "ucp_am_data_release");
  loaded.find(request_free, "ucp_request_free");
  loaded.find(status_string, "ucs_status_string");
  be_quiet(loaded);
}

const UcxLibrary& UcxLibrary::get() {
  static const UcxLibrary library;  // a shared library is one for the process
  return library;
}

}  // namespace ashlar::net
