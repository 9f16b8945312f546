#include <ashlar/host_array.hpp>
#include <ashlar/view.hpp>

#include <iostream>

int main() {
  auto array = ashlar::HostArray::zeros<double>({3, 4});
  auto view = array.view<double, 2>();
  for (double& element : view.span()) element = 1.0;
  double sum = 0;
  for (const double element : view.span()) sum += element;
  std::cout << "the sum is " << sum << '\n';
}
