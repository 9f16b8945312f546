#include <ashlar/error.hpp>

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "apps/commands.hpp"

namespace ashlar::apps {

namespace {
std::string remedy(const std::string& library) {
  if (library.find('/') == std::string::npos) {
    return "; without a slash it is searched for where the system's libraries are: for one of "
           "this folder give ./" +
           library;
  }
  if (std::error_code error; !std::filesystem::exists(library, error)) return "; check the path";
  return "; expected a shared library built for this machine, whose own libraries can be found";
}
}  // namespace

void load_plugins(const std::vector<std::string>& libraries, Tasks& tasks) {
  for (const auto& library : libraries) {
    // Never closed: the tasks' code must stay.
    void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      throw BadInput("--load " + library + ": " + ::dlerror() + remedy(library));
    }
    auto* name_tasks = reinterpret_cast<void (*)(Tasks&)>(::dlsym(handle, "ashlar_name_tasks"));
    if (name_tasks == nullptr) {
      throw BadInput("--load " + library +
                     ": it does not define ashlar_name_tasks (see ashlar/plugin.hpp)");
    }
    name_tasks(tasks);
  }
}

}  // namespace ashlar::apps
