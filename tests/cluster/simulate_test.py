"""`ashlar simulate`: what it prints and writes, and what bad files say."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ASHLAR = sys.argv[1]
del sys.argv[1:]

CLUSTER = """
[runtime]
task_overhead_us = 20

[flops_per_s]
gemm = 3e10

[[hosts]]
name = "fast"
count = 2
slots = 2
speed = 2
memory_gib = 8
gbit_per_s = 25
latency_us = 10

[[hosts]]
name = "old"
slots = 1
"""

GRAPH = {"tasks": [
    {"kernel": "load", "outputs": [1000000, 5], "seconds": 0.001},
    {"kernel": "gemm", "inputs": [0, [0, 1]], "outputs": [1000], "flops": 3e9, "takes_over": True},
    {"kernel": "gemm", "inputs": [1], "flops": 6e9}]}


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cluster = self.file("cluster.toml", CLUSTER)

    def file(self, name, text):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def simulate(self, graph="cholesky", cluster=None, *options):
        return subprocess.run(
            [ASHLAR, "simulate", "--graph", graph, "--cluster", cluster or self.cluster, *options],
            capture_output=True, text=True, timeout=120)

    def works(self, *arguments):
        result = self.simulate(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def figure(self, text, name):
        return float(re.search(rf"^{name} +([0-9.e+-]+)", text, re.MULTILINE).group(1))


class Works(Folder):
    def test_figures_and_trace_of_a_known_graph(self):
        trace = os.path.join(self.folder.name, "trace.json")
        text = self.works("cholesky", None, "--tasks", "100", "--policy", "heft", "--trace", trace)
        for word in ("policy heft", "3 hosts, 5 slots", "makespan", "lower bound", "utilisation",
                     "moved", "peak memory"):
            self.assertIn(word, text)
        self.assertGreaterEqual(self.figure(text, "makespan"), self.figure(text, "lower bound"))
        self.assertGreater(self.figure(text, "peak memory"), 1)
        with open(trace) as file:
            events = json.load(file)["traceEvents"]
        names = [e["args"]["name"] for e in events if e["ph"] == "M"]
        self.assertEqual(names, ["fast.0", "fast.1", "old"])
        tasks = [e for e in events if e["ph"] == "X"]
        self.assertEqual(len(tasks), int(re.search(r"(\d+) tasks", text).group(1)))
        self.assertLessEqual({(e["pid"], e["tid"]) for e in tasks},
                             {(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)})
        end = max(e["ts"] + e["dur"] for e in tasks)
        self.assertAlmostEqual(end * 1e-6, self.figure(text, "makespan"), delta=0.001)
        moved = [e for e in events if e["ph"] == "b"]
        self.assertAlmostEqual(sum(e["args"]["bytes"] for e in moved) * 1e-6,
                               self.figure(text, "moved"), places=2)

    def test_the_same_question_has_the_same_answer(self):
        self.assertEqual(self.works("layered"), self.works("layered"))
        self.assertNotEqual(self.works("layered"), self.works("layered", None, "--seed", "2"))

    def test_sizes_of_a_known_graph(self):
        times = [self.figure(self.works("tree", None, "--task-ms", ms), "makespan")
                 for ms in ("10", "100")]
        self.assertAlmostEqual(times[1] / times[0], 10, delta=2)
        moved = [self.figure(self.works("shuffle", None, "--chunk-bytes", size), "moved")
                 for size in ("1MiB", "4MiB")]
        self.assertGreater(moved[1], 2 * moved[0])

    def test_graph_of_a_file(self):
        text = self.works(self.file("graph.json", json.dumps(GRAPH)))
        self.assertIn("3 tasks, 2 kernels", text)
        # 1 ms, 0.1 s and 0.2 s at speed 2, one after the other, 20 us with each.
        self.assertAlmostEqual(self.figure(text, "makespan"), 0.1505, delta=0.0005)

    def test_kernels_of_a_machine_file(self):
        cluster = CLUSTER.replace("[flops_per_s]\ngemm = 3e10",
                                  '[kernels."gemm"]\nfixed_us = 5e4\nflops_per_s = 6e10')
        text = self.works(self.file("graph.json", json.dumps(GRAPH)),
                          self.file("kernels.toml", cluster))
        # 1 ms, then 0.05 s and 0.05 s, and 0.05 s and 0.1 s, at speed 2.
        self.assertAlmostEqual(self.figure(text, "makespan"), 0.1255, delta=0.0005)

    def test_several_workers_of_a_host(self):
        one = '[[hosts]]\nname = "a"\nworkers = 4\nslots = 1\n[runtime]\n'
        alone = self.file("alone.toml", one + "driver_on_first_host = true\n")
        trace = os.path.join(self.folder.name, "trace.json")
        text = self.works("stencil", alone, "--trace", trace)
        self.assertIn("1 hosts, 4 slots", text)
        self.assertEqual(self.figure(text, "moved"), 0)
        with open(trace) as file:
            names = [e["args"]["name"] for e in json.load(file)["traceEvents"] if e["ph"] == "M"]
        self.assertEqual(names, ["a/0", "a/1", "a/2", "a/3"])
        two = one.replace("workers = 4", "count = 2\nworkers = 2")
        self.assertGreater(self.figure(self.works("stencil", self.file("two.toml", two)), "moved"), 0)

    def test_hosts_that_vanish(self):
        calm = self.figure(self.works("matmul"), "makespan")
        fault = CLUSTER + '[[faults]]\nhost = "fast.1"\nvanishes_s = 0.2\n'
        text = self.works("matmul", self.file("fault.toml", fault))
        self.assertGreater(self.figure(text, "makespan"), 1.2 * calm)


class Calibrates(Folder):
    def run_ashlar(self, *arguments):
        return subprocess.run([ASHLAR, *arguments], capture_output=True, text=True, timeout=500)

    def test_a_machine_file_of_this_machine_is_one_that_simulate_reads(self):
        machine = os.path.join(self.folder.name, "machine.toml")
        result = self.run_ashlar("calibrate", "--workers", "2", "--threads", "1", "--out", machine)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for kernel in ("matmul", "random", "elementwise"):
            self.assertRegex(result.stdout, rf"(?m)^ashlar\.{kernel} .* %$")
        self.assertIn(machine + " is written", result.stdout)
        with open(machine) as file:
            text = file.read()
        for word in ("[[hosts]]", "workers = 2", "slots = 1", "latency_us", "gbit_per_s",
                     "task_overhead_us", "driver_on_first_host = true", "ashlar.matmul"):
            self.assertIn(word, text)
        self.assertIn("1 hosts, 2 slots", self.works("matmul", machine))

    def test_bad_options(self):
        for arguments, words in (
                (("--event-log", "/no/log"), ("/no/log", "cannot be read")),
                (("--workers", "2", "--event-log", "x"), ("excludes",))):
            result = self.run_ashlar("calibrate", "--out", "/no/such/file", *arguments)
            self.assertNotEqual(result.returncode, 0)
            for word in words:
                self.assertIn(word, result.stderr)


class BadInput(Folder):
    def fails(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertNotIn("internal error", result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def cluster_says(self, old, new, *words):
        self.assertIn(old, CLUSTER)
        path = self.file("bad.toml", CLUSTER.replace(old, new, 1))
        self.fails(self.simulate("tree", path), path, *words)

    def graph_says(self, change, *words):
        graph = json.loads(json.dumps(GRAPH))
        change(graph["tasks"])
        path = self.file("bad.json", json.dumps(graph))
        self.fails(self.simulate(path), path, *words)

    def test_cluster_files(self):
        self.fails(self.simulate("tree", "/no/such.toml"), "/no/such.toml", "cannot be read")
        self.cluster_says("slots = 2", "slots = two", ":11: ")
        self.cluster_says("slots = 2", 'slots = "two"', ":11: slots in [[hosts]]", "whole number")
        self.cluster_says("slots = 2", "slots = 0", ":11: ", "from 1 to 1024")
        self.cluster_says("slots = 2", "slots = 1.5", ":11: ", "whole number")
        self.cluster_says("speed = 2", "sped = 2", ':12: unknown key "sped"', "speed")
        self.cluster_says('name = "old"\nslots = 1', 'name = "old"', ":17: [[hosts]] needs slots")
        self.cluster_says("memory_gib = 8", "memory_gib = -1", ":13: memory_gib")
        self.cluster_says("gemm = 3e10", 'gemm = "fast"', ":6: ", "above 0")
        self.cluster_says("slots = 2", "workers = 0\nslots = 2", ":11: workers", "from 1 to 1024")
        self.cluster_says("task_overhead_us = 20", "output_gb_per_s = 0", ":3: output_gb_per_s")
        self.cluster_says("task_overhead_us = 20", "driver_on_first_host = 1", ":3: ",
                          "true or false")
        self.cluster_says("[flops_per_s]", "[kernels]", ":6: ", 'table [kernels."gemm"]')
        self.cluster_says("[flops_per_s]", "[kernels.trsm]\nflops = 1\n[flops_per_s]",
                          ':6: unknown key "flops"', "fixed_us")
        self.cluster_says("[flops_per_s]", "[kernels.gemm]\nfixed_us = 1\n[flops_per_s]",
                          'kernel "gemm" is under [flops_per_s], too')
        self.cluster_says("[runtime]", "[[runtime]]", ":2: expected a table [runtime]")
        self.fails(self.simulate("tree", self.file("none.toml", "")), "[[hosts]]")
        fault = '[[faults]]\nhost = "fast.7"\nvanishes_s = 1\n'
        self.fails(self.simulate("tree", self.file("f.toml", CLUSTER + fault)), "fast.7", ":20: ")
        alone = '[[hosts]]\nname = "a"\nslots = 1\n[[faults]]\nhost = "a"\nvanishes_s = 1\n'
        self.fails(self.simulate("tree", self.file("a.toml", alone)), "all hosts vanish")

    def test_graph_files(self):
        self.fails(self.simulate("/no/such.json"), "/no/such.json", "cannot be read")
        self.fails(self.simulate(self.file("text.json", '{"tasks":\n [}')), "line 2")
        self.fails(self.simulate(self.file("empty.json", "{}")), '"tasks"')
        self.graph_says(lambda t: t[1].update(inputs=[7]), "task 1: 7 in \"inputs\"", "0 to 0")
        self.graph_says(lambda t: t[1].update(inputs=[[0, 2]]), "task 0 has 2 outputs")
        self.graph_says(lambda t: t[1].update(inputs=["a"]), '"a"', "[task, output]")
        self.graph_says(lambda t: t[2].update(outputs=[-1]), "task 2", "-1 bytes")
        self.graph_says(lambda t: t[2].update(kernel="trsm"), "trsm", "[flops_per_s]")
        self.graph_says(lambda t: t[0].pop("seconds"), "task 0", '"seconds" or "flops"')
        self.graph_says(lambda t: t[0].update(second=1), 'unknown key "second"', "seconds")
        self.graph_says(lambda t: t[0].update(takes_over=True), "task 0", "has none")

    def test_options(self):
        self.fails(self.simulate("cholsky"), "cholsky", "cholesky", ".json")
        self.fails(self.simulate("tree", None, "--policy", "best"), "best", "least_loaded")
        self.fails(self.simulate("tree", None, "--trace", "/no/such/trace.json"),
                   "/no/such/trace.json")

    def test_too_little_memory(self):
        small = CLUSTER.replace("memory_gib = 8", "memory_gib = 0.0001")
        small = small.replace('name = "old"', 'name = "old"\nmemory_gib = 0.0001')
        self.fails(self.simulate("matmul", self.file("small.toml", small)), "memory")


if __name__ == "__main__":
    unittest.main(verbosity=2)
