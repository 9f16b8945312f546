#include <ashlar/error.hpp>

#include <dlfcn.h>

#include "apps/commands.hpp"

namespace ashlar::apps {

void load_plugins(const std::vector<std::string>& libraries, Tasks& tasks) {
  for (const auto& library : libraries) {
    // Never closed: the tasks' code must stay.
    void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      throw BadInput("--load " + library + ": " + ::dlerror());
    }
    auto* name_tasks =
        reinterpret_cast<void (*)(Tasks&)>(::dlsym(handle, "ashlar_name_tasks"));
    if (name_tasks == nullptr) {
      throw BadInput("--load " + library +
                     ": it does not define ashlar_name_tasks (see ashlar/plugin.hpp)");
    }
    name_tasks(tasks);
  }
}

}  // namespace ashlar::apps
