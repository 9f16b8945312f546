#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "net/tls.hpp"

namespace ashlar::net {

/// A folder that goes with its owner.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "ashlar-tls-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Signs certificates, which it writes into its folder.
class Authority {
 public:
  static constexpr long day = 24 * 60 * 60;

  struct Kind {
    long from = -2 * day;         ///< seconds from now
    long until = day;             ///< likewise
    const char* usage = nullptr;  ///< an extended key usage
    int rsa_bits = 0;             ///< none: a key on the curve P-256
  };

  Authority(const std::string& name, const Kind& kind) : key_(EVP_EC_gen("P-256")) {
    certificate_ = make(name, key_, kind);
    write(certificate_, folder_.file("ca.pem"));
  }
  explicit Authority(const std::string& name) : Authority(name, Kind{}) {}
  ~Authority() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  /// For one process.
  TlsFiles issue(const std::string& name, const Kind& kind) {
    const TlsFiles files{folder_.file(name + ".pem"), folder_.file(name + ".key"),
                         folder_.file("ca.pem")};
    EVP_PKEY* key =
        kind.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(kind.rsa_bits)) : EVP_EC_gen("P-256");
    X509* certificate = make(name, key, kind);
    write(certificate, files.certificate);
    std::FILE* out = std::fopen(files.key.c_str(), "w");
    EXPECT_EQ(::fchmod(::fileno(out), S_IRUSR | S_IWUSR), 0);
    EXPECT_EQ(PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr), 1);
    std::fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return files;
  }
  TlsFiles issue(const std::string& name) { return issue(name, Kind{}); }

  std::string file(const std::string& name) const { return folder_.file(name); }

 private:
  X509* make(const std::string& name, EVP_PKEY* key, const Kind& kind) {
    X509* made = X509_new();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made), kind.from);
    X509_gmtime_adj(X509_getm_notAfter(made), kind.until);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(certificate_ ? certificate_ : made));
    X509_set_pubkey(made, key);
    X509_EXTENSION* is_authority = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints,
                                                       certificate_ ? "CA:FALSE" : "CA:TRUE");
    X509_add_ext(made, is_authority, -1);
    X509_EXTENSION_free(is_authority);
    if (kind.usage != nullptr) {
      X509_EXTENSION* used_for =
          X509V3_EXT_conf_nid(nullptr, nullptr, NID_ext_key_usage, kind.usage);
      X509_add_ext(made, used_for, -1);
      X509_EXTENSION_free(used_for);
    }
    EXPECT_GT(X509_sign(made, key_, EVP_sha256()), 0);
    return made;
  }
  static void write(X509* certificate, const std::string& path) {
    std::FILE* out = std::fopen(path.c_str(), "w");
    EXPECT_EQ(PEM_write_X509(out, certificate), 1);
    std::fclose(out);
  }

  Folder folder_;
  EVP_PKEY* key_;
  X509* certificate_ = nullptr;
  long serial_ = 0;
};

}  // namespace ashlar::net
