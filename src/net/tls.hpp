#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "net/link.hpp"

namespace ashlar::net {

/// Files in PEM form.
struct TlsFiles {
  std::string certificate;  ///< this process's; those between it and the authority's may follow
  /// Its private key, without a passphrase. Only its owner may read it, or, when that is root, also
  /// a group.
  std::string key;
  std::string authority;  ///< certificates of those who sign the cluster's

  // Where each was named, for messages.
  std::string certificate_from = "--tls-cert, tls.cert";
  std::string key_from = "--tls-key, tls.key";
  std::string authority_from = "--tls-ca, tls.ca";
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
  /// Errors: BadInput naming the file, where it was named and what is wrong: it cannot be read or
  /// is no PEM, others may read the key, the key is another certificate's or too weak, no authority
  /// has signed the certificate, or it is not valid now. Unsupported in a build without TLS.
  static std::shared_ptr<const Tls> load(const TlsFiles& files);
  /// The library's name and version, or what is missing.
  static std::string library();

  virtual ~Tls() = default;
  /// Whose certificates are accepted, by name and key, first who signed the own one; of two
  /// processes each accepts the other one's if it has the other one's first. Empty if they are too
  /// many to tell.
  virtual const std::vector<std::string>& authorities() const = 0;
  /// A stream changes its key after so many bytes.
  virtual std::unique_ptr<TlsStream> open(int socket, Link::Side side,
                                          std::uint64_t bytes_per_key) const = 0;
};

}  // namespace ashlar::net
