#include <ashlar/error.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "certificates.hpp"
#include "net/tls.hpp"

/// What the files of a process have to be.
namespace ashlar::net {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Files that cannot be used are refused with what is wrong, before anything is connected.
struct TlsFilesTest : testing::Test {
  Authority authority{"the authority"};
  TlsFiles files = authority.issue("process");

  std::string refusal() const {
    try {
      Tls::load(files);
    } catch (const BadInput& error) {
      return error.what();
    }
    return "none";
  }
  void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
};

TEST_F(TlsFilesTest, ThoseThatCannotBeRead) {
  EXPECT_EQ(refusal(), "none");
  for (auto [file, option] :
       {std::pair(&files.certificate, "--tls-cert"), std::pair(&files.key, "--tls-key"),
        std::pair(&files.authority, "--tls-ca")}) {
    const std::string good = std::exchange(*file, authority.file("no such file"));
    EXPECT_TRUE(has(refusal(), option)) << refusal();
    EXPECT_TRUE(has(refusal(), *file + ": cannot be read: No such file")) << refusal();
    *file = authority.file("");
    EXPECT_TRUE(has(refusal(), "is a directory: give the file in it")) << refusal();
    *file = authority.file("nonsense");
    write(*file, "nonsense\n");
    ::chmod(file->c_str(), S_IRUSR | S_IWUSR);
    EXPECT_TRUE(has(refusal(), *file)) << refusal();
    EXPECT_TRUE(has(refusal(), "in PEM form")) << refusal();
    *file = good;
  }
}

/// Nobody writes to it: opening it as other files would never end.
TEST_F(TlsFilesTest, APipe) {
  for (std::string* file : {&files.certificate, &files.key, &files.authority}) {
    const std::string good = std::exchange(*file, authority.file("pipe"));
    ::mkfifo(file->c_str(), S_IRUSR | S_IWUSR);
    EXPECT_TRUE(has(refusal(), *file + ": is a pipe or a device: give a regular file"))
        << refusal();
    *file = good;
  }
}

TEST_F(TlsFilesTest, EmptyOnes) {
  for (std::string* file : {&files.certificate, &files.key, &files.authority}) {
    const std::string good = std::exchange(*file, authority.file("empty"));
    write(*file, "");
    ::chmod(file->c_str(), S_IRUSR | S_IWUSR);
    EXPECT_TRUE(has(refusal(), *file + ": is empty")) << refusal();
    *file = good;
  }
}

TEST_F(TlsFilesTest, ThoseThatWereMistakenForEachOther) {
  std::swap(files.certificate, files.key);
  EXPECT_TRUE(has(refusal(), files.certificate + ": holds a private key and no certificate"))
      << refusal();
  std::swap(files.certificate, files.key);
  files.key = files.authority;
  ::chmod(files.key.c_str(), S_IRUSR | S_IWUSR);
  EXPECT_TRUE(has(refusal(), files.key + ": holds a certificate and no private key")) << refusal();
}

TEST_F(TlsFilesTest, ADamagedCertificate) {
  std::ifstream whole(files.certificate);
  const std::string text(std::istreambuf_iterator<char>(whole), {});
  write(files.certificate, text.substr(0, text.size() / 2));
  EXPECT_TRUE(has(refusal(), files.certificate + ": has a certificate that is damaged"))
      << refusal();
}

TEST_F(TlsFilesTest, AKeyThatOthersMayRead) {
  const bool is_roots = ::geteuid() == 0 && ::chown(files.key.c_str(), 1, 1) != 0;
  for (const mode_t mode : {0640u, 0604u, 0620u, 0644u, 0777u}) {
    if (is_roots && mode == 0640) continue;  // see the next test
    ::chmod(files.key.c_str(), mode);
    EXPECT_TRUE(has(refusal(), files.key + ": others than its owner have access to it (mode 0"))
        << refusal();
    EXPECT_TRUE(has(refusal(), "chmod 600 " + files.key)) << refusal();
  }
  for (const mode_t mode : {0600u, 0400u}) {
    ::chmod(files.key.c_str(), mode);
    EXPECT_EQ(refusal(), "none");
  }
}

TEST_F(TlsFilesTest, AKeyOfRootsMayBeReadByAGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files to root";
  for (const mode_t mode : {0640u, 0440u}) {
    ::chmod(files.key.c_str(), mode);
    EXPECT_EQ(refusal(), "none");
  }
  for (const mode_t mode : {0660u, 0650u, 0644u}) {
    ::chmod(files.key.c_str(), mode);
    EXPECT_TRUE(has(refusal(), "chmod 600")) << refusal();
  }
}

TEST_F(TlsFilesTest, AKeyOfAnotherCertificate) {
  for (const int rsa_bits : {0, 2048}) {
    files.key = authority.issue("another", {.rsa_bits = rsa_bits}).key;
    EXPECT_TRUE(has(refusal(), files.key + ": is the key of another certificate than certificate "))
        << refusal();
    EXPECT_TRUE(has(refusal(), files.certificate)) << refusal();
  }
}

TEST_F(TlsFilesTest, AKeyThatIsTooWeak) {
  files = authority.issue("weak", {.rsa_bits = 512});
  EXPECT_TRUE(has(refusal(), files.certificate + ": is not accepted by OpenSSL: ee key too small"))
      << refusal();
  EXPECT_TRUE(has(refusal(), "or RSA of 2048 bits")) << refusal();
}

TEST_F(TlsFilesTest, ACertificateThatIsNotValidYet) {
  files = authority.issue("young", {.from = Authority::day, .until = 2 * Authority::day});
  EXPECT_TRUE(has(refusal(), "certificate is not yet valid: ")) << refusal();
  EXPECT_TRUE(has(refusal(), "check the clocks of the hosts")) << refusal();
}

TEST_F(TlsFilesTest, AnAuthorityThatHasExpired) {
  Authority old("an old one", {.until = -1});
  files = old.issue("process");
  EXPECT_TRUE(has(refusal(), "that of CN=an old one, which has signed it: certificate has expired"))
      << refusal();
}

TEST_F(TlsFilesTest, WhereEachWasNamedIsSaid) {
  files.key_from = "$ASHLAR_TLS_KEY";
  files.key = authority.issue("another").key;
  EXPECT_TRUE(has(refusal(), "private key ($ASHLAR_TLS_KEY) " + files.key)) << refusal();
}

TEST_F(TlsFilesTest, AKeyWithAPassphraseAsksNobody) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  std::FILE* out = std::fopen(files.key.c_str(), "w");
  const unsigned char word[] = "secret";
  PEM_write_PrivateKey(out, key, EVP_aes_256_cbc(), word, 6, nullptr, nullptr);
  std::fclose(out);
  EVP_PKEY_free(key);
  EXPECT_TRUE(has(refusal(), "has a passphrase")) << refusal();
}

TEST_F(TlsFilesTest, ACertificateOfAnotherAuthority) {
  Authority another("another");
  files.authority = another.file("ca.pem");
  EXPECT_TRUE(has(refusal(), files.certificate + ": cannot be used: ")) << refusal();
  EXPECT_TRUE(has(refusal(), "signed by authority (--tls-ca, tls.ca) " + files.authority))
      << refusal();
}

TEST_F(TlsFilesTest, AnExpiredCertificate) {
  files = authority.issue("old", {.until = -1});
  EXPECT_TRUE(has(refusal(), "certificate has expired: ")) << refusal();
}

TEST_F(TlsFilesTest, ACertificateForOneEndOnly) {
  files = authority.issue("both", {.usage = "serverAuth,clientAuth"});
  EXPECT_EQ(refusal(), "none");
  for (const char* usage : {"serverAuth", "clientAuth"}) {
    files = authority.issue("half", {.usage = usage});
    EXPECT_TRUE(has(refusal(), "expected an extended key usage")) << refusal();
  }
}

}  // namespace
}  // namespace ashlar::net
