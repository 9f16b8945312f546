#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/link.hpp"

namespace ashlar::net {

/// Files in PEM form.
struct TlsFiles {
  std::string certificate;  ///< this process's; those between it and the authority's may follow
  std::string key;          ///< its private key, without a passphrase
  std::string authority;    ///< certificates of those who sign the cluster's
};

/// The bytes of a link, encrypted on a non-blocking socket that stays the link's.
class TlsStream {
 public:
  virtual ~TlsStream() = default;

  /// The other end has shown a certificate that is accepted, and both have agreed on keys. Whether
  /// it accepts this end's is known to the connecting side only when it answers.
  virtual bool is_established() const = 0;
  /// Reads into the parts in this order, as much as has arrived and at most about a MiB; before it
  /// is established goes on with that. Returns how many bytes came, 0 at the end, or minus an
  /// error's number; when problem() is not empty it says more.
  virtual long receive(std::array<std::span<std::byte>, 2> parts) = 0;
  /// There is more to receive() though the socket may have nothing.
  virtual bool has_received() const = 0;
  /// Encrypts and sends what the socket takes; of the parts nothing before it is established.
  /// Returns how many bytes of theirs it needs no more, or minus an error's number.
  virtual long send(std::span<const iovec> parts) = 0;
  /// What was encrypted, or belongs to the handshake, waits for the socket: send() goes on.
  virtual bool has_unsent() const = 0;
  /// What is wrong, for people; begins with "TLS: ".
  virtual const std::string& problem() const = 0;
  /// That is: bytes have changed on their way, here or there.
  virtual bool is_spoiled() const = 0;
};

/// What this process shows at the other ends of its links, and whom it accepts there: everybody
/// whose certificate one of the authorities has signed, under whatever name. TLS 1.3.
/// Threads: any.
class Tls {
 public:
  /// Errors: BadInput naming the file, its option and what is wrong: it cannot be read or is no
  /// PEM, the key is another certificate's, no authority has signed the certificate, or it has
  /// expired. Unsupported in a build without TLS.
  static std::shared_ptr<const Tls> load(const TlsFiles& files);
  /// The library's name and version, or what is missing.
  static std::string library();

  virtual ~Tls() = default;
  /// A stream changes its key after so many bytes.
  virtual std::unique_ptr<TlsStream> open(int socket, Link::Side side,
                                          std::uint64_t bytes_per_key) const = 0;
};

}  // namespace ashlar::net
