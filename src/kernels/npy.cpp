#include "kernels/npy.hpp"

#include <ashlar/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/shape.hpp"
#include "kernels/builtin.hpp"
#include "kernels/layout.hpp"
#include "kernels/npy_file.hpp"

namespace ashlar::kernels {

void refuse_npy(const std::string& path, const std::string& finding) {
  throw BadInput("file \"" + path + "\": " + finding);
}

namespace {
/// What is wrong, and what to do.
std::string why_not_open(int error) {
  const std::string finding = std::string("cannot be opened: ") + std::strerror(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return finding + "; check the path, which this host and those of the workers must see alike";
    case EACCES:
    case EPERM:
    case EROFS:
      return finding + "; ask for the right to, or choose another path";
    default:
      return finding;
  }
}
}  // namespace

NpyDescriptor::NpyDescriptor(const std::string& path, int flags) : path_(path) {
  // What is behind it neither opening sees nor who reads the error.
  if (const auto null = path.find('\0'); null != std::string::npos) {
    refuse_npy(path.substr(0, null), "its name goes on behind a null character; leave that out");
  }
  descriptor_ = store::FileDescriptor(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0666));
  if (!descriptor_.is_open()) refuse_npy(path, why_not_open(errno));
  struct stat status = {};
  if (::fstat(descriptor_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    refuse_npy(path, "it is not a regular file");
  }
}

std::uint64_t NpyDescriptor::file_bytes() const {
  struct stat status = {};
  if (::fstat(descriptor_.get(), &status) != 0) refuse_npy(path_, std::strerror(errno));
  return static_cast<std::uint64_t>(status.st_size);
}

void NpyDescriptor::read(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t got =
        ::pread(descriptor_.get(), to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw TaskFailed("file \"" + path_ + "\" cannot be read: " + std::strerror(errno));
    }
    if (got == 0) refuse_npy(path_, "it ends at byte " + std::to_string(offset));
    offset += static_cast<std::uint64_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
}

void NpyDescriptor::write(std::uint64_t offset, std::span<const std::byte> from) const {
  while (!from.empty()) {
    const ssize_t put =
        ::pwrite(descriptor_.get(), from.data(), from.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      throw TaskFailed("file \"" + path_ + "\" cannot be written: " + std::strerror(errno));
    }
    offset += static_cast<std::uint64_t>(put);
    from = from.subspan(static_cast<std::size_t>(put));
  }
}

void NpyDescriptor::reserve(std::uint64_t bytes) const {
  if (::fallocate(descriptor_.get(), 0, 0, static_cast<off_t>(bytes)) != 0 &&
      (errno == ENOSPC || errno == EFBIG)) {
    throw Overloaded("file \"" + path_ + "\": no room for " + std::to_string(bytes) +
                     " bytes: " + std::strerror(errno));
  }
  if (::ftruncate(descriptor_.get(), static_cast<off_t>(bytes)) != 0) {
    refuse_npy(path_, std::string("cannot be given its length: ") + std::strerror(errno));
  }
}

namespace {
std::uint64_t npy_bytes(const array::NpyFile& file) {
  try {
    return checked_bytes(file.dtype, file.shape);
  } catch (const BadInput& error) {
    refuse_npy(file.path, error.what());
  }
}
}  // namespace

void check_npy_length(const array::NpyFile& file, std::uint64_t file_bytes) {
  const std::uint64_t bytes = npy_bytes(file);
  if (file.data_offset > file_bytes || bytes > file_bytes - file.data_offset) {
    refuse_npy(file.path, "expected " + std::to_string(bytes) + " bytes of " +
                              to_string(file.shape) + " " + std::string(dtype_name(file.dtype)) +
                              " after its header of " + std::to_string(file.data_offset) +
                              ", but it has only " +
                              std::to_string(file_bytes - std::min(file_bytes, file.data_offset)) +
                              ": it is cut off; write or copy it again");
  }
}

namespace {

using namespace array;

void check_box(const NpyFile& file, const Shape& start, const Shape& extents, std::size_t bytes) {
  bool is_inside = start.size() == file.shape.size() && extents.size() == file.shape.size();
  for (std::size_t d = 0; is_inside && d < start.size(); ++d) {
    is_inside = start[d] >= 0 && extents[d] >= 0 && start[d] <= file.shape[d] &&
                extents[d] <= file.shape[d] - start[d];
  }
  if (!is_inside || bytes != checked_bytes(file.dtype, extents)) {
    refuse_npy(file.path, "the chunk at " + to_string(start) + " of " + to_string(extents) +
                              " is not part of its " + to_string(file.shape));
  }
}

// Calls move(file_offset, box_offset, bytes) for every contiguous run of a box; the file's
// dimensions are given slowest first.
template <class Move>
void for_each_run(const NpyFile& file, const Shape& shape, const Shape& start, const Shape& extents,
                  Move move) {
  if (element_count(extents) == 0) return;
  const std::size_t dimensions = shape.size();
  const std::size_t element_bytes = dtype_bytes(file.dtype);
  // Dimensions from `split` on are one run; all but the first of them are covered entirely.
  std::size_t split = dimensions;
  std::size_t run = 1;
  while (split > 0 && (split == dimensions || extents[split] == shape[split])) {
    --split;
    run *= static_cast<std::size_t>(extents[split]);
  }
  const std::size_t run_bytes = run * element_bytes;
  std::array<std::int64_t, max_dimensions> index{};
  for (std::size_t box_offset = 0;; box_offset += run_bytes) {
    std::uint64_t element = 0;
    for (std::size_t d = 0; d < dimensions; ++d) {
      element = element * static_cast<std::uint64_t>(shape[d]) +
                static_cast<std::uint64_t>(start[d] + index[d]);
    }
    move(file.data_offset + element * element_bytes, box_offset, run_bytes);
    std::size_t d = split;
    for (; d > 0; --d) {
      if (++index[d - 1] < extents[d - 1]) break;
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

// A Fortran-ordered file is the C-ordered file of the transposed array.
Shape reversed(const Shape& shape) { return {shape.rbegin(), shape.rend()}; }

void permute_reversed(const NpyFile& file, const Shape& extents, const std::byte* from,
                      std::byte* to) {
  std::vector<std::uint8_t> axes(extents.size());
  std::iota(axes.rbegin(), axes.rend(), std::uint8_t{0});
  permute_block(dtype_bytes(file.dtype), extents, axes, from, to);
}

}  // namespace

void npy_read_box(const NpyFile& file, const Shape& start, const Shape& extents,
                  std::span<std::byte> to) {
  check_box(file, start, extents, to.size());
  const NpyDescriptor descriptor(file.path, O_RDONLY);
  check_npy_length(file, descriptor.file_bytes());
  if (!file.is_fortran) {
    for_each_run(file, file.shape, start, extents, [&](auto offset, auto at, auto bytes) {
      descriptor.read(offset, to.subspan(at, bytes));
    });
  } else {
    std::vector<std::byte> box(to.size());
    for_each_run(file, reversed(file.shape), reversed(start), reversed(extents),
                 [&](auto offset, auto at, auto bytes) {
                   descriptor.read(offset, std::span(box).subspan(at, bytes));
                 });
    permute_reversed(file, reversed(extents), box.data(), to.data());
  }
  if (file.dtype == DType::boolean) {
    for (std::byte& value : to) value = value == std::byte{0} ? std::byte{0} : std::byte{1};
  }
}

void npy_write_box(const NpyFile& file, const Shape& start, const Shape& extents,
                   std::span<const std::byte> from) {
  check_box(file, start, extents, from.size());
  const NpyDescriptor descriptor(file.path, O_RDWR);
  check_npy_length(file, descriptor.file_bytes());
  if (!file.is_fortran) {
    for_each_run(file, file.shape, start, extents, [&](auto offset, auto at, auto bytes) {
      descriptor.write(offset, from.subspan(at, bytes));
    });
    return;
  }
  std::vector<std::byte> box(from.size());
  permute_reversed(file, extents, from.data(), box.data());
  for_each_run(file, reversed(file.shape), reversed(start), reversed(extents),
               [&](auto offset, auto at, auto bytes) {
                 descriptor.write(offset, std::span(box).subspan(at, bytes));
               });
}

void add_npy(Registry& registry) {
  registry.add(
      builtin_kernel<NpyReadParams>([](const NpyReadParams& params, const CheckedCall& call) {
        npy_read_box(params.file, params.start, params.extents, call.output);
      }));
  registry.add(
      builtin_kernel<NpyWriteParams>([](const NpyWriteParams& params, const CheckedCall& call) {
        npy_write_box(params.file, params.start, params.extents, call.inputs[0]);
        *call.out<std::int64_t>() = static_cast<std::int64_t>(call.inputs[0].size());
      }));
}

}  // namespace ashlar::kernels
