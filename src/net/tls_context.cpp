#include <ashlar/error.hpp>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "net/tls_openssl.hpp"

namespace ashlar::net {

namespace {

/// Of what is received at once: several records of 16 KiB.
constexpr std::size_t read_bytes = 128 << 10;

/// A file, and what a message calls it.
struct Named {
  const std::string& path;
  const char* what;
};

[[noreturn]] void refuse(const Named& file, const std::string& why) {
  throw BadInput(std::string(file.what) + " " + file.path + ": " + why);
}

void check_readable(const Named& file) {
  const OpenSslPointer<std::FILE, std::fclose> stream(std::fopen(file.path.c_str(), "rb"));
  if (!stream || (std::fgetc(stream.get()) == EOF && std::ferror(stream.get()) != 0))
    refuse(file, std::string("cannot be read: ") + std::strerror(errno));
}

/// Nobody is asked for a passphrase: there may be no terminal, and it would not be ours.
int no_passphrase(char*, int, int, void* was_wanted) {
  *static_cast<bool*>(was_wanted) = true;
  return -1;
}

void load_certificate(SSL_CTX* context, const Named& file) {
  check_readable(file);
  if (SSL_CTX_use_certificate_chain_file(context, file.path.c_str()) != 1)
    refuse(file, "is no certificate in PEM form: " + take_openssl_error());
}

void load_key(SSL_CTX* context, const Named& file, const Named& certificate) {
  check_readable(file);
  bool is_encrypted = false;
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  SSL_CTX_set_default_passwd_cb_userdata(context, &is_encrypted);
  const int is_loaded = SSL_CTX_use_PrivateKey_file(context, file.path.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  if (is_loaded == 1) return;
  if (is_encrypted) {
    refuse(file,
           "has a passphrase, which nobody can be asked for; store it without one, readable "
           "for its owner only (openssl pkey -in OLD -out NEW)");
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
    ERR_clear_error();
    refuse(file, "is the key of another certificate than " + certificate.path);
  }
  refuse(file, "is no private key in PEM form: " + take_openssl_error());
}

void load_authority(SSL_CTX* context, const Named& file) {
  check_readable(file);
  if (SSL_CTX_load_verify_locations(context, file.path.c_str(), nullptr) != 1)
    refuse(file, "holds no certificate in PEM form: " + take_openssl_error());
}

/// The others would refuse it later, each with a message of its own.
void check_own_certificate(SSL_CTX* context, const Named& file, const Named& authority) {
  X509* const own = SSL_CTX_get0_certificate(context);
  for (const int end : {X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT}) {
    if (X509_check_purpose(own, end, 0) == 1) continue;
    refuse(file,
           "cannot be used at both ends of a link: expected an extended key usage of "
           "serverAuth and clientAuth, or none");
  }
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  const OpenSslPointer<X509_STORE_CTX, X509_STORE_CTX_free> check(X509_STORE_CTX_new());
  X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), own, chain);
  if (X509_verify_cert(check.get()) == 1) return;
  const int problem = X509_STORE_CTX_get_error(check.get());
  ERR_clear_error();
  const bool is_expired = problem == X509_V_ERR_CERT_HAS_EXPIRED;
  refuse(file, "cannot be used: " + std::string(X509_verify_cert_error_string(problem)) +
                   (is_expired ? "; have a new one signed"
                               : "; expected one that was signed by " + authority.path));
}

class OpenSslTls final : public Tls {
 public:
  explicit OpenSslTls(OpenSslContext context)
      : context_(std::move(context)), method_(make_socket_method()) {}

  std::unique_ptr<TlsStream> open(int socket, Link::Side side,
                                  std::uint64_t bytes_per_key) const override {
    return open_tls_stream(context_, method_, socket, side, bytes_per_key);
  }

 private:
  OpenSslContext context_;
  OpenSslMethod method_;
};

OpenSslContext make_context() {
  OpenSslContext context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  if (!context) throw Overloaded("OpenSSL cannot be used: " + take_openssl_error());
  SSL_CTX* const c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
  // The first one is the fastest where the processor knows AES, and as good as the others.
  SSL_CTX_set_ciphersuites(
      c, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  // Links live long: nobody resumes a session.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_default_read_buffer_len(c, read_bytes);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  return context;
}

}  // namespace

std::shared_ptr<const Tls> Tls::load(const TlsFiles& files) {
  const Named certificate{files.certificate, "certificate (--tls-cert, tls.cert)"};
  const Named key{files.key, "private key (--tls-key, tls.key)"};
  const Named authority{files.authority, "authority (--tls-ca, tls.ca)"};
  ERR_clear_error();
  OpenSslContext context = make_context();
  load_certificate(context.get(), certificate);
  load_key(context.get(), key, certificate);
  load_authority(context.get(), authority);
  check_own_certificate(context.get(), certificate, authority);
  return std::make_shared<OpenSslTls>(std::move(context));
}

std::string Tls::library() {
  return std::string("OpenSSL ") + OpenSSL_version(OPENSSL_VERSION_STRING);
}

std::string take_openssl_error() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const char* const text = error == 0 ? nullptr : ERR_reason_error_string(error);
  return text == nullptr ? "unknown reason" : text;
}

std::string subject_of(const X509* certificate) {
  const OpenSslPointer<BIO, BIO_free> out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace ashlar::net
