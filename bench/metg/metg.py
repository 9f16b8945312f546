"""What the Python peers share: options, one task, and the measuring, which is the C++ code."""

import argparse
import ctypes
import os
import time

LIBRARY = os.environ.get("METG_LIBRARY", "")
_loaded = None


def library():
    """The library, loaded once in each process."""
    global _loaded
    if _loaded is None:
        _loaded = ctypes.CDLL(LIBRARY)
    return _loaded


def run_task(library_path, kind, width, step, point, iterations, inputs):
    """One task of any graph: checks its inputs, computes, returns (step, point)."""
    global LIBRARY
    LIBRARY = library_path
    many = ctypes.c_long * len(inputs)
    wrong = library().metg_run_task(
        kind, width, step, point, ctypes.c_long(iterations), many(*(i[0] for i in inputs)),
        many(*(i[1] for i in inputs)), len(inputs))
    if wrong:
        raise RuntimeError("a task has got wrong inputs")
    return step, point


def parse(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--patterns", default="stencil_1d")
    parser.add_argument("--widths", default="")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--run-seconds", type=float, default=1)
    options = parser.parse_args()
    options.widths = [int(w) for w in options.widths.split(",") if w] or \
        [options.cores, 2 * options.cores, 4 * options.cores]
    library().metg_kernel_rate.restype = ctypes.c_double
    options.bare_rate = library().metg_kernel_rate()
    return options


class Graph:
    """Tasks as (step, point, points read in the row before), in order."""

    def __init__(self, kind, width, steps):
        self.kind, self.width, self.steps = kind.encode(), width, steps
        found = (ctypes.c_int * 16)()
        self.tasks = []
        for step in range(steps):
            for point in range(library().metg_points(self.kind, width, step)):
                count = library().metg_inputs(self.kind, width, step, point, found)
                self.tasks.append((step, point, list(found[:count])))
        self.last = [point for step, point, _ in self.tasks if step == steps - 1]


def measure_all(name, options, run):
    """`run(graph, iterations)` returns (seconds, results of the last row)."""
    for pattern in options.patterns.split(","):
        for width in options.widths:
            graph = Graph(pattern, width, options.steps)

            def run_once(iterations):
                try:
                    seconds, results = run(graph, iterations)
                    expected = [(options.steps - 1, point) for point in graph.last]
                    return seconds if [tuple(r) for r in results] == expected else -1.0
                except BaseException as problem:
                    print(f"{name}: {problem}", flush=True)
                    return -1.0

            callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_long)(run_once)
            wrong = library().metg_measure(
                name.encode(), pattern.encode(), width, options.steps, options.cores,
                options.repeats, ctypes.c_double(options.run_seconds),
                ctypes.c_double(options.bare_rate), callback)
            if wrong:
                raise SystemExit(1)


def seconds_of(work):
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result
