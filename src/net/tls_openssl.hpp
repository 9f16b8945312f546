#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>

#include "net/tls.hpp"

/// What the files that use OpenSSL share.
namespace ashlar::net {

template <auto free>
struct OpenSslDeleter {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
template <class T, auto free>
using OpenSslPointer = std::unique_ptr<T, OpenSslDeleter<free>>;

using OpenSslContext = std::shared_ptr<SSL_CTX>;
using OpenSslMethod = std::shared_ptr<BIO_METHOD>;

/// How streams reach their sockets.
OpenSslMethod make_socket_method();

std::unique_ptr<TlsStream> open_tls_stream(OpenSslContext context, OpenSslMethod method, int socket,
                                           Link::Side side, std::uint64_t bytes_per_key);

/// The last thing that went wrong on this thread; forgets it.
std::string take_openssl_error();
/// "CN=worker 3,O=Example"
std::string subject_of(const X509* certificate);
/// What to do about a certificate that was not accepted for this reason (X509_V_ERR_…): a new one,
/// another clock, a stronger key; else `otherwise`.
std::string remedy_for(int problem, const std::string& otherwise);

}  // namespace ashlar::net
