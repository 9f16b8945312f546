"""Processes on different hosts: chunks go over TCP from arena to arena, and links are slow, lossy,
cut, or spoil data. See hosts.py."""

import collections
import functools
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import unittest

from hosts import Certificates, Cluster, Network, need_networks
from npy_files import read_npy, write_npy
from watch import NameWatch

ASHLAR, DRIVER = sys.argv[1:3]
del sys.argv[1:3]


class Products(unittest.TestCase):
    """A product of matrices in files, computed by a program on a host of the network."""

    def start_network(self, count):
        self.network = Network(count)
        self.addCleanup(self.network.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start_product(self, n, chunk, host=4):
        """Multiplies u v' by w z', whose product is (v' w) u z': exact for small integers."""
        u, v = [i % 7 - 3 for i in range(n)], [i % 5 + 1 for i in range(n)]
        w, z = [i % 3 + 1 for i in range(n)], [i % 11 - 5 for i in range(n)]
        path = lambda name: os.path.join(self.folder, name)
        write_npy(path("a.npy"), n, n, (x * y for x in u for y in v))
        write_npy(path("b.npy"), n, n, (x * y for x in w for y in z))
        inner = sum(x * y for x, y in zip(v, w))
        self.expected = tuple(float(inner * x * y) for x in u for y in z)
        return self.network.host(host).start(
            ASHLAR, "matmul", path("a.npy"), path("b.npy"), "--out", path("c.npy"), "--chunks",
            str(chunk), "--scheduler", self.cluster.address, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def finish(self, job):
        """Checks the product; returns the report."""
        report, errors = job.communicate(timeout=120)
        self.assertEqual((job.returncode, errors), (0, ""))
        self.assertTrue(read_npy(os.path.join(self.folder, "c.npy")) == self.expected)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.npy", "b.npy", "c.npy"])
        return report


class Hosts(Products):
    """A scheduler on host 1, a worker on each of hosts 2 and 3, the program on host 4."""

    def setUp(self):
        self.start_network(4)
        self.cluster = Cluster(self.network, ASHLAR, [2, 3])

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
        driver = self.network.host(4).start(DRIVER, self.cluster.address, stdout=subprocess.PIPE,
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
        self.cluster.workers[3].kill()
        self.finish(job)

    def test_an_unplugged_host_changes_no_bit(self):
        job = self.in_the_middle(lambda: self.start_product(1536, 128))
        self.network.unplug(3)
        self.finish(job)


class LongWay(unittest.TestCase):
    """From a worker on host 2 to the program on host 3."""

    def setUp(self):
        self.network = Network(3)
        self.addCleanup(self.network.close)
        # So small that it is the limit, however busy this machine is.
        self.network.host(2).run("sh", "-c",
                                 "echo 4096 16384 262144 > /proc/sys/net/ipv4/tcp_wmem")
        self.cluster = Cluster(self.network, ASHLAR, [2])

    def connections(self):
        """Between the two, after the program has brought much home."""
        program = self.network.host(3).start(DRIVER, self.cluster.address, "twice",
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(program.stdout.readline(), f"{32 << 20}\n")
        lines = self.network.host(3).run("ss", "--no-header", "--tcp", "--numeric", "state",
                                         "established", "dst", "10.77.0.2").splitlines()
        program.communicate("\n", timeout=60)
        self.assertEqual(program.returncode, 0)
        return len(lines)

    def test_it_is_gone_on_several_lanes(self):
        self.assertEqual(self.connections(), 1)
        self.network.delay(3, milliseconds=10)
        self.assertEqual(self.connections(), 4)


class Links(Products):
    """Workers on four hosts, a scheduler on the first, and the program on a fifth."""

    def setUp(self):
        self.start_network(5)
        self.cluster = Cluster(self.network, ASHLAR, [1, 2, 3, 4])

    def start(self, n=768, chunk=96):
        return self.start_product(n, chunk, host=5)

    def bring_arrays_home(self):
        driver = self.network.host(5).start(DRIVER, self.cluster.address, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
        output, errors = driver.communicate(timeout=120)
        self.assertEqual((driver.returncode, errors), (0, ""))
        self.assertEqual(len(output.splitlines()), 4)

    def test_four_hosts_share_a_product(self):
        report = self.finish(self.start())
        workers = re.findall(r"(\d+) tasks", report)
        self.assertGreaterEqual(len([count for count in workers if count != "0"]), 4, report)
        self.assertIn(" 0.0 MB between processes of a host", report)

    def test_slow_links_change_no_bit(self):
        for host in (3, 5):
            self.network.shape(host, 20)
        self.finish(self.start())
        self.bring_arrays_home()

    def test_delayed_and_lossy_links_change_no_bit(self):
        for host in (3, 5):
            self.network.delay(host, milliseconds=10, loss=0.02)
        self.finish(self.start())
        self.bring_arrays_home()

    def test_what_can_be_compressed_is_where_links_are_slow(self):
        for host in range(1, 6):
            self.network.shape(host, 50)
        moved = {}
        for content in ("counting", "random"):
            before = self.network.bytes_to(5)
            driver = self.network.host(5).start(DRIVER, self.cluster.address, content,
                                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            output, errors = driver.communicate(timeout=120)
            self.assertEqual((driver.returncode, errors), (0, ""))
            moved[content] = (self.network.bytes_to(5) - before) / int(output)
        self.assertLess(moved["counting"], 0.8)
        self.assertGreater(moved["random"], 1)
        self.assertLess(moved["random"], 1.1)

    def test_links_that_spoil_data_change_no_bit(self):
        proxies = [self.network.delay(host, milliseconds=0, spoiled=0.05) for host in (3, 5)]
        self.finish(self.start())
        self.bring_arrays_home()
        spoiled = 0
        for proxy in proxies:  # chance may leave one with nothing
            proxy.kill()
            spoiled += proxy.stdout.read().count("spoiled\n")
        self.assertGreater(spoiled, 0)

    def test_a_link_cut_in_mid_transfer_changes_no_bit(self):
        self.network.cut_after(3, kilobytes=700)
        self.finish(self.start())

    def test_a_program_that_cannot_reach_the_workers_says_so(self):
        # The scheduler is on host 1. Each connection is refused at once.
        for command in ("add table ip refuse",
                        "add chain ip refuse out { type filter hook output priority 0; }",
                        "add rule ip refuse out ip daddr { 10.77.0.2, 10.77.0.3, 10.77.0.4 } "
                        "meta l4proto tcp reject with tcp reset"):
            self.network.host(5).run("nft", command)
        driver = self.network.host(5).start(DRIVER, self.cluster.address, "counting",
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = driver.communicate(timeout=120)
        self.assertEqual((driver.returncode, output), (1, ""))
        self.assertIn("check the network between its host and this one", errors)

    def test_a_program_that_is_cut_off_in_mid_transfer_says_so(self):
        self.network.cut_after(5, kilobytes=300)
        driver = self.network.host(5).start(DRIVER, self.cluster.address, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
        output, errors = driver.communicate(timeout=60)
        self.assertEqual((driver.returncode, output), (1, ""))
        self.assertIn(self.cluster.address, errors)
        self.assertIn("silent", errors)


class Cut(Products):
    """A scheduler on host 1 that all reach; workers, and a program on the last host, do not all
    reach each other."""

    def start_cluster(self, workers, apart, cut=Network.refuse):
        self.start_network(max(workers) + 1)
        self.cluster = Cluster(self.network, ASHLAR, workers, log_level="warning")
        for one, other in apart:
            cut(self.network, one, other)
            cut(self.network, other, one)

    def start(self, n=768, chunk=96):
        return self.start_product(n, chunk, host=len(self.network.hosts))

    def test_two_of_four_hosts_cannot_reach_each_other(self):
        self.start_cluster([1, 2, 3, 4], apart=[(2, 3)])
        self.finish(self.start())

    def test_packets_between_two_of_three_hosts_vanish(self):
        self.start_cluster([1, 2, 3], apart=[(2, 3)], cut=Network.drop)
        self.finish(self.start())

    def test_packets_between_two_hosts_vanish_in_mid_transfer(self):
        # Both reach the scheduler all the time, so that nobody but their systems notices.
        self.start_cluster([1, 2, 3], apart=[(2, 3)],
                           cut=functools.partial(Network.drop, after_kilobytes=300))
        self.finish(self.start())
        self.assertGreater(self.network.dropped(2) + self.network.dropped(3), 0)

    def test_the_only_two_hosts_cannot_reach_each_other(self):
        self.start_cluster([2, 3], apart=[(2, 3)])
        self.finish(self.start())
        for worker in self.cluster.workers.values():
            worker.kill()
            log = worker.communicate()[1]
            self.assertLessEqual(log.count("cannot connect"), 1, log)

    def test_no_host_reaches_another(self):
        self.start_cluster([2, 3, 4], apart=[(2, 3), (2, 4), (3, 4)])
        self.finish(self.start())

    def test_workers_that_cannot_reach_the_program_say_so(self):
        self.start_cluster([2, 3], apart=[])
        for worker in (2, 3):
            self.network.refuse(worker, 4)
        driver = self.network.host(4).start(DRIVER, self.cluster.address, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
        output, errors = driver.communicate(timeout=60)
        self.assertEqual(driver.returncode, 1)
        self.assertRegex(errors, r"worker \S+ \(tcp://10.77.0.[23]:\d+\) cannot fetch from the "
                                 r"program \S+ \(tcp://10.77.0.4:\d+\): .*refused")
        self.assertIn("firewall", errors)


class Encrypted(Products):
    """As Hosts, and each host has a certificate."""

    def setUp(self):
        self.start_network(4)
        self.certificates = Certificates(self.folder_of_its_own())
        self.certificates.give_to(self.network.hosts)

    def folder_of_its_own(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def start_cluster(self):
        self.cluster = Cluster(self.network, ASHLAR, [2, 3])

    def counting_array_is_readable(self):
        """Brings an array of counted numbers home; whether a piece of it passes the switch."""
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sniff.py")
        numbers = [str(number) for number in range(1000, 1 << 20, 50_000)]
        sniffer = self.network.switch.start(sys.executable, "-B", script, "port4", *numbers,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(sniffer.stdout.readline(), "ready\n")
        driver = self.network.host(4).start(DRIVER, self.cluster.address, "counting",
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = driver.communicate(timeout=120)
        self.assertEqual((driver.returncode, errors), (0, ""))
        found, seen = map(int, sniffer.communicate("")[0].split())
        self.assertGreater(seen, int(output) // 2)
        return found > 0

    def test_a_product_of_encrypted_hosts(self):
        self.start_cluster()
        report = self.finish(self.start_product(384, 48))
        self.assertGreater(float(re.search(r"([\d.]+) MB between hosts", report)[1]), 0, report)

    def test_data_are_not_readable_on_the_wire(self):
        self.start_cluster()
        self.assertFalse(self.counting_array_is_readable())

    def test_they_are_without_certificates(self):
        for host in self.network.hosts:
            host.variables = {}
        self.start_cluster()
        self.assertTrue(self.counting_array_is_readable())

    def test_a_killed_worker_changes_no_bit(self):
        self.start_cluster()
        with NameWatch(self.folder) as watch:
            job = self.start_product(1536, 128)
            self.assertTrue(watch.wait("c.npy.partial-"))
        self.cluster.workers[3].kill()
        self.finish(job)

    def refusal(self, *command):
        process = self.network.host(4).start(ASHLAR, *command, "--scheduler", self.cluster.address,
                                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, errors)
        return errors

    def test_who_has_no_certificate_or_a_strange_one_is_refused(self):
        self.start_cluster()
        worker, program = ("worker", "--log-level", "off", "--memory", "256MiB"), ("explain",)
        self.network.host(4).variables = {}
        for command in (worker, program):
            self.assertIn("the other side uses TLS, and this one does not: give it --tls-cert",
                          self.refusal(*command))
        strangers = Certificates(self.folder_of_its_own())
        self.network.host(4).variables = strangers.variables("stranger")
        for command in (worker, program):
            self.assertRegex(self.refusal(*command),
                             r"TLS: the other side's certificate \(CN=host1\) is not accepted")
        self.finish(self.start_product(96, 48, host=2))

    def test_certificates_may_be_named_by_options(self):
        self.start_cluster()
        names = self.network.host(4).variables
        self.network.host(4).variables = {}
        options = [word for what in ("CERT", "KEY", "CA")
                   for word in (f"--tls-{what.lower()}", names[f"ASHLAR_TLS_{what}"])]
        explain = self.network.host(4).start(ASHLAR, "explain", "--scheduler",
                                             self.cluster.address, *options,
                                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(explain.communicate(timeout=60)[1], "")
        self.assertEqual(explain.returncode, 0)


class Ucx(Products):
    """Workers on hosts 2 and 3, a scheduler on host 1, the program on host 4. UCX would see that
    all hosts are one machine and share its memory, if it were not told to use TCP."""

    def setUp(self):
        if "UCX           not built" in subprocess.run([ASHLAR, "info"], capture_output=True,
                                                       text=True).stdout:
            self.skipTest("built without UCX")

    def start_workers(self, options_of, transports="tcp"):
        self.start_network(4)
        self.addCleanup(os.environ.pop, "UCX_TLS", None)
        os.environ["UCX_TLS"] = transports
        self.logs = {number: os.path.join(self.folder, f"log{number}") for number in (2, 3)}
        self.cluster = Cluster(
            self.network, ASHLAR, [2, 3], log_level="debug",
            options_of={number: ["--log-file", log, *options_of[number]]
                        for number, log in self.logs.items()})

    def finish(self, job):
        report, errors = job.communicate(timeout=120)
        self.assertEqual((job.returncode, errors), (0, ""))
        self.assertTrue(read_npy(os.path.join(self.folder, "c.npy")) == self.expected)
        return report

    def links(self):
        """Ends the workers. With whom they say that they linked: kind and host."""
        found = set()
        for number, log in self.logs.items():
            self.cluster.workers[number].terminate()
            self.cluster.workers[number].wait(timeout=30)
            with open(log, encoding="utf-8") as lines:
                found |= set(re.findall(r"linked with a peer at (\w+)://10\.77\.0\.(\d)",
                                        lines.read()))
        return found

    def in_the_middle(self):
        with NameWatch(self.folder) as watch:
            job = self.start_product(1536, 128)
            self.assertTrue(watch.wait("c.npy.partial-"))
        return job

    def test_chunks_go_by_ucx_over_tcp(self):
        self.start_workers({2: ["--transport", "ucx"], 3: ["--transport", "ucx"]})
        report = self.finish(self.start_product(768, 96))
        self.assertNotIn(" 0.0 MB between hosts", report)
        links = self.links()
        self.assertTrue({("ucx", "2"), ("ucx", "3")} & links, links)
        self.assertFalse({("tcp", "2"), ("tcp", "3")} & links, links)

    def test_chunks_go_by_ucx_over_shared_memory(self):
        self.start_workers({2: ["--transport", "ucx"], 3: ["--transport", "ucx"]},
                           "posix,cma,tcp")
        self.finish(self.start_product(768, 96))
        self.assertTrue({("ucx", "2"), ("ucx", "3")} & self.links())

    def test_a_program_gets_its_results_by_ucx(self):
        self.start_workers({2: ["--transport", "ucx"], 3: ["--transport", "ucx"]})
        for content in ("counting", "random"):
            driver = self.network.host(4).start(DRIVER, self.cluster.address, content, "ucx",
                                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            output, errors = driver.communicate(timeout=120)
            self.assertEqual((driver.returncode, errors), (0, ""))
        self.assertIn(("ucx", "4"), self.links())

    def test_who_has_no_ucx_is_reached_by_tcp(self):
        self.start_workers({2: ["--transport", "ucx"], 3: []})
        self.finish(self.start_product(768, 96))
        self.assertNotIn("ucx", {kind for kind, _ in self.links()})

    def test_a_killed_worker_changes_no_bit(self):
        self.start_workers({2: ["--transport", "ucx"], 3: ["--transport", "ucx"]})
        job = self.in_the_middle()
        self.cluster.workers[3].kill()
        self.finish(job)

    def test_an_unplugged_host_changes_no_bit(self):
        self.start_workers({2: ["--transport", "ucx"], 3: ["--transport", "ucx"]})
        job = self.in_the_middle()
        self.network.unplug(3)
        self.finish(job)


class EncryptedLinks(Links):
    """The same of encrypted ones, but for spoiled data: each spoiled packet ends a link here, and new
    ones begin slowly, so that as many as above would have data taken for lost."""

    def setUp(self):
        self.start_network(5)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        Certificates(folder.name).give_to(self.network.hosts)
        self.cluster = Cluster(self.network, ASHLAR, [1, 2, 3, 4])

    test_links_that_spoil_data_change_no_bit = None


class Fixture(unittest.TestCase):
    def two_hosts(self):
        network = Network(2)
        self.addCleanup(network.close)
        return network

    def test_a_delayed_link_takes_its_time_both_ways(self):
        network = self.two_hosts()
        network.delay(2, milliseconds=30)
        script = ("import socket, time; begin = time.monotonic()\n"
                  "try: socket.create_connection(('10.77.0.2', 1))\n"
                  "except ConnectionRefusedError: print(time.monotonic() - begin)")
        self.assertGreater(float(network.host(1).run(sys.executable, "-c", script)), 0.06)

    def test_a_link_is_cut_where_it_was_to_be(self):
        network = self.two_hosts()
        network.cut_after(2, kilobytes=100)
        script = ("import socket\n"
                  "here = socket.create_server(('10.77.0.2', 0)); print(here.getsockname()[1], "
                  "flush=True); link = here.accept()[0]; count = 0; print('in', flush=True)\n"
                  "while part := link.recv(65536): count += len(part); print(count, flush=True)")
        reader = network.host(2).start(sys.executable, "-c", script, stdout=subprocess.PIPE)
        port = int(reader.stdout.readline())
        writer = network.host(1).start(
            sys.executable, "-c", "import socket, time\n"
            f"link = socket.create_connection(('10.77.0.2', {port}), 10)\n"
            "link.settimeout(1)\n"
            "try: link.sendall(bytes(1 << 24))\n"
            "except TimeoutError: print('cut')", stdout=subprocess.PIPE)
        self.assertEqual(writer.stdout.readline(), "cut\n")
        reader.kill()
        came = int(reader.stdout.read().split()[-1])
        self.assertIn(came, range(10_000, 100_000))

    def test_a_test_that_is_killed_leaves_no_process(self):
        script = ("from hosts import Network; n = Network(2); n.delay(2, 1); "
                  "print(*[h.keeper.pid for h in [n.switch, *n.hosts]], "
                  "n.switch.processes[0].pid, flush=True); input()")
        test = subprocess.Popen([sys.executable, "-B", "-c", script], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True,
                                cwd=os.path.dirname(os.path.abspath(__file__)))
        pids = [int(pid) for pid in test.stdout.readline().split()]
        self.assertEqual(len(pids), 4)
        handles = [os.pidfd_open(pid) for pid in pids]
        test.send_signal(signal.SIGKILL)
        test.communicate()
        for handle in handles:
            ended, _, _ = select.select([handle], [], [], 30)
            self.assertTrue(ended)
            os.close(handle)


if __name__ == "__main__":
    need_networks()
    unittest.main(verbosity=2)
