#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/random.hpp"
#include "fuzz/fuzz_target.hpp"

// Replays a corpus folder and the target's own seeds, then random mutations of them, a fixed
// number. Usage: NAME CORPUS ROUNDS [SEED]. Or: NAME FILE, for one input.

namespace {

using Input = std::vector<std::byte>;

constexpr std::size_t input_bytes_max = 1 << 16;

/// A file that always holds the input being tried, so that it outlives a crash.
class LastInput {
 public:
  explicit LastInput(std::string path) : path_(std::move(path)) {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ::ftruncate(file, input_bytes_max) != 0) std::abort();
    void* place = ::mmap(nullptr, input_bytes_max, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (place == MAP_FAILED) std::abort();
    bytes_ = static_cast<std::byte*>(place);
    ::close(file);
    std::fprintf(stderr, "the input at a crash is in %s\n", path_.c_str());
  }
  ~LastInput() {
    ::munmap(bytes_, input_bytes_max);
    ::unlink(path_.c_str());
  }
  LastInput(const LastInput&) = delete;
  LastInput& operator=(const LastInput&) = delete;

  void attempt(const Input& input) {
    const std::size_t size = std::min(input.size(), input_bytes_max);
    std::copy_n(input.begin(), size, bytes_);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), size);
  }

 private:
  std::string path_;
  std::byte* bytes_ = nullptr;
};

Input read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Input input(text.size());
  if (!text.empty()) std::memcpy(input.data(), text.data(), text.size());
  return input;
}

void mutate(Input& input, const std::vector<Input>& corpus, ashlar::SplitMix64& random) {
  static constexpr std::uint8_t interesting[] = {0, 1, 2, 7, 8, 0x3f, 0x7f, 0x80, 0xfe, 0xff};
  for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
    const std::size_t at = input.empty() ? 0 : random.below(input.size());
    switch (random.below(6)) {
      case 0:
        if (!input.empty()) input[at] ^= static_cast<std::byte>(1u << random.below(8));
        break;
      case 1:
        if (!input.empty()) input[at] = static_cast<std::byte>(interesting[random.below(10)]);
        break;
      case 2:
        if (input.size() >= 8) {
          const std::size_t word = at / 8 * 8;
          const std::uint64_t value = random.next() >> random.below(64);
          std::memcpy(input.data() + std::min(word, input.size() - 8), &value, 8);
        }
        break;
      case 3:
        input.resize(at);
        break;
      case 4:
        input.resize(std::min(input.size() + random.below(64), input_bytes_max));
        break;
      case 5: {
        const Input& other = corpus[random.below(corpus.size())];
        if (other.empty()) break;
        const std::size_t from = random.below(other.size());
        const std::size_t count = std::min<std::size_t>(other.size() - from, 1 + random.below(40));
        input.insert(input.begin() + static_cast<long>(at), other.begin() + static_cast<long>(from),
                     other.begin() + static_cast<long>(from + count));
        break;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: %s CORPUS ROUNDS [SEED] | FILE\n", argv[0]), 2;
  std::vector<Input> corpus = fuzz_seeds();
  LastInput last("fuzz-input-" + std::to_string(::getpid()));
  if (std::filesystem::is_regular_file(argv[1])) {
    last.attempt(read_file(argv[1]));
    return 0;
  }
  if (std::filesystem::is_directory(argv[1]))
    for (const auto& entry : std::filesystem::directory_iterator(argv[1]))
      corpus.push_back(read_file(entry.path()));
  for (const Input& input : corpus) last.attempt(input);
  const unsigned long rounds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 10'000;
  ashlar::SplitMix64 random(argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1);
  for (unsigned long round = 0; round < rounds; ++round) {
    Input input = corpus[random.below(corpus.size())];
    mutate(input, corpus, random);
    last.attempt(input);
  }
  std::fprintf(stderr, "%zu inputs and %lu mutations did no harm\n", corpus.size(), rounds);
  return 0;
}
