#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "net/address.hpp"
#include "newcomer.hpp"
#include "runtime/clock.hpp"
#include "runtime/loop.hpp"
#include "runtime/scheduler_shell.hpp"
#include "telemetry/log.hpp"
#include "wire/codec.hpp"

/// Processes of different protocol versions meet.
namespace ashlar::runtime {
namespace {

class Versions : public ::testing::TestWithParam<std::int64_t> {
 protected:
  Versions() { scheduler_.listen(net::Address::parse("tcp://127.0.0.1:0")); }

  std::unique_ptr<Newcomer> meet(const protocol::Hello& hello) {
    return std::make_unique<Newcomer>(loop_, scheduler_.addresses().at(0), hello);
  }
  bool eventually(const std::function<bool()>& holds) {
    return loop_.drive_until(holds, now() + Duration::seconds(20));
  }

  static protocol::Hello worker(std::uint32_t version) {
    protocol::Hello hello;
    hello.protocol_version = version;
    hello.software_version = "9.8.7";
    hello.role = protocol::Role::worker;
    hello.name = "w";
    hello.slots = 1;
    return hello;
  }

  Loop loop_{Loop::Options{}};
  telemetry::Log log_;
  SchedulerShell scheduler_{loop_, log_, {}};
};

TEST_P(Versions, RefuseEachOtherByNameAndTheSchedulerLivesOn) {
  const auto ours = protocol::version;
  const auto theirs = static_cast<std::uint32_t>(ours + GetParam());
  const auto early = meet(worker(ours));
  ASSERT_TRUE(eventually([&] { return scheduler_.worker_count() == 1; })) << early->closed;

  const auto stranger = meet(worker(theirs));
  ASSERT_TRUE(eventually([&] { return !stranger->closed.empty(); })) << "the link stays open";
  ASSERT_TRUE(stranger->answer.has_value()) << stranger->closed;
  const auto* refusal = std::get_if<protocol::Refusal>(&*stranger->answer);
  ASSERT_NE(refusal, nullptr) << "welcomed";
  const std::string& reason = refusal->reason;
  EXPECT_NE(reason.find("this side speaks protocol " + std::to_string(ours)), std::string::npos)
      << reason;
  EXPECT_NE(reason.find("the other side protocol " + std::to_string(theirs)), std::string::npos)
      << reason;
  EXPECT_NE(reason.find("9.8.7"), std::string::npos) << reason;
  EXPECT_NE(reason.find("run the same version of Ashlar on both"), std::string::npos) << reason;

  const auto late = meet(worker(ours));
  ASSERT_TRUE(eventually([&] { return late->answer && scheduler_.worker_count() == 2; }));
  EXPECT_TRUE(std::holds_alternative<protocol::Welcome>(*late->answer));
  EXPECT_EQ(early->closed, "") << "the refusal concerns the stranger only";
}

INSTANTIATE_TEST_SUITE_P(OlderAndNewer, Versions, ::testing::Values(-1, 1));

}  // namespace
}  // namespace ashlar::runtime
