// A driver whose task only the workers' plugin implements in earnest.
#include <ashlar/ashlar.hpp>

#include <iostream>

#include "plugin_tasks.hpp"

int twice(int) { return -1; }

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<twice>("twice");
  ashlar::init(argc, argv, tasks);
  try {
    auto session = ashlar::Session::connect(argv[1]);
    std::cout << session.submit<twice>(21).get() << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
