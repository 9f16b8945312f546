#include <ashlar/error.hpp>

#include <gtest/gtest.h>

#include <string>

#include "net/tls.hpp"

/// A build without OpenSSL, whatever this one is.
namespace ashlar::net {
namespace {

TEST(TlsMissing, CertificatesAreRefusedWithWhatToDo) {
  try {
    Tls::load({"node.pem", "node.key", "ca.pem"});
    ADD_FAILURE() << "nothing could encrypt";
  } catch (const Unsupported& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("(node.pem)"), std::string::npos) << text;
    EXPECT_NE(text.find("-DASHLAR_TLS=ON"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace ashlar::net
