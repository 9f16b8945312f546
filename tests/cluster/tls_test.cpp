#include <ashlar/ashlar.hpp>
#include <ashlar/error.hpp>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "certificates.hpp"
#include "loopback.hpp"
#include "net/address.hpp"
#include "runtime/clock.hpp"
#include "runtime/loop.hpp"
#include "runtime/scheduler_shell.hpp"
#include "telemetry/log.hpp"

/// A session on a scheduler that encrypts, or does not; processes on hosts are hosts_test.py's.
namespace ashlar::runtime {
namespace {

TlsOptions options_of(const net::TlsFiles& files) {
  return {.cert = files.certificate, .key = files.key, .ca = files.authority};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct EncryptedSession : testing::Test {
  net::Authority authority{"authority"};
  telemetry::Log log;
  std::unique_ptr<Loop> loop = std::make_unique<Loop>(Loop::Options{});
  std::unique_ptr<SchedulerShell> scheduler;
  std::string address;

  void serve(std::shared_ptr<const net::Tls> tls) {
    SchedulerShell::Options options;
    options.tls = std::move(tls);
    scheduler = std::make_unique<SchedulerShell>(*loop, log, std::move(options));
    scheduler->listen(net::Address::parse("tcp://127.0.0.1:0"));
    address = scheduler->addresses().at(0).to_string();
    loop->start();
  }
  void TearDown() override {
    loop->stop();
    scheduler.reset();
  }

  /// Why there is no session, or "none".
  std::string refusal(const TlsOptions& tls,
                      std::chrono::milliseconds timeout = std::chrono::seconds(5)) {
    try {
      Session::connect(address, {.tls = tls, .timeout = timeout});
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
};

TEST_F(EncryptedSession, ConnectsWithACertificateOfTheAuthority) {
  serve(net::Tls::load(authority.issue("scheduler")));
  EXPECT_EQ(refusal(options_of(authority.issue("program"))), "none");
}

TEST_F(EncryptedSession, TakesCertificatesFromTheEnvironment) {
  serve(net::Tls::load(authority.issue("scheduler")));
  const net::TlsFiles files = authority.issue("program");
  ::setenv("ASHLAR_TLS_CERT", files.certificate.c_str(), 1);
  ::setenv("ASHLAR_TLS_KEY", files.key.c_str(), 1);
  EXPECT_EQ(refusal({.ca = files.authority}), "none");
  EXPECT_TRUE(has(refusal({}),
                  "given: $ASHLAR_TLS_CERT $ASHLAR_TLS_KEY; missing: --tls-ca (tls.ca, "
                  "$ASHLAR_TLS_CA)"))
      << refusal({});
  const net::TlsFiles another = authority.issue("another");
  const std::string mixed = refusal({.cert = another.certificate, .ca = another.authority});
  EXPECT_TRUE(has(mixed, "private key ($ASHLAR_TLS_KEY) " + files.key)) << mixed;
  EXPECT_TRUE(has(mixed, "than certificate (--tls-cert, tls.cert) " + another.certificate))
      << mixed;
  ::unsetenv("ASHLAR_TLS_CERT");
  ::unsetenv("ASHLAR_TLS_KEY");
}

TEST_F(EncryptedSession, WithoutCertificatesOrWithStrangeOnesSaysWhatToDo) {
  serve(net::Tls::load(authority.issue("scheduler")));
  const std::string plain = refusal({});
  EXPECT_TRUE(has(plain, address)) << plain;
  EXPECT_TRUE(has(plain, "the other side uses TLS, and this one does not: give it --tls-cert"))
      << plain;
  net::Authority another("another");
  const std::string strange = refusal(options_of(another.issue("stranger")));
  EXPECT_TRUE(has(strange, address)) << strange;
  EXPECT_TRUE(has(strange, "is not accepted")) << strange;
}

TEST_F(EncryptedSession, WithCertificatesNeverGoesOnInPlainText) {
  serve(nullptr);
  const std::string why = refusal(options_of(authority.issue("program")));
  EXPECT_TRUE(has(why, "if it does not use TLS, give it --tls-cert")) << why;
}

/// As another program does that waits for what it understands.
TEST_F(EncryptedSession, AHandshakeThatIsNeverFinishedIsNamedAsSuch) {
  const net::LoopbackListener silent(1);
  address = "tcp://127.0.0.1:" + std::to_string(silent.port);
  const std::string why =
      refusal(options_of(authority.issue("program")), std::chrono::milliseconds(100));
  EXPECT_TRUE(has(why, address + ": TLS: the handshake was not finished within 100 ms")) << why;
  EXPECT_TRUE(has(why, "the right address and port?")) << why;
  EXPECT_TRUE(has(why, "--tls-cert")) << why;
}

/// On the scheduler's host, where no certificate is looked at.
TEST_F(EncryptedSession, NobodyGetsInWithoutByAUnixSocketEither) {
  serve(net::Tls::load(authority.issue("scheduler")));
  scheduler->listen(net::Address::parse("unix:" + authority.file("socket")));
  address = scheduler->addresses().at(1).to_string();
  EXPECT_TRUE(has(refusal({}), "this cluster uses TLS, and the newcomer does not")) << refusal({});
  EXPECT_EQ(refusal(options_of(authority.issue("program"))), "none");
}

TEST_F(EncryptedSession, NobodyEncryptsAloneByAUnixSocketEither) {
  serve(nullptr);
  scheduler->listen(net::Address::parse("unix:" + authority.file("socket")));
  address = scheduler->addresses().at(1).to_string();
  const std::string why = refusal(options_of(authority.issue("program")));
  EXPECT_TRUE(has(why, "the newcomer uses TLS, and this cluster does not")) << why;
}

TEST_F(EncryptedSession, NeedsFilesThatCanBeUsed) {
  serve(nullptr);
  TlsOptions tls = options_of(authority.issue("program"));
  tls.key = authority.file("none.key");
  EXPECT_TRUE(has(refusal(tls), "--tls-key")) << refusal(tls);
  EXPECT_TRUE(has(refusal(tls), tls.key + ": cannot be read")) << refusal(tls);
}

/// Its link to the scheduler would be good, and all of those to other hosts bad.
TEST_F(EncryptedSession, NobodyOfAnotherAuthorityGetsInByAUnixSocketEither) {
  serve(net::Tls::load(authority.issue("scheduler")));
  scheduler->listen(net::Address::parse("unix:" + authority.file("socket")));
  address = scheduler->addresses().at(1).to_string();
  net::Authority another("another");
  const net::TlsFiles strange = another.issue("program");
  const std::string why = refusal(options_of(strange));
  EXPECT_TRUE(has(why, "the newcomer's certificate is not accepted in this cluster")) << why;
  EXPECT_TRUE(has(why, "CN=another (key ")) << why;
  EXPECT_TRUE(has(why, "CN=authority (key ")) << why;
}

TEST_F(EncryptedSession, AnAuthorityMayBeChangedForAnother) {
  net::Authority next("next");
  const net::TlsFiles old_one = authority.issue("scheduler");
  const net::TlsFiles new_one = next.issue("program");
  const std::string both = authority.file("both.pem");
  std::ofstream(both) << std::ifstream(old_one.authority).rdbuf()
                      << std::ifstream(new_one.authority).rdbuf();
  serve(net::Tls::load({old_one.certificate, old_one.key, both}));
  scheduler->listen(net::Address::parse("unix:" + authority.file("socket")));
  for (const net::Address& each : scheduler->addresses()) {
    address = each.to_string();
    EXPECT_EQ(refusal({.cert = new_one.certificate, .key = new_one.key, .ca = both}), "none");
  }
  const std::string why = refusal(options_of(new_one));
  EXPECT_TRUE(has(why, "the newcomer does not accept this cluster's certificates")) << why;
  EXPECT_TRUE(has(why, "give the newcomer both in --tls-ca")) << why;
}

/// Without a token, too: who has a certificate belongs to the cluster.
TEST_F(EncryptedSession, OpensASchedulerToOtherHosts) {
  const net::Address anywhere = net::Address::parse("tcp://0.0.0.0:0");
  SchedulerShell::Options options;
  EXPECT_THROW(SchedulerShell(*loop, log, options).listen(anywhere), BadInput);
  options.tls = net::Tls::load(authority.issue("scheduler"));
  Loop other{Loop::Options{}};
  EXPECT_NO_THROW(SchedulerShell(other, log, options).listen(anywhere));
}

}  // namespace
}  // namespace ashlar::runtime
