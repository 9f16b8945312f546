#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// What each fuzz target defines. replay_main.cpp drives one with any compiler; with Clang, link
/// it with -fsanitize=fuzzer instead.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Sound inputs to start from.
std::vector<std::vector<std::byte>> fuzz_seeds();
