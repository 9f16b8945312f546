#include "net/address.hpp"

#include <ashlar/error.hpp>

#include <gtest/gtest.h>

namespace ashlar::net {
namespace {

TEST(Address, IsSaidAsItWasParsed) {
  for (const char* text : {"tcp://127.0.0.1:0", "tcp://head:8786", "tcp://[::1]:65535",
                           "unix:/tmp/x.sock", "unix:@ashlar-1"})
    EXPECT_EQ(Address::parse(text).to_string(), text);
}

TEST(Address, RefusesWhatIsNone) {
  for (const char* text : {"", "tcp://", "tcp://host", "tcp://host:", "tcp://host:65536",
                           "tcp://host:-1", "tcp://host:8x", "tcp://:80", "tcp://::1:80",
                           "tcp://[::1:80", "tcp://a b:80", "tcp://a/b:80", "unix:", "unix:@",
                           "unix:/", "unix:relative", "http://host:80", "host:80"}) {
    try {
      Address::parse(text);
      FAIL() << text << " was taken";
    } catch (const BadInput& error) {
      EXPECT_NE(std::string(error.what()).find("tcp://host:port"), std::string::npos);
    }
  }
}

TEST(Address, KnowsLoopback) {
  for (const char* text :
       {"tcp://127.0.0.1:1", "tcp://127.9.8.7:1", "tcp://[::1]:1", "tcp://localhost:1", "unix:@a"})
    EXPECT_TRUE(Address::parse(text).is_loopback()) << text;
  for (const char* text : {"tcp://0.0.0.0:1", "tcp://10.0.0.1:1", "tcp://127.0.0.1.evil.org:1",
                           "tcp://127.0.0:1", "tcp://[::]:1", "tcp://127.0.0.999:1"})
    EXPECT_FALSE(Address::parse(text).is_loopback()) << text;
}

TEST(HostIdentity, IsTheSameTwiceInOneProcess) {
  EXPECT_FALSE(host_identity().empty());
  EXPECT_EQ(host_identity(), host_identity());
}

}  // namespace
}  // namespace ashlar::net
