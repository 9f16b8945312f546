// Ashlar as a guest in a program that has threads and an event loop of its own: nothing blocks the
// loop; results come back to it as events.
#include <ashlar/ashlar.hpp>

#include <condition_variable>
#include <deque>
#include <functional>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

// The application's own event loop.
class EventLoop {
 public:
  void post(std::function<void()> event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_one();
  }
  void stop() {
    post([this] { is_running_ = false; });
  }
  void run() {
    while (is_running_) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !events_.empty(); });
      auto event = std::move(events_.front());
      events_.pop_front();
      lock.unlock();
      event();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> events_;
  bool is_running_ = true;
};

double norm_of(ashlar::View<const double, 1> x, double scale) {
  double sum = 0;
  for (const double value : x.span()) sum += value * value;
  return scale * sum;
}

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<norm_of>("norm_of");
  ashlar::init(argc, argv, tasks);
  auto session = ashlar::Session::local({.workers = 2, .progress = false});

  EventLoop loop;
  int pending = 4 + 2;
  bool is_right = true;
  auto finished = [&] {
    if (--pending == 0) loop.stop();
  };

  // Threads of the application submit; the answers arrive as events of its loop.
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) {
    threads.emplace_back([&, id] {
      auto x = ashlar::HostArray::zeros<double>({1000});
      for (auto& value : x.view<double, 1>().span()) value = id;
      auto future = session.submit<norm_of>(x, 0.5);
      future.then([&, id](ashlar::Future<double> ready) {
        loop.post([&, id, ready] {
          std::cout << "thread " << id << ": " << ready.get() << '\n';
          is_right = is_right && ready.get() == 0.5 * 1000 * id * id;
          finished();
        });
      });
    });
  }

  // An array stays on the workers; another event says that it is there.
  auto a = session.persist(ashlar::random::uniform({600, 600}, {.chunks = {200, 200}, .seed = 3}));
  session.wait_async(a).then([&](ashlar::Future<void> ready) {
    loop.post([&, ready] {
      std::cout << "a was made by " << ready.report().tasks << " tasks\n";
      is_right = is_right && ready.report().tasks == 9;
      finished();
    });
  });

  // Two results of one computation come while the loop goes on, with the report of how it went.
  auto both = session.compute_async({ashlar::sum(ashlar::matmul(a, a)), ashlar::max(a)});
  both.then([&](ashlar::Future<std::vector<ashlar::HostArray>> ready) {
    loop.post([&, ready] {
      const auto results = ready.get();
      std::cout << "sum of a x a: " << results[0].item<double>()
                << ", maximum of a: " << results[1].item<double>() << '\n'
                << to_string(ready.report());
      finished();
    });
  });

  loop.run();
  for (auto& thread : threads) thread.join();
  return is_right ? 0 : 1;
}
