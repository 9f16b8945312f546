#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "../statistics.hpp"
#include "drive.hpp"

/// What a decision costs as the cluster grows: the scheduler engine alone, a stencil over time
/// (three dependencies each), 100 to 10,000 workers. Prints a Markdown table, and with --svg draws
/// the cost per task.
namespace {

using namespace ashlar::bench;

struct Options {
  std::uint32_t tasks = 1'000'000;
  std::uint32_t batch = 64;
  int repetitions = 3;
  std::string svg;
  std::vector<std::uint32_t> workers{100, 316, 1000, 3162, 10000};
};

struct Point {
  std::uint32_t workers = 0;
  double decide_us = 0, submit_us = 0;  ///< per task
  double state_bytes = 0, heap_bytes = 0;
};

Point measure(const Options& options, std::uint32_t workers) {
  // As wide as gives every worker tasks, whichever the number of workers: always the same graph.
  const std::uint32_t widest = *std::ranges::max_element(options.workers);
  const std::uint32_t width = std::max(std::min(10 * widest, options.tasks / 10), 3u);
  const double heap_before = heap_in_use();
  const auto graph = stencil(width, std::max(options.tasks / width, 1u));
  const double count = graph->task_count();
  std::vector<double> decide, submit, state, heap;
  for (int r = 0; r < options.repetitions; ++r) {
    const Driven driven = drive(graph, {workers, options.batch}, heap_before);
    decide.push_back(1e6 * driven.decide_seconds / count);
    submit.push_back(1e6 * driven.submit_seconds / count);
    state.push_back(driven.state_bytes / count);
    heap.push_back(driven.heap_bytes / count);
  }
  return {workers, median(decide), median(submit), median(state), median(heap)};
}

/// Draws cost per task over workers, with what growth by log(workers) would be from the first on.
class Drawing {
 public:
  Drawing(const std::string& path, const std::vector<Point>& points) : points_(points) {
    file_ = std::fopen(path.c_str(), "w");
    if (file_ == nullptr) {
      std::fprintf(stderr, "%s: cannot be written\n", path.c_str());
      std::exit(1);
    }
    for (const Point& point : points) {
      most_us_ = std::max({most_us_, point.decide_us, allowed_us(point)});
    }
    most_us_ = std::ceil(most_us_ * 5) / 5;
  }
  ~Drawing() { std::fclose(file_); }
  Drawing(const Drawing&) = delete;
  Drawing& operator=(const Drawing&) = delete;

  void draw(const std::string& title) {
    std::fprintf(file_,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 400\" "
                 "font-family=\"sans-serif\" font-size=\"13\">\n"
                 "<rect width=\"640\" height=\"400\" fill=\"white\"/>\n");
    text(320, 24, "middle", title);
    text(320, 390, "middle", "workers");
    text(14, 48, "start", "µs per task");
    for (int n = 0; n <= 4; ++n) draw_mark(most_us_ * n / 4);
    for (const Point& point : points_) {
      text(x(point), 368, "middle", std::to_string(point.workers));
    }
    draw_line("#888888\" stroke-dasharray=\"6 4", &Drawing::allowed_us);
    draw_line("#1f6feb", [](const Drawing&, const Point& point) { return point.decide_us; });
    for (const Point& point : points_) {
      std::fprintf(file_, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#1f6feb\"/>\n", x(point),
                   y(point.decide_us));
    }
    const Point& last = points_.back();
    text(x(last), y(last.decide_us) - 12, "end", "measured");
    text(x(last), y(allowed_us(last)) - 12, "end", "grows by log(workers)");
    std::fprintf(file_, "</svg>\n");
  }

 private:
  double allowed_us(const Point& point) const {
    return points_.front().decide_us * std::log(point.workers) / std::log(points_.front().workers);
  }
  double x(const Point& point) const {
    const double first = std::log(points_.front().workers);
    const double last = std::log(points_.back().workers);
    return last > first ? 80 + 520 * (std::log(point.workers) - first) / (last - first) : 340;
  }
  double y(double us) const { return 345 - 285 * us / most_us_; }

  void text(double x, double y, const char* anchor, const std::string& words) {
    std::fprintf(file_, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                 words.c_str());
  }
  void draw_mark(double us) {
    std::fprintf(file_, "<path d=\"M80 %.1fH600\" stroke=\"#dddddd\"/>\n", y(us));
    char label[16];
    std::snprintf(label, sizeof label, "%.2f", us);
    text(72, y(us) + 4, "end", label);
  }
  template <class Value>
  void draw_line(const char* colour, Value value) {
    std::fprintf(file_, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"",
                 colour);
    for (const Point& point : points_) {
      std::fprintf(file_, "%.1f,%.1f ", x(point), y(std::invoke(value, *this, point)));
    }
    std::fprintf(file_, "\"/>\n");
  }

  std::FILE* file_ = nullptr;
  const std::vector<Point>& points_;
  double most_us_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("What a decision costs as the cluster grows.");
  app.add_option("--tasks", options.tasks)->capture_default_str();
  app.add_option("--batch", options.batch, "tasks of a report")->capture_default_str();
  app.add_option("--repetitions", options.repetitions)->capture_default_str();
  app.add_option("--svg", options.svg, "file for a drawing of the cost per task");
  app.add_option("WORKERS", options.workers)->check(CLI::Range(1, 100'000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::ranges::sort(options.workers);
  std::printf(
      "| workers | tasks | decisions/s | µs per task | µs per task to take in the graph "
      "| bytes of state per task | bytes of heap per task |\n"
      "|--:|--:|--:|--:|--:|--:|--:|\n");
  std::vector<Point> points;
  for (const std::uint32_t workers : options.workers) {
    const Point point = points.emplace_back(measure(options, workers));
    std::printf("| %u | %u | %.0f | %.3f | %.3f | %.0f | %.0f |\n", workers, options.tasks,
                1e6 / point.decide_us, point.decide_us, point.submit_us, point.state_bytes,
                point.heap_bytes);
    std::fflush(stdout);
  }
  if (options.svg.empty()) return 0;
  Drawing(options.svg, points)
      .draw("Cost of a decision, " + std::to_string(options.tasks) + " tasks of 3 dependencies");
}
