"""The `ashlar` program as an operator uses it: what works, and what bad input says."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from npy_files import read_npy, write_npy
from watch import NameWatch

ASHLAR, PLUGIN, PLUGIN_DRIVER = sys.argv[1:4]
del sys.argv[1:]


def run(*arguments, timeout=120, environment=None):
    return subprocess.run(
        [ASHLAR, *arguments], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(environment or {})})


class Cluster:
    """A scheduler at a free port and some workers, which have joined."""

    def __init__(self, workers=2, options=(), token=None, scheduler_options=()):
        self.environment = {**os.environ, **({"ASHLAR_TOKEN": token} if token else {})}
        self.scheduler = subprocess.Popen(
            [ASHLAR, "scheduler", "--listen", "tcp://127.0.0.1:0", "--log-level", "info",
             *scheduler_options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment)
        self.address = self.scheduler.stdout.readline().split()[-1]
        self.options = options
        self.workers = []
        for _ in range(workers):
            self.add_worker()
        joined = 0
        while joined < workers:
            line = self.scheduler.stderr.readline()
            if not line:
                raise AssertionError("the scheduler has ended")
            joined += " joined: " in line

    def add_worker(self):
        """Starts a worker, which may join later."""
        self.workers.append(subprocess.Popen(
            [ASHLAR, "worker", "--scheduler", self.address, "--slots", "1", "--memory", "512MiB",
             "--log-level", "warning", *self.options],
            env=self.environment, stderr=subprocess.PIPE, text=True))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [self.scheduler, *self.workers]:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        self.codes = [process.wait(timeout=60) for process in [self.scheduler, *self.workers]]
        self.scheduler.stdout.close()
        self.scheduler.stderr.close()
        for worker in self.workers:
            worker.stderr.close()


class Works(unittest.TestCase):
    def test_info_reports_blas_and_check(self):
        result = run("info")
        self.assertEqual(result.returncode, 0, result.stderr)
        for word in ("BLAS", "cores", "memory", "huge pages", "FMA peak", "GFLOP/s", "CUDA"):
            self.assertIn(word, result.stdout)

    def test_matmul_of_files(self):
        n, k, m = 30, 20, 25
        a = [(i * 7 % 11) - 5.0 for i in range(n * k)]
        b = [(i * 5 % 13) - 6.0 for i in range(k * m)]
        expected = [sum(a[i * k + l] * b[l * m + j] for l in range(k))
                    for i in range(n) for j in range(m)]
        with tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            write_npy(path("a.npy"), n, k, a)
            columns_first = [b[r * m + c] for c in range(m) for r in range(k)]
            write_npy(path("b.npy"), k, m, columns_first, fortran=True)
            result = run("matmul", path("a.npy"), path("b.npy"), "--out", path("c.npy"),
                         "--chunks", "8", "--workers", "2")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(list(read_npy(path("c.npy"))), expected)
            for word in ("makespan", "utilisation", "speed-up", "lower bound"):
                self.assertIn(word, result.stdout)
            quiet = run("matmul", path("a.npy"), path("b.npy"), "--out", path("c.npy"), "--quiet")
            self.assertEqual((quiet.returncode, quiet.stdout, quiet.stderr), (0, "", ""))
            with Cluster() as cluster:
                result = run("matmul", path("a.npy"), path("b.npy"), "--out", path("d.npy"),
                             "--chunks", "8", "--scheduler", cluster.address)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(list(read_npy(path("d.npy"))), expected)
            self.assertEqual(cluster.codes, [0, 0, 0])

    def test_an_interrupted_job_leaves_nothing(self):
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with tempfile.TemporaryDirectory() as folder, Cluster(workers=0) as cluster:
                path = os.path.join(folder, "a.npy")
                write_npy(path, 2, 2, [1.0] * 4)
                with NameWatch(folder) as watch:
                    job = subprocess.Popen(
                        [ASHLAR, "matmul", path, path, "--out", os.path.join(folder, "c.npy"),
                         "--quiet", "--scheduler", cluster.address],
                        stderr=subprocess.PIPE, text=True)
                    self.assertTrue(watch.wait("c.npy.partial-"))
                job.send_signal(stop)
                self.assertEqual((job.communicate(timeout=60)[1], job.returncode),
                                 ("ashlar: interrupted\n", 128 + stop))
                self.assertEqual(os.listdir(folder), ["a.npy"])

    def test_what_a_killed_job_leaves_goes_with_the_next(self):
        with tempfile.TemporaryDirectory() as folder, Cluster(workers=0) as cluster:
            path = lambda name: os.path.join(folder, name)
            write_npy(path("a.npy"), 2, 2, [1.0] * 4)
            with NameWatch(folder) as watch:
                job = subprocess.Popen(
                    [ASHLAR, "matmul", path("a.npy"), path("a.npy"), "--out", path("c.npy"),
                     "--quiet", "--scheduler", cluster.address])
                self.assertTrue(watch.wait("c.npy.partial-"))
            job.kill()
            job.wait(timeout=60)
            (left,) = [name for name in os.listdir(folder) if ".partial-" in name]
            # Of a process that lives, of another host, and of another file.
            others = [left.replace(f"-{job.pid}-", f"-{os.getpid()}-"),
                      left.replace(".partial-", ".partial-0"), left.replace("c.npy", "d.npy")]
            for name in others:
                write_npy(path(name), 1, 1, [1.0])
            result = run("matmul", path("a.npy"), path("a.npy"), "--out", path("c.npy"))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotIn(left, os.listdir(folder))
            self.assertEqual(sorted(os.listdir(folder)), sorted(["a.npy", "c.npy", *others]))

    def test_a_job_without_workers_says_that_it_waits(self):
        for options in ([], ["--quiet"]):
            with tempfile.TemporaryDirectory() as folder, Cluster(workers=0) as cluster:
                path = os.path.join(folder, "a.npy")
                write_npy(path, 2, 2, [1.0] * 4)
                job = subprocess.Popen(
                    [ASHLAR, "matmul", path, path, "--scheduler", cluster.address, *options],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                if not options:
                    line = job.stderr.readline()
                    for word in ("no worker", "up to 30 s",
                                 f"ashlar worker --scheduler {cluster.address}"):
                        self.assertIn(word, line)
                cluster.add_worker()
                self.assertEqual((job.communicate(timeout=60)[1], job.returncode), ("", 0))

    def test_info_tells_a_slow_blas_from_a_busy_machine(self):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in os.sched_getaffinity(0)]
        try:
            result = run("info", environment={"OPENBLAS_CORETYPE": "Prescott"})
        finally:
            for process in busy:
                process.kill()
                process.wait()
        if "warning" not in result.stdout:
            self.skipTest("this BLAS is fast all the same")
        self.assertIn("other processes kept", result.stdout)
    def explain(self, cluster, *options):
        result = run("explain", "--scheduler", cluster.address, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_runs_and_tasks_are_explained(self):
        with tempfile.TemporaryDirectory() as folder, Cluster(workers=0) as cluster:
            self.assertEqual(self.explain(cluster),
                             "0 workers with 0 slots, 0 tasks to do\nno run is known\n")
            path = os.path.join(folder, "a.npy")
            write_npy(path, 8, 8, [1.0] * 64)
            job = subprocess.Popen([ASHLAR, "matmul", path, path, "--chunks", "4", "--quiet",
                                    "--scheduler", cluster.address])
            deadline = time.monotonic() + 60
            found = None
            while found is None and time.monotonic() < deadline:
                text = self.explain(cluster)
                found = re.search(r"\nrun (\d+) of session (\d+): goes on, 0 of", text)
            self.assertTrue(found, text)
            self.assertIn(f"\nsession {found[2]}: driver ", text)
            where = ("--session", found[2], "--run", found[1])
            self.assertIn("not placed: there is no worker; a run waits 30 s for one",
                          self.explain(cluster, *where, "--task", "0"))
            self.assertIn("goes on, 0 of ", self.explain(cluster, *where))
            cluster.add_worker()
            self.assertEqual(job.wait(timeout=60), 0)
            whole = self.explain(cluster, *where)
            self.assertRegex(whole, rf"^run {found[1]} of session {found[2]}: done, (\d+) of \1 ")
            self.assertIn("bound by: ", whole)
            self.assertIn(": done on worker ", self.explain(cluster, *where, "--task", "0"))
            self.assertIn("has no task 999", self.explain(cluster, *where, "--task", "999"))
            self.assertIn("is not known", self.explain(cluster, "--session", "77", "--run", "5"))

    def test_workers_leave_when_asked(self):
        for stop in (signal.SIGINT, signal.SIGTERM):
            with Cluster(workers=2) as cluster:
                with tempfile.TemporaryDirectory() as folder:
                    path = os.path.join(folder, "a.npy")
                    write_npy(path, 8, 8, [1.0] * 64)
                    result = run("matmul", path, path, "--chunks", "2", "--scheduler",
                                 cluster.address)
                    self.assertEqual(result.returncode, 0, result.stderr)
                cluster.workers[0].send_signal(stop)
                self.assertEqual(cluster.workers[0].wait(timeout=30), 0)
                self.assertIsNone(cluster.workers[1].poll())

    def test_they_may_open_as_much_as_they_are_ever_allowed_to(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with Cluster(workers=1) as cluster:
            for process in (cluster.scheduler, *cluster.workers):
                self.assertEqual(resource.prlimit(process.pid, resource.RLIMIT_NOFILE), (hard, hard))

    def test_an_event_log_replays_to_the_same_actions(self):
        with tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            write_npy(path("a.npy"), 60, 60, [1.0] * 3600)
            with Cluster(token="of-the-test",
                         scheduler_options=("--event-log", path("run.log"))) as cluster:
                for _ in range(2):
                    result = run("matmul", path("a.npy"), path("a.npy"), "--chunks", "10",
                                 "--scheduler", cluster.address,
                                 environment={"ASHLAR_TOKEN": "of-the-test"})
                    self.assertEqual(result.returncode, 0, result.stderr)
                    cluster.workers[0].kill()
                    cluster.workers[0].wait(timeout=30)
            result = run("replay", path("run.log"))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, r"^\d+ steps, \d+ events: the same actions")
            # The log is also a graph, and what a machine file is made from.
            result = run("calibrate", "--event-log", path("run.log"), "--out", path("machine.toml"))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            result = run("simulate", "--graph", path("run.log"), "--cluster", path("machine.toml"))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("1 hosts", result.stdout)
            with open(path("run.log"), "r+b") as log:
                content = log.read()
                self.assertNotIn(b"of-the-test", content)
                at = content.rindex(b"ashlar.")  # in the last graph, or what became of it
                log.seek(at)
                log.write(bytes([content[at] ^ 1]))
            result = run("replay", path("run.log"))
            self.assertEqual(result.returncode, 1)
            self.assertIn("event log " + path("run.log"), result.stderr)

    def test_plugins_bring_tasks(self):
        with Cluster(workers=1, options=("--load", PLUGIN)) as cluster:
            result = subprocess.run([PLUGIN_DRIVER, cluster.address], capture_output=True,
                                    text=True, timeout=60)
            self.assertEqual((result.stdout, result.stderr), ("42\n", ""))


class BadInput(unittest.TestCase):
    def expect_error(self, result, *words):
        self.assertNotEqual(result.returncode, 0)
        self.assertNotIn("internal error", result.stderr)
        for word in words:
            self.assertIn(word, result.stderr + result.stdout)

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            write_npy(path("good.npy"), 4, 4, [1.0] * 16)
            write_npy(path("wide.npy"), 4, 3, [1.0] * 12)
            write_npy(path("short.npy"), 4, 4, [1.0] * 16, truncate=40)
            write_npy(path("complex.npy"), 4, 4, [1.0] * 32, descr="<c16")
            with open(path("text.npy"), "w") as file:
                file.write("not an array")
            good = path("good.npy")
            self.expect_error(run("matmul", path("none.npy"), good), "none.npy",
                              "check the path")
            self.expect_error(run("matmul", path("short.npy"), good), "short.npy")
            self.expect_error(run("matmul", path("complex.npy"), good), "complex.npy", "c16")
            self.expect_error(run("matmul", path("text.npy"), good), "text.npy")
            self.expect_error(run("matmul", path("wide.npy"), good), "wide.npy (4, 3)",
                              "good.npy (4, 4)", "swap the files")
            self.expect_error(run("matmul", good, good, "--chunks", "0"), "chunks")
            self.expect_error(run("matmul", good, good, "--chunks", "x"), "ashlar: ", "--chunks",
                              "a number")
            self.expect_error(run("scheduler", "--listen", "unix:" + good), good, "another name")
            self.expect_error(run("matmul", good, good, "--chunks", "5"), "--chunks 5", "1 to 4")
            self.expect_error(run("matmul", good, good, "--out", path("no/such/c.npy")),
                              path("no/such/c.npy"), "make it first")
            self.expect_error(run("matmul", good, good, "--out", folder), folder)

    def test_commands(self):
        self.expect_error(run("bogus"), 'unknown command "bogus"', "matmul")
        self.expect_error(run("matmul", "a", "b", "--bogus"), "--bogus")

    def test_numbers_that_are_none(self):
        with tempfile.TemporaryDirectory() as folder:
            cluster = os.path.join(folder, "cluster.toml")
            with open(cluster, "w") as file:
                file.write("")
            for word in ("nan", "-nan", "inf"):
                self.expect_error(run("simulate", "--graph", "matmul", "--cluster", cluster,
                                      f"--task-ms={word}"), "--task-ms")
        for amount in ("nan", "inf", "-1", "1e999"):
            self.expect_error(run("worker", "--scheduler", "tcp://127.0.0.1:1", "--resource",
                                  f"x={amount}"), "--resource", "NAME=AMOUNT")

    def test_options_without_a_value(self):
        for command in (("matmul", "a", "b", "--out", ""),
                        ("matmul", "a", "b", "--scheduler", ""),
                        ("worker", "--scheduler", ""),
                        ("scheduler", "--token-file", "")):
            self.expect_error(run(*command), command[-2], "is empty")
        self.expect_error(run("scheduler", "--token-file", "/nofile"), "--token-file /nofile",
                          "cannot be read", "No such file")

    def test_more_threads_than_make_sense(self):
        with tempfile.TemporaryDirectory() as folder:
            good = os.path.join(folder, "good.npy")
            write_npy(good, 2, 2, [1.0] * 4)
            for options in (("--workers", "100000"), ("--threads", "100000"),
                            ("--workers", "70000", "--threads", "70000")):
                self.expect_error(run("matmul", good, good, *options), options[1], "usable cores")
        for option in ("--memory", "--slots"):
            self.expect_error(run("worker", "--scheduler", "tcp://127.0.0.1:1", option, "0"),
                              option)
        self.expect_error(run("worker", "--scheduler", "tcp://127.0.0.1:1", "--slots", "100000"),
                          "100000", "usable cores")

    def test_explain_asks_about_a_run_of_a_session(self):
        self.expect_error(run("explain"), "--scheduler")
        address = ("--scheduler", "tcp://127.0.0.1:1")
        self.expect_error(run("explain", *address, "--run", "3"), "--run", "--session")
        self.expect_error(run("explain", *address, "--session", "1", "--task", "3"), "--task",
                          "--run")
        self.expect_error(run("explain", *address, "--session", "x"), "--session")
        self.expect_error(run("explain", *address), "tcp://127.0.0.1:1", "Connection refused")
        with Cluster(workers=0, token="secret") as cluster:
            self.expect_error(
                run("explain", "--scheduler", cluster.address, environment={"ASHLAR_TOKEN": "x"}),
                "token")

    def test_a_transport_that_is_not_there(self):
        worker = ("worker", "--scheduler", "tcp://127.0.0.1:1", "--transport")
        self.expect_error(run(*worker, "pigeons"), "pigeons", "expected tcp or ucx")
        self.expect_error(run(*worker, "ucx", environment={"UCX_TLS": "nonsense"}), "UCX",
                          "use the transport tcp")

    def test_unreachable_scheduler(self):
        refused = run("worker", "--scheduler", "tcp://127.0.0.1:1")
        self.expect_error(refused)
        self.assertEqual(refused.stderr,
                         "ashlar: cannot connect to tcp://127.0.0.1:1: Connection refused; start a "
                         "scheduler there with `ashlar scheduler --listen tcp://127.0.0.1:1`, or "
                         "check the address\n")
        self.expect_error(run("worker", "--scheduler", "nonsense"), "nonsense")
        unknown = run("worker", "--scheduler", "tcp://no-such-host.invalid:1")
        self.expect_error(unknown, "no-such-host.invalid", "check its spelling")
        self.assertNotIn("start a scheduler", unknown.stderr)
        with tempfile.TemporaryDirectory() as folder:
            good = os.path.join(folder, "good.npy")
            write_npy(good, 2, 2, [1.0] * 4)
            self.expect_error(run("matmul", good, good, "--scheduler", "tcp://127.0.0.1:1"),
                              "tcp://127.0.0.1:1")

    def test_event_logs(self):
        with tempfile.TemporaryDirectory() as folder:
            nowhere = os.path.join(folder, "no", "log")
            self.expect_error(run("scheduler", "--listen", "tcp://127.0.0.1:0", "--event-log",
                                  nowhere), nowhere, "cannot be made")
            self.expect_error(run("replay", nowhere), nowhere, "cannot be read")
            with open(os.path.join(folder, "x"), "w") as file:
                file.write("no log")
            self.expect_error(run("replay", os.path.join(folder, "x")), "first line")

    def test_address_in_use(self):
        with Cluster(workers=0) as cluster:
            self.expect_error(run("scheduler", "--listen", cluster.address), cluster.address,
                              "in use")

    def test_beyond_loopback_needs_a_token(self):
        self.expect_error(run("scheduler", "--listen", "tcp://0.0.0.0:0"), "token")

    def test_wrong_token(self):
        with Cluster(workers=1, token="secret") as cluster:
            self.expect_error(
                run("worker", "--scheduler", cluster.address, environment={"ASHLAR_TOKEN": "x"}),
                "token")
            self.expect_error(run("worker", "--scheduler", cluster.address), "token")

    def test_missing_kernel(self):
        with Cluster(workers=1) as cluster:
            result = subprocess.run([PLUGIN_DRIVER, cluster.address], capture_output=True,
                                    text=True, timeout=60)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("twice", result.stderr)
            self.assertIn("ashlar worker --load", result.stderr)

    def test_growing_cluster(self):
        with Cluster(workers=1, scheduler_options=("--growth-wait", "60")) as cluster:
            with subprocess.Popen([PLUGIN_DRIVER, cluster.address], stdout=subprocess.PIPE,
                                  text=True) as driver:
                cluster.workers.append(subprocess.Popen(
                    [ASHLAR, "worker", "--scheduler", cluster.address, "--slots", "1",
                     "--log-level", "warning", "--load", PLUGIN], stderr=subprocess.PIPE))
                self.assertEqual(driver.communicate(timeout=60)[0], "42\n")

    def test_stranger_on_the_port(self):
        with Cluster(workers=1) as cluster:
            host, port = cluster.address[len("tcp://"):].split(":")
            for junk in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 64, os.urandom(300)):
                with socket.create_connection((host, int(port)), timeout=10) as stranger:
                    stranger.settimeout(30)
                    stranger.sendall(junk)
                    try:
                        while stranger.recv(4096):
                            pass
                    except ConnectionResetError:
                        pass
            result = subprocess.run([PLUGIN_DRIVER, cluster.address], capture_output=True,
                                    text=True, timeout=60)
            self.assertIn("twice", result.stderr, "the scheduler still answers")

    def test_bad_plugins(self):
        self.expect_error(run("worker", "--scheduler", "tcp://127.0.0.1:1", "--load", "/none.so"),
                          "/none.so", "check the path")
        self.expect_error(run("worker", "--scheduler", "tcp://127.0.0.1:1", "--load", "none.so"),
                          "give ./none.so")
        self.expect_error(run("worker", "--scheduler", "tcp://127.0.0.1:1", "--load", __file__),
                          __file__, "expected a shared library")
        self.expect_error(run("worker", "--scheduler", "tcp://127.0.0.1:1", "--resource", "x"),
                          "NAME=AMOUNT")


if __name__ == "__main__":
    unittest.main(verbosity=2)
