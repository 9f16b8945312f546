#pragma once

#include <cstddef>
#include <string>

namespace ashlar::scheduler {

/// "12.3 ms": three digits, in a unit that suits.
std::string time_text(double ns);
/// "1.5 MB"
std::string bytes_text(double bytes);
/// "41 %" of a share; "< 1 %" of a little.
std::string share_text(double share);
/// At most so many bytes (but four), with a mark at the end where something is left out. Never cuts
/// a character of UTF-8.
std::string clipped(std::string text, std::size_t bytes_max);
/// "1 task", "3 tasks"
std::string count_text(std::size_t count, const std::string& what);

}  // namespace ashlar::scheduler
