#include "kernels/registry.hpp"

#include <ashlar/error.hpp>

#include <utility>

#include "kernels/builtin.hpp"

namespace ashlar::kernels {

void Registry::add(Kernel kernel) {
  if (kernel.name.empty()) throw BadInput("a kernel needs a name");
  if (!kernel.cpu && !kernel.device) {
    throw BadInput("kernel \"" + kernel.name + "\" has neither a CPU nor a device function");
  }
  if (find(kernel.name) >= 0) {
    throw BadInput("a kernel named \"" + kernel.name + "\" is registered already");
  }
  positions_.emplace(kernel.name, kernels_.size());
  kernels_.push_back(std::move(kernel));
}

std::int64_t Registry::find(std::string_view name) const {
  const auto found = positions_.find(name);
  return found == positions_.end() ? -1 : static_cast<std::int64_t>(found->second);
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> names;
  names.reserve(kernels_.size());
  for (const auto& kernel : kernels_) names.push_back(kernel.name);
  return names;
}

std::vector<std::uint32_t> Registry::repeatable() const {
  std::vector<std::uint32_t> positions;
  for (std::uint32_t position = 0; position < kernels_.size(); ++position) {
    if (kernels_[position].is_repeatable) positions.push_back(position);
  }
  return positions;
}

Registry builtin_registry() {
  Registry registry;
  add_generators(registry);
  add_elementwise(registry);
  add_reductions(registry);
  add_matmul(registry);
  add_layout(registry);
  add_npy(registry);
  return registry;
}

}  // namespace ashlar::kernels
