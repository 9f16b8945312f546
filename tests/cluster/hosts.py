"""Hosts in network namespaces, for tests and benchmarks: each has an address of its own, all are on
one switch, and the link of each may be slow, delayed, lossy, cut, or spoil what passes.

A process's host identity has its network namespace in it, so processes on different hosts share no
memory, and data between them go over TCP from arena to arena.

The namespaces have no names and end with their last process, and every process ends with the one
that made it, so nothing is left behind however that ends. Who may not make namespaces becomes root
of a user namespace first; where that is not allowed either, programs say so and are skipped."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading

SKIPPED = 77
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)
HERE = os.path.dirname(os.path.abspath(__file__))


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Host:
    """A network of its own. `cat` keeps it while this program has the other end of its pipe."""

    def __init__(self):
        self.keeper = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       preexec_fn=die_with_parent)
        self.processes = []
        self.variables = {}  # of the environment of what starts here
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
        return result.stdout

    def start(self, program, *arguments, **options):
        process = subprocess.Popen(
            self.command(program, *arguments), text=True, preexec_fn=die_with_parent,
            env={**os.environ, "ASHLAR_TOKEN": "the hosts' token", **self.variables}, **options)
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
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

    def host(self, number):
        return self.hosts[number - 1]

    def shape(self, number, megabits):
        """The host's link carries so many megabits a second each way."""
        # A burst holds the largest packet that is not cut up on its way.
        limit = ["root", "tbf", "rate", f"{megabits}mbit", "burst", "256kb", "latency", "50ms"]
        self.host(number).run("tc", "qdisc", "replace", "dev", "eth0", *limit)
        self.switch.run("tc", "qdisc", "replace", "dev", f"port{number}", *limit)

    def cut_after(self, number, kilobytes):
        """Nothing passes the host's link any more once so much has, both ways together. Neither
        side is told."""
        for command in (f"add table bridge cut{number}",
                        f"add chain bridge cut{number} forward "
                        "{ type filter hook forward priority 0; }",
                        f"add quota bridge cut{number} left {{ over {kilobytes} kbytes }}",
                        f"add rule bridge cut{number} forward iifname port{number} "
                        "quota name left drop",
                        f"add rule bridge cut{number} forward oifname port{number} "
                        "quota name left drop"):
            self.switch.run("nft", command)

    def delay(self, number, milliseconds, loss=0, spoiled=0):
        """Packets on the host's link arrive so much later, either way, a share is lost, and a share
        of the large ones has a bit changed, but those of host 1. Returns the proxy, which prints a
        line for each of these."""
        port, near, far = (f"{kind}{number}" for kind in ("port", "near", "far"))
        self.switch.run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        self.switch.run("ip", "link", "set", port, "nomaster")
        self.switch.run("ip", "link", "set", far, "master", "bridge", "up")
        self.switch.run("ip", "link", "set", near, "up")
        proxy = self.switch.start(sys.executable, "-B", os.path.join(HERE, "link_proxy.py"), port,
                                  near, str(milliseconds), str(loss), str(spoiled), "10.77.0.1",
                                  stdout=subprocess.PIPE)
        if proxy.stdout.readline() != "ready\n":
            raise PermissionError("the proxy of a delayed link does not start")
        return proxy

    def refuse(self, asker, asked):
        """Each connection that the one host makes to the other is refused at once."""
        for command in ("add table ip refuse",
                        "add chain ip refuse out { type filter hook output priority 0; }",
                        f"add rule ip refuse out ip daddr 10.77.0.{asked} "
                        "tcp flags & (syn | ack) == syn reject with tcp reset"):
            self.host(asker).run("nft", command)

    def drop(self, asker, asked, after_kilobytes=0):
        """What the one host sends to the other vanishes, once so much has come."""
        for command in ("add table ip vanish",
                        f"add quota ip vanish left {{ over {after_kilobytes} kbytes }}",
                        "add chain ip vanish arriving { type filter hook input priority 0; }",
                        f"add rule ip vanish arriving ip saddr 10.77.0.{asker} "
                        "quota name left counter drop"):
            self.host(asked).run("nft", command)

    def dropped(self, asked):
        """How many packets to the host have vanished."""
        rules = self.host(asked).run("nft", "list", "table", "ip", "vanish")
        return int(re.search(r"counter packets (\d+)", rules).group(1))

    def unplug(self, number):
        self.switch.run("ip", "link", "set", f"port{number}", "down")

    def bytes_to(self, number):
        """What has gone to the host."""
        devices = json.loads(self.host(number).run("ip", "-json", "-stats", "link", "show", "eth0"))
        return devices[0]["stats64"]["rx"]["bytes"]

    def close(self):
        for host in [*self.hosts, *([self.switch] if self.switch else [])]:
            host.close()


class Certificates:
    """An authority in a folder, as docs/tls.md makes one, and what it signs."""

    def __init__(self, folder):
        self.folder = folder
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-days", "2", "-subj", "/CN=cluster", "-keyout", "ca.key", "-out",
                     "ca.pem")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def variables(self, name):
        """Makes a certificate; returns what a process of this name has in its environment."""
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                     f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-days", "1", "-out", f"{name}.pem")
        files = {"CERT": f"{name}.pem", "KEY": f"{name}.key", "CA": "ca.pem"}
        return {f"ASHLAR_TLS_{what}": os.path.join(self.folder, file)
                for what, file in files.items()}

    def give_to(self, hosts):
        for number, host in enumerate(hosts, 1):
            host.variables = self.variables(f"host{number}")


class Cluster:
    """A scheduler on host 1 and a worker on each of the hosts of these numbers, all joined."""

    def __init__(self, network, ashlar, workers, options=(), memory="512MiB", log_level="off",
                 options_of=None):
        scheduler = network.host(1).start(
            ashlar, "scheduler", "--listen", "tcp://10.77.0.1:0", "--log-level", "info",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.address = scheduler.stdout.readline().split()[-1]
        self.workers = {
            number: network.host(number).start(
                ashlar, "worker", "--scheduler", self.address, "--slots", "1", "--memory",
                memory, "--log-level", log_level, "--resource", f"host{number}=1", *options,
                *(options_of or {}).get(number, ()),
                stderr=subprocess.PIPE)
            for number in workers}
        joined = 0
        while joined < len(workers):
            line = scheduler.stderr.readline()
            if not line:
                raise RuntimeError("the scheduler ended before all workers had joined")
            joined += bool(re.search(r"worker .* joined", line))
        # What it says later must not fill the pipe.
        threading.Thread(target=scheduler.stderr.read, daemon=True).start()


def may_make_networks():
    """Why not, or None."""
    try:
        Network(1).close()
    except (PermissionError, FileNotFoundError) as why:
        return str(why)
    return None


def need_networks():
    """Ends the program as skipped if there can be none."""
    why = may_make_networks()
    if why is None:
        return
    nested = "ASHLAR_HOSTS_NESTED"
    if nested not in os.environ:
        unshare = ["unshare", "--user", "--map-root-user"]
        if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
            os.environ[nested] = "1"
            os.execvp(unshare[0], [*unshare, sys.executable, *sys.orig_argv[1:]])
    print(f"skipped: cannot make network namespaces: {why}")
    sys.exit(SKIPPED)
