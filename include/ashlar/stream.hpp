#pragma once

#include <ashlar/dtype.hpp>
#include <ashlar/host_array.hpp>
#include <ashlar/view.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>

namespace ashlar {

namespace session {
class ArrayStream;
}  // namespace session

struct StreamOptions {
  /// Bytes of chunks that are here or on their way at once, the one at hand among them; two chunks
  /// may be in any case, so that one comes while the other one is read.
  std::uint64_t bytes_max = std::uint64_t{64} << 20;
  /// Chunks come in row-major order; else each as soon as it is made, so that fewer wait on the
  /// workers.
  bool in_order = true;
};

/// A chunk of a streamed array.
class Chunk {
 public:
  /// Where in the array its first element is.
  const Shape& offset() const { return offset_; }
  const Shape& shape() const { return elements_.shape(); }
  DType dtype() const { return elements_.dtype(); }
  std::int64_t size() const { return elements_.size(); }  ///< elements

  /// The elements, in place and read-only; valid until the stream moves on.
  /// Errors: BadInput if T or N do not match the array.
  template <class T, std::size_t N>
  View<const T, N> view() const {
    return elements_.view<T, N>();
  }

  /// The same as an array. A copy of it keeps the elements when the stream moves on, and with them
  /// memory of the worker that made them: clone() what is to stay for long.
  const HostArray& elements() const { return elements_; }

 private:
  friend class session::ArrayStream;
  Shape offset_;
  HostArray elements_;
};

/// The chunks of an array, one after the other, in bounded memory: those that did not come yet stay
/// on the workers, and on their disks where memory is short.
///
///     for (auto& chunk : session.stream(a)) write(chunk.offset(), chunk.view<double, 2>());
///
/// A chunk goes when the iteration moves on. To leave the loop, or to drop the stream, cancels what
/// was not computed and frees the rest. Threads: one at a time; several streams at once are
/// independent.
class Stream {
 public:
  /// For Ashlar's own use.
  explicit Stream(std::unique_ptr<session::ArrayStream> stream);
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  class Iterator {
   public:
    using value_type = Chunk;
    using difference_type = std::ptrdiff_t;

    Chunk& operator*() const { return *stream_->chunk_; }
    Chunk* operator->() const { return stream_->chunk_; }
    /// Lets the chunk at hand go, and waits for the next one. Errors: as Stream::next.
    Iterator& operator++() {
      stream_->next();
      return *this;
    }
    void operator++(int) { stream_->next(); }
    bool operator==(std::default_sentinel_t) const { return stream_->chunk_ == nullptr; }

   private:
    friend class Stream;
    explicit Iterator(Stream* stream) : stream_(stream) {}
    Stream* stream_;
  };

  /// Waits for the first chunk; later, the one at hand. Errors: as next.
  Iterator begin() {
    if (!has_begun_) next();
    return Iterator(this);
  }
  static std::default_sentinel_t end() { return {}; }

  /// Lets the chunk at hand go and waits for the next one; none after the last. Whatever fails, a
  /// task among those to come, is thrown as soon as it is known, and ends the stream.
  /// Errors: as Session::compute. Not to be called from Future::then.
  Chunk* next();

 private:
  std::unique_ptr<session::ArrayStream> stream_;
  Chunk* chunk_ = nullptr;
  bool has_begun_ = false;
};

}  // namespace ashlar
