#include <ashlar/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/shape.hpp"
#include "kernels/npy.hpp"
#include "kernels/npy_file.hpp"

namespace ashlar::kernels {

namespace {

constexpr std::size_t header_bytes_max = std::size_t{1} << 20;
constexpr std::string_view magic = "\x93NUMPY";

// Reads the Python dictionary of a header, such as
// {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }
class Dictionary {
 public:
  Dictionary(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  void parse(array::NpyFile& file) {
    bool has_type = false;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!skip('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        file.dtype = dtype();
        has_type = true;
      } else if (key == "fortran_order") {
        file.is_fortran = boolean();
        has_order = true;
      } else if (key == "shape") {
        file.shape = shape();
        has_shape = true;
      } else {
        refuse("its header has the unknown key \"" + std::string(key) + "\"");
      }
      if (!skip(',') && peek() != '}') malformed();
    }
    for (const auto& [has_key, key] :
         {std::pair{has_type, "descr"}, std::pair{has_order, "fortran_order"},
          std::pair{has_shape, "shape"}}) {
      if (!has_key) refuse("its header lacks the key \"" + std::string(key) + "\"");
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& finding) const { refuse_npy(path_, finding); }
  [[noreturn]] void malformed() const { refuse("its header is malformed"); }

  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool skip(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!skip(c)) malformed();
  }

  std::string_view string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') malformed();
    const std::size_t end = text_.find(quote, ++at_);
    if (end == std::string_view::npos) malformed();
    const std::string_view value = text_.substr(at_, end - at_);
    at_ = end + 1;
    return value;
  }

  bool boolean() {
    peek();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    }
    malformed();
  }

  DType dtype() {
    if (peek() == '[') refuse("its elements are structures; only plain numbers are read");
    const std::string_view description = string();
    const std::string shown = "its element type \"" + std::string(description) + "\" ";
    if (description.size() < 2) refuse(shown + "is not known");
    const auto found = dtype_from_npy_code(description.substr(1));
    const char order = description[0];
    if (!found || std::string_view("<>|=").find(order) == std::string_view::npos) {
      refuse(shown + "is not known; convert it with NumPy's astype to one of " + known_types());
    }
    if (order == '>' && dtype_bytes(*found) > 1) {
      refuse(shown + "is big-endian; convert it with NumPy's astype(\"<" +
             std::string(dtype_npy_code(*found)) + "\")");
    }
    return *found;
  }

  static std::string known_types() {
    std::string names;
    for (std::uint8_t i = 0; i < dtype_count; ++i) {
      if (i > 0) names += ", ";
      names += dtype_name(DType{i});
    }
    return names;
  }

  Shape shape() {
    Shape shape;
    expect('(');
    while (!skip(')')) {
      shape.push_back(number());
      if (shape.size() > array::max_dimensions) refuse("it has too many dimensions");
      if (!skip(',') && peek() != ')') malformed();
    }
    return shape;
  }

  std::int64_t number() {
    std::int64_t value = 0;
    bool has_digit = false;
    if (peek() == '-') refuse("its shape has a negative extent");
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_) {
      const int digit = text_[at_] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) malformed();
      value = value * 10 + digit;
      has_digit = true;
    }
    if (!has_digit) malformed();
    skip('L');  // written by Python 2
    return value;
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

array::NpyFile npy_read_header(const std::string& path) {
  const NpyDescriptor descriptor(path, O_RDONLY);
  const std::uint64_t file_bytes = descriptor.file_bytes();
  unsigned char prefix[12] = {};
  const std::size_t prefix_bytes = std::min<std::uint64_t>(file_bytes, sizeof prefix);
  descriptor.read(0, {reinterpret_cast<std::byte*>(prefix), prefix_bytes});
  if (prefix_bytes < 10 || std::memcmp(prefix, magic.data(), magic.size()) != 0) {
    refuse_npy(path, "it is not a .npy file, such as numpy.save() writes");
  }
  const int version = prefix[6];
  if (version < 1 || version > 3) {
    refuse_npy(path, "its format version " + std::to_string(version) + " is not known");
  }
  const std::size_t begin = version == 1 ? 10 : 12;
  std::size_t bytes = prefix[8] | std::size_t{prefix[9]} << 8;
  if (version > 1) bytes |= std::size_t{prefix[10]} << 16 | std::size_t{prefix[11]} << 24;
  if (bytes > header_bytes_max || begin + bytes > file_bytes) {
    refuse_npy(path, "its header is cut off or too long");
  }
  std::string text(bytes, '\0');
  descriptor.read(begin, std::as_writable_bytes(std::span(text)));

  array::NpyFile file{.path = path,
                      .dtype = DType::float64,
                      .shape = {},
                      .is_fortran = false,
                      .data_offset = begin + bytes};
  Dictionary(path, text).parse(file);
  if (file.shape.size() < 2) file.is_fortran = false;  // one order only
  check_npy_length(file, file_bytes);
  return file;
}

std::string npy_header(DType dtype, const Shape& shape, bool is_fortran) {
  std::string extents;
  for (const std::int64_t extent : shape) extents += std::to_string(extent) + ", ";
  if (shape.size() > 1) extents.resize(extents.size() - 2);
  if (shape.size() == 1) extents.pop_back();
  std::string text = "{'descr': '" + std::string(dtype_bytes(dtype) == 1 ? "|" : "<") +
                     std::string(dtype_npy_code(dtype)) +
                     "', 'fortran_order': " + (is_fortran ? "True" : "False") + ", 'shape': (" +
                     extents + "), }";
  constexpr std::size_t prefix_bytes = 10;
  while ((prefix_bytes + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string header(magic);
  header += '\x01';
  header += '\x00';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

array::NpyFile npy_layout(const std::string& path, DType dtype, const Shape& shape,
                          bool is_fortran) {
  is_fortran = is_fortran && shape.size() > 1;
  return {.path = path,
          .dtype = dtype,
          .shape = shape,
          .is_fortran = is_fortran,
          .data_offset = npy_header(dtype, shape, is_fortran).size()};
}

array::NpyFile npy_create(const std::string& path, DType dtype, const Shape& shape,
                          bool is_fortran) {
  const array::NpyFile file = npy_layout(path, dtype, shape, is_fortran);
  const std::string header = npy_header(dtype, shape, file.is_fortran);
  const std::size_t bytes = checked_bytes(dtype, shape);
  const NpyDescriptor descriptor(path, O_RDWR | O_CREAT | O_TRUNC);
  descriptor.write(0, std::as_bytes(std::span(header)));
  descriptor.reserve(header.size() + bytes);
  return file;
}

}  // namespace ashlar::kernels
