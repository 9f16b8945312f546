#include "scheduler/bounds.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>

#include "scheduler/words.hpp"

namespace ashlar::scheduler {

void Bounds::add(double share, std::string what, std::string detail) {
  // Written so that what is no number counts as nothing.
  const double clamped = share > 0 ? std::min(share, 1.0) : 0;
  parts_.push_back({clamped, std::move(what), std::move(detail)});
}

std::vector<Bounds::Part> Bounds::sorted() const {
  std::vector<Part> parts = parts_;
  std::ranges::stable_sort(parts, std::ranges::greater{}, &Part::share);
  return parts;
}

std::string Bounds::line() const {
  constexpr std::size_t parts_max = 3;
  constexpr double telling_share = 0.1;
  std::string text;
  std::size_t count = 0;
  for (const Part& part : sorted()) {
    const bool is_told = count == 0 ? part.share > 0 : part.share >= telling_share;
    if (!is_told || count == parts_max) break;
    text += (count == 0 ? "" : ", ") + part.what + " " + share_text(part.share);
    ++count;
  }
  return text.empty() ? "nothing yet" : text;
}

std::string Bounds::table() const {
  constexpr double least_share = 0.005;
  std::ostringstream out;
  for (const Part& part : sorted()) {
    if (part.share < least_share) break;
    out << "\n" << std::setw(7) << share_text(part.share) << "  " << part.what;
    if (!part.detail.empty()) out << ": " << part.detail;
  }
  return out.str();
}

}  // namespace ashlar::scheduler
