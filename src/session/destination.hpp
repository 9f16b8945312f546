#pragma once

#include <ashlar/array.hpp>
#include <ashlar/detail/destination.hpp>
#include <ashlar/host_array.hpp>

#include <cstddef>
#include <span>

namespace ashlar::session {

/// The elements of an array in this process, which must live as long.
detail::Destination destination_of(HostArray& array);

/// Errors: BadInput unless the array's elements can go there, each to a place of its own.
void check_destination(const detail::Destination& to, const Array& array);

/// The destination and the bytes have memory in common.
bool overlap(const detail::Destination& to, std::span<const std::byte> bytes);

}  // namespace ashlar::session
