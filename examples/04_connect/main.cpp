// Joins a cluster that runs already:
//
//   ashlar scheduler &
//   ashlar worker --scheduler tcp://127.0.0.1:8786 &
//   ./example_04_connect tcp://127.0.0.1:8786
#include <ashlar/ashlar.hpp>

#include <iostream>

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " tcp://HOST:PORT\n";
    return 2;
  }
  try {
    auto session = ashlar::Session::connect(argv[1]);

    // Persisted: computed once, kept on the workers, used twice.
    auto a = session.persist(
        ashlar::random::normal({900, 700}, {.chunks = {300, 350}, .seed = 7}));
    auto gram = ashlar::matmul(a.T(), a);
    auto centre = ashlar::mean(a, {.axes = {0}});

    ashlar::RunReport report;
    auto results = session.compute({gram, centre}, &report);
    std::cout << "gram(0, 0) = " << results[0].view<double, 2>()(0, 0) << ", mean(0) = "
              << results[1].view<double, 1>()(0) << '\n'
              << to_string(report);
  } catch (const ashlar::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
