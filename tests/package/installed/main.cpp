#include <ashlar/ashlar.hpp>

#include <iostream>

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  auto session = ashlar::Session::local({.workers = 1});
  const auto ones = ashlar::ones({3, 4}, {.chunks = {2, 2}});
  std::cout << "the sum is " << session.compute(ashlar::sum(ones)).item<double>() << '\n';
}
