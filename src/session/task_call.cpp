#include <ashlar/detail/task_call.hpp>

namespace ashlar::detail {

ArgumentWord ArgumentCursor::next_word() {
  ++argument_;
  const auto word = params_.read<std::uint32_t>();
  const auto kind = word >> argument_count_bits;
  const auto count = word & argument_count_max;
  if (kind > static_cast<std::uint32_t>(ArgumentKind::inputs)) {
    throw BadInput("unknown kind " + std::to_string(kind));
  }
  return {ArgumentKind{kind}, count};
}

std::span<const std::byte> ArgumentCursor::next_input() {
  if (next_input_ >= call_.inputs.size()) {
    throw BadInput("expected more than the task's " + std::to_string(call_.inputs.size()) +
                   " inputs");
  }
  last_input_ = next_input_;
  return call_.inputs[next_input_++];
}

std::span<const std::byte> ArgumentCursor::next_value() {
  const ArgumentWord word = next_word();
  switch (word.kind) {
    case ArgumentKind::inlined:
      last_input_ = ~std::uint32_t{0};
      return params_.take(word.count);
    case ArgumentKind::input:
      return next_input();
    case ArgumentKind::inputs:
      break;
  }
  throw BadInput("expected one value, found a list of " + std::to_string(word.count));
}

ArrayBytes read_array(std::span<const std::byte> bytes, DType dtype, std::size_t ndim) {
  Reader reader(bytes);
  ArrayBytes array;
  array.header = read_array_header(reader);
  require_array(array.header.dtype, array.header.ndim, dtype, ndim);
  array.elements = reader.take(array.header.element_bytes).data();
  reader.finish();
  return array;
}

std::span<std::byte> take_over_next_array(ArgumentCursor& cursor, DType dtype, std::size_t ndim) {
  const auto bytes = cursor.next_value();
  read_array(bytes, dtype, ndim);  // refuses a wrong array before its buffer is taken
  const auto output = cursor.call().outputs.allocate(0, bytes.size()).first(bytes.size());
  const bool is_taken_over =
      cursor.last_input() != ~std::uint32_t{0} && cursor.last_input() == cursor.call().reused_input;
  if (!is_taken_over) std::memcpy(output.data(), bytes.data(), bytes.size());
  return output;
}

}  // namespace ashlar::detail
