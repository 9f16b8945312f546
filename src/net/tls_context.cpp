#include <ashlar/error.hpp>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "net/socket.hpp"
#include "net/tls_openssl.hpp"

namespace ashlar::net {

namespace {

/// Of what is received at once: several records of 16 KiB.
constexpr std::size_t read_bytes = 128 << 10;

/// Certificates are some thousand bytes long.
constexpr long file_bytes_max = 4 << 20;

/// In a Hello, which has to be small.
constexpr std::size_t authorities_told_max = 32;

/// A file, and what a message calls it.
struct Named {
  const std::string& path;
  std::string what;

  std::string text() const { return what + " " + path; }
};

[[noreturn]] void refuse(const Named& file, const std::string& why) {
  throw BadInput(file.text() + ": " + why);
}

[[noreturn]] void refuse_to_read(const Named& file, int error) {
  std::string remedy;
  if (error == ENOENT || error == ENOTDIR) remedy = "; check its path";
  if (error == EACCES) remedy = "; make it and its folders readable for this process's user";
  refuse(file, "cannot be read: " + error_text(error) + remedy);
}

/// As ssh and PostgreSQL have it: services share a key of root's by a group.
void check_private(const Named& file, const struct stat& status) {
  const mode_t others = status.st_uid == 0 ? S_IRWXO | S_IWGRP | S_IXGRP : S_IRWXO | S_IRWXG;
  if ((status.st_mode & others) == 0) return;
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(status.st_mode & 07777));
  refuse(file, std::string("others than its owner have access to it (mode ") + mode +
                   "): chmod 600 " + file.path);
}

enum class Secrecy { open, secret };

std::string read(const Named& file, Secrecy secrecy = Secrecy::open) {
  // Without O_NONBLOCK a pipe would be waited for.
  const Descriptor descriptor(
      ::open(file.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!descriptor.is_open() || ::fstat(descriptor.get(), &status) != 0) refuse_to_read(file, errno);
  if (S_ISDIR(status.st_mode)) refuse(file, "is a directory: give the file in it");
  if (!S_ISREG(status.st_mode)) refuse(file, "is a pipe or a device: give a regular file");
  if (secrecy == Secrecy::secret) check_private(file, status);
  if (status.st_size == 0) refuse(file, "is empty: make it anew (docs/tls.md), or check its path");
  if (status.st_size > file_bytes_max) refuse(file, "is too large for a PEM file: check its path");
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t size = 0;
  for (long count = 1; count != 0 && size < text.size();) {
    count = ::read(descriptor.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno != EINTR) refuse_to_read(file, errno);
    if (count > 0) size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return text;
}

using Memory = OpenSslPointer<BIO, BIO_free>;
using Certificate = OpenSslPointer<X509, X509_free>;
using PrivateKey = OpenSslPointer<EVP_PKEY, EVP_PKEY_free>;

/// Of text that stays.
Memory open_memory(const std::string& text) {
  return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// Nobody is asked for a passphrase: there may be no terminal, and it would not be ours.
int no_passphrase(char*, int, int, void* was_wanted) {
  if (was_wanted != nullptr) *static_cast<bool*>(was_wanted) = true;
  return -1;
}

/// All that are in a file, at least one.
std::vector<Certificate> read_certificates(const Named& file) {
  const std::string text = read(file);
  const Memory memory = open_memory(text);
  std::vector<Certificate> found;
  while (X509* const next = PEM_read_bio_X509(memory.get(), nullptr, no_passphrase, nullptr))
    found.emplace_back(next);
  const bool is_at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string why = take_openssl_error();
  if (!is_at_end) refuse(file, "has a certificate that is damaged: " + why);
  if (!found.empty()) return found;
  if (text.find("PRIVATE KEY-----") != std::string::npos)
    refuse(file, "holds a private key and no certificate: give the certificate here");
  refuse(file,
         "holds no certificate in PEM form: expected a line -----BEGIN CERTIFICATE----- "
         "(openssl x509 -inform der -in OLD -out NEW, if it is DER)");
}

PrivateKey read_key(const Named& file) {
  const std::string text = read(file, Secrecy::secret);
  bool is_encrypted = false;
  PrivateKey key(
      PEM_read_bio_PrivateKey(open_memory(text).get(), nullptr, no_passphrase, &is_encrypted));
  if (key) return key;
  const std::string why = take_openssl_error();
  if (is_encrypted) {
    refuse(file,
           "has a passphrase, which nobody can be asked for; store it without one, readable "
           "for its owner only (openssl pkey -in OLD -out NEW)");
  }
  if (text.find("PRIVATE KEY-----") != std::string::npos) refuse(file, "is damaged: " + why);
  if (text.find("CERTIFICATE-----") != std::string::npos)
    refuse(file, "holds a certificate and no private key: give the key here");
  refuse(file,
         "holds no private key in PEM form: expected a line -----BEGIN PRIVATE KEY----- (openssl "
         "pkey -inform der -in OLD -out NEW, if it is DER)");
}

/// OpenSSL takes no certificate that its security level forbids.
void check_taken(bool is_taken, const Named& file) {
  if (is_taken) return;
  refuse(file, "is not accepted by OpenSSL: " + take_openssl_error() +
                   remedy_for(X509_V_ERR_EE_KEY_TOO_SMALL, ""));
}

void use_certificate(SSL_CTX* context, const Named& file) {
  std::vector<Certificate> chain = read_certificates(file);
  check_taken(SSL_CTX_use_certificate(context, chain.front().get()) == 1, file);
  for (std::size_t i = 1; i < chain.size(); ++i)
    check_taken(SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1, file);
}

void use_key(SSL_CTX* context, const Named& file, const Named& certificate) {
  const PrivateKey key = read_key(file);
  // Asked first: OpenSSL would take a key of another kind for a second certificate.
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key.get()) != 1) {
    ERR_clear_error();
    refuse(file, "is the key of another certificate than " + certificate.text() +
                     ": give the two that belong together");
  }
  check_taken(SSL_CTX_use_PrivateKey(context, key.get()) == 1, file);
}

/// "CN=cluster (key 0123456789abcdef)": the same for a certificate that was renewed.
std::string name_of_authority(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_pubkey_digest(certificate, EVP_sha256(), digest, &size);
  std::string key;
  for (unsigned i = 0; i < 8 && i < size; ++i) {
    key += "0123456789abcdef"[digest[i] >> 4];
    key += "0123456789abcdef"[digest[i] & 15];
  }
  return subject_of(certificate) + " (key " + key + ")";
}

/// Returns their names.
std::vector<std::string> use_authorities(SSL_CTX* context, const Named& file) {
  std::vector<std::string> names;
  for (const Certificate& each : read_certificates(file)) {
    check_taken(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), each.get()) == 1, file);
    names.push_back(name_of_authority(each.get()));
  }
  return names;
}

std::string text_of(const ASN1_TIME* time) {
  const Memory out(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(out.get(), time);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

/// The others would refuse it later, each with a message of its own. Returns the name of who
/// vouches for it.
std::string check_own_certificate(SSL_CTX* context, const Named& file, const Named& authority) {
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
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(check.get()),
                                   SSL_CTX_get_security_level(context));
  if (X509_verify_cert(check.get()) == 1) {
    const STACK_OF(X509)* const whole = X509_STORE_CTX_get0_chain(check.get());
    return name_of_authority(sk_X509_value(whole, sk_X509_num(whole) - 1));
  }
  ERR_clear_error();
  const int problem = X509_STORE_CTX_get_error(check.get());
  const X509* const wrong = X509_STORE_CTX_get_current_cert(check.get());
  std::string why = X509_verify_cert_error_string(problem);
  if (problem == X509_V_ERR_CERT_HAS_EXPIRED) why += ": " + text_of(X509_get0_notAfter(wrong));
  if (problem == X509_V_ERR_CERT_NOT_YET_VALID) why += ": " + text_of(X509_get0_notBefore(wrong));
  if (X509_STORE_CTX_get_error_depth(check.get()) > 0)
    why = "that of " + subject_of(wrong) + ", which has signed it: " + why;
  refuse(file, "cannot be used: " + why +
                   remedy_for(problem, "; expected one that was signed by " + authority.text()));
}

class OpenSslTls final : public Tls {
 public:
  OpenSslTls(OpenSslContext context, std::vector<std::string> authorities)
      : context_(std::move(context)),
        method_(make_socket_method()),
        authorities_(std::move(authorities)) {}

  const std::vector<std::string>& authorities() const override { return authorities_; }

  std::unique_ptr<TlsStream> open(int socket, Link::Side side,
                                  std::uint64_t bytes_per_key) const override {
    return open_tls_stream(context_, method_, socket, side, bytes_per_key);
  }

 private:
  OpenSslContext context_;
  OpenSslMethod method_;
  std::vector<std::string> authorities_;
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
  const Named certificate{files.certificate, "certificate (" + files.certificate_from + ")"};
  const Named key{files.key, "private key (" + files.key_from + ")"};
  const Named authority{files.authority, "authority (" + files.authority_from + ")"};
  ERR_clear_error();
  OpenSslContext context = make_context();
  use_certificate(context.get(), certificate);
  use_key(context.get(), key, certificate);
  std::vector<std::string> names = use_authorities(context.get(), authority);
  const std::string own = check_own_certificate(context.get(), certificate, authority);
  const auto first = std::find(names.begin(), names.end(), own);
  if (first != names.end()) std::iter_swap(names.begin(), first);
  if (first == names.end() || names.size() > authorities_told_max) names.clear();
  return std::make_shared<OpenSslTls>(std::move(context), std::move(names));
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

std::string remedy_for(int problem, const std::string& otherwise) {
  switch (problem) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "; have a new one signed";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "; check the clocks of the hosts, or have a new one signed";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
      return "; OpenSSL's security level on this host asks for more: take a key on the curve "
             "P-256, "
             "or RSA of 2048 bits, and SHA-256";
    default:
      return otherwise;
  }
}

std::string subject_of(const X509* certificate) {
  const OpenSslPointer<BIO, BIO_free> out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace ashlar::net
