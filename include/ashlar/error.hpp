#pragma once

#include <stdexcept>
#include <string>

namespace ashlar {

/// What the receiver of an error should do about it.
enum class ErrorKind {
  bad_input,     ///< correct the request
  task_failed,   ///< read what the kernel said
  disconnected,  ///< try elsewhere or later
  overloaded,    ///< try later, or ask for less
  unsupported,   ///< ask in another way
  cancelled,     ///< nothing: somebody asked for it
};

/// The base of every exception Ashlar throws. The text names the object, what was expected of
/// it, and what was found.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

/// The request itself is wrong: correct it.
class BadInput : public Error {
 public:
  explicit BadInput(const std::string& text) : Error(ErrorKind::bad_input, text) {}
};

/// A kernel threw, or took its worker down: read what it said.
class TaskFailed : public Error {
 public:
  explicit TaskFailed(const std::string& text) : Error(ErrorKind::task_failed, text) {}
};

/// The other side is gone or cannot be reached: try elsewhere or later.
class Disconnected : public Error {
 public:
  explicit Disconnected(const std::string& text) : Error(ErrorKind::disconnected, text) {}
};

/// A limit was reached: try later, or ask for less.
class Overloaded : public Error {
 public:
  explicit Overloaded(const std::string& text) : Error(ErrorKind::overloaded, text) {}
};

/// Not possible in this build or on this machine: ask in another way.
class Unsupported : public Error {
 public:
  explicit Unsupported(const std::string& text) : Error(ErrorKind::unsupported, text) {}
};

/// Somebody cancelled it.
class Cancelled : public Error {
 public:
  explicit Cancelled(const std::string& text) : Error(ErrorKind::cancelled, text) {}
};

/// Throws the exception class that belongs to a kind.
[[noreturn]] inline void throw_error(ErrorKind kind, const std::string& text) {
  switch (kind) {
    case ErrorKind::bad_input: throw BadInput(text);
    case ErrorKind::task_failed: throw TaskFailed(text);
    case ErrorKind::disconnected: throw Disconnected(text);
    case ErrorKind::overloaded: throw Overloaded(text);
    case ErrorKind::unsupported: throw Unsupported(text);
    case ErrorKind::cancelled: throw Cancelled(text);
  }
  throw Error(kind, text);
}

}  // namespace ashlar
