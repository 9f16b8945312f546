"""Processes on different hosts: each has its own network namespace, joined by a bridge, so they
share no memory and chunks go over TCP from arena to arena.

The namespaces have no names and end with their last process, so nothing is left behind."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from npy_files import read_npy, write_npy
from watch import NameWatch

ASHLAR, DRIVER = sys.argv[1:3]
del sys.argv[1:3]

SKIPPED = 77
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Host:
    """A network of its own. `cat` keeps it while this program has the other end of its pipe."""

    def __init__(self):
        self.keeper = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       preexec_fn=die_with_parent)
        self.processes = []
        try:
            self.keeper.stdin.write(b"ready\n")
            self.keeper.stdin.flush()
        except BrokenPipeError:
            pass
        if self.keeper.stdout.readline() != b"ready\n":
            raise PermissionError(self.keeper.communicate()[1].decode().strip())

    def command(self, *arguments):
        return ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", *arguments]

    def run(self, *arguments):
        result = subprocess.run(self.command(*arguments), capture_output=True, text=True)
        if result.returncode != 0:
            raise PermissionError(f"{' '.join(arguments)}: {result.stderr.strip()}")

    def start(self, program, *arguments, **options):
        process = subprocess.Popen(
            self.command(program, *arguments), text=True, preexec_fn=die_with_parent,
            env={**os.environ, "ASHLAR_TOKEN": "the hosts' token"}, **options)
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            process.kill()
            process.communicate()
        self.keeper.communicate()


class Network:
    """Hosts at 10.77.0.1, 10.77.0.2, … on one switch."""

    def __init__(self, count):
        self.switch = None
        self.hosts = []
        try:
            self.switch = Host()
            self.switch.run("ip", "link", "add", "bridge", "type", "bridge")
            self.switch.run("ip", "link", "set", "bridge", "up")
            for number in range(1, count + 1):
                self.add(number)
        except BaseException:
            self.close()
            raise

    def add(self, number):
        host = Host()
        self.hosts.append(host)
        port = f"port{number}"
        self.switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0",
                        "netns", str(host.keeper.pid))
        self.switch.run("ip", "link", "set", port, "master", "bridge", "up")
        host.run("ip", "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            host.run("ip", "link", "set", device, "up")

    def unplug(self, number):
        self.switch.run("ip", "link", "set", f"port{number}", "down")

    def close(self):
        for host in [*self.hosts, *([self.switch] if self.switch else [])]:
            host.close()


class Hosts(unittest.TestCase):
    """A scheduler on host 1, a worker on each of hosts 2 and 3, the program on host 4."""

    def setUp(self):
        self.network = Network(4)
        self.addCleanup(self.network.close)
        scheduler = self.network.hosts[0].start(
            ASHLAR, "scheduler", "--listen", "tcp://10.77.0.1:0", "--log-level", "off",
            stdout=subprocess.PIPE)
        self.address = scheduler.stdout.readline().split()[-1]
        self.workers = [
            host.start(ASHLAR, "worker", "--scheduler", self.address, "--slots", "1", "--memory",
                       "512MiB", "--log-level", "off", stderr=subprocess.PIPE)
            for host in self.network.hosts[1:3]]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start_product(self, n, chunk):
        """Multiplies u v' by w z', whose product is (v' w) u z': exact for small integers."""
        u, v = [i % 7 - 3 for i in range(n)], [i % 5 + 1 for i in range(n)]
        w, z = [i % 3 + 1 for i in range(n)], [i % 11 - 5 for i in range(n)]
        path = lambda name: os.path.join(self.folder, name)
        write_npy(path("a.npy"), n, n, (x * y for x in u for y in v))
        write_npy(path("b.npy"), n, n, (x * y for x in w for y in z))
        inner = sum(x * y for x, y in zip(v, w))
        self.expected = tuple(float(inner * x * y) for x in u for y in z)
        return self.network.hosts[3].start(
            ASHLAR, "matmul", path("a.npy"), path("b.npy"), "--out", path("c.npy"), "--chunks", str(chunk),
            "--scheduler", self.address, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, job):
        """Checks the product; returns the report."""
        report, errors = job.communicate(timeout=120)
        self.assertEqual((job.returncode, errors), (0, ""))
        self.assertTrue(read_npy(os.path.join(self.folder, "c.npy")) == self.expected)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.npy", "b.npy", "c.npy"])
        return report

    def in_the_middle(self, job_of):
        with NameWatch(self.folder) as watch:
            job = job_of()
            self.assertTrue(watch.wait("c.npy.partial-"))
        return job

    def test_chunks_go_from_host_to_host(self):
        report = self.finish(self.start_product(384, 48))
        moved = re.search(r"([\d.]+) MB between processes of a host, ([\d.]+) MB between hosts",
                          report)
        self.assertEqual(float(moved[1]), 0, report)
        self.assertGreater(float(moved[2]), 0, report)

    def test_results_and_inputs_cross_to_the_program(self):
        driver = self.network.hosts[3].start(DRIVER, self.address, stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE)
        output, errors = driver.communicate(timeout=120)
        self.assertEqual((driver.returncode, errors), (0, ""))
        array_bytes = 8 << 16
        for line, moved in enumerate(output.splitlines()):
            local, remote = map(int, moved.split())
            self.assertEqual(local, 0)
            # Of a sum, its parts move besides the array.
            self.assertIn(remote - array_bytes, range(0, 1 if line % 2 == 0 else 1000), output)

    def test_a_killed_worker_changes_no_bit(self):
        job = self.in_the_middle(lambda: self.start_product(1536, 128))
        self.workers[1].kill()
        self.finish(job)

    def test_an_unplugged_host_changes_no_bit(self):
        job = self.in_the_middle(lambda: self.start_product(1536, 128))
        self.network.unplug(3)
        self.finish(job)


if __name__ == "__main__":
    try:
        Network(1).close()
    except (PermissionError, FileNotFoundError) as why:
        print(f"skipped: cannot make network namespaces: {why}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
