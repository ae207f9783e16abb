"""Network namespaces for tests and benches: unique names, joined by veth, gone when done.

A namespace is entered by thread (setns), so one Python process can hold sockets in all of them:
the sender and the receiver of a test are two sockets of the same program.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

CLONE_NEWNET = 0x40000000
NETNS = pathlib.Path("/run/netns")
DOORS = [pathlib.Path(path) for path in ("/run/convoy", "/var/run/wireguard", "/var/lib/convoy")]
_libc = ctypes.CDLL(None, use_errno=True)


def run(*argv, check=True, **kwargs):
    """Run a command to its end; its output is text, and part of the error when it fails."""
    done = subprocess.run([str(a) for a in argv], text=True, capture_output=True, **kwargs)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
    return done


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One network namespace, made now and deleted with everything in it by close()."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *args, check=True):
        """Run ip(8) on this namespace."""
        return run("ip", "-n", self.name, *args, check=check).stdout

    def ip_json(self, *args):
        return json.loads(self.ip("-j", *args) or "[]")

    def argv(self, *argv):
        """The command line that runs `argv` in here; nsenter execs, so the pid is argv's own."""
        return ["nsenter", f"--net={NETNS / self.name}", "--", *map(str, argv)]

    def run(self, *argv, **kwargs):
        return run(*self.argv(*argv), **kwargs)

    def popen(self, *argv, **kwargs):
        return subprocess.Popen(self.argv(*argv), **kwargs)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside for the length of the block."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(NETNS / self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(there)
            os.close(home)

    def socket(self, family, kind, proto=0):
        """A socket that lives in this namespace, whoever uses it."""
        with self.entered():
            return socket.socket(family, kind, proto)

    def sysctl(self, key, value):
        with self.entered():
            pathlib.Path("/proc/sys", *key.split(".")).write_text(f"{value}\n")

    def close(self):
        _delete(self.name)


def _delete(name):
    """Kill what still runs in a namespace of ours, then delete it."""
    for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "del", name, check=False)


def _left(owner):
    places = NETNS, pathlib.Path(tempfile.gettempdir()), *DOORS
    return [left for place in places for left in place.glob(f"cv{owner}-*")]


def left_by(owner):
    """Namespaces, config folders, doors and processes that process `owner` made and are there."""
    running = run("pgrep", "-a", "-f", f"cv{owner}-", check=False).stdout.splitlines()
    return [*_left(owner), *running]


def sweep(owner="*"):
    """Delete the namespaces, config folders and doors that process `owner` left behind, as one that
    was killed does; without an owner, those of all that are dead."""
    for left in _left(owner):
        pid = re.match(r"cv(\d+)-", left.name)
        if pid and (owner != "*" or not pathlib.Path("/proc", pid[1]).exists()):
            if left.parent == NETNS:
                _delete(left.name)
            elif left.parent in DOORS:
                left.unlink(missing_ok=True)
            else:
                shutil.rmtree(left, ignore_errors=True)


class Net:
    """Hosts a and b on one veth, or with a router r between them.

        a ---- b                 192.0.2.0/24, 2001:db8:1::/64
        a ---- r ---- b          the same on the left, 198.51.100.0/24, 2001:db8:2::/64 on the right

    Interfaces are called after the host at the other end: "to-b". `label` is a name that no other
    network has; wireguard-go's control sockets need that of its interfaces.
    """

    _made = 0

    def __init__(self, mtu=1500, router=False, far_mtu=None):
        Net._made += 1
        self._stack = contextlib.ExitStack()
        self._where = {}
        self.label = f"cv{os.getpid()}-{Net._made}"
        try:
            self.a, self.b = self.host("a"), self.host("b")
            self.r = self.host("r") if router else None
            if router:
                self._join(self.a, "a", self.r, "r", 1, mtu)
                self._join(self.b, "b", self.r, "r", 2, far_mtu or mtu)
                self.r.sysctl("net.ipv4.ip_forward", 1)
                self.r.sysctl("net.ipv6.conf.all.forwarding", 1)
                self._route(self.a, "a", 2)
                self._route(self.b, "b", 1)
            else:
                self._join(self.a, "a", self.b, "b", 1, mtu)
        except BaseException:
            self.close()
            raise

    def host(self, name):
        """One more namespace, joined to nothing yet."""
        namespace = Namespace(f"{self.label}{name}")
        self._stack.callback(namespace.close)
        # No router solicitations and the like: what crosses a link is what a test sent.
        for which in ("all", "default"):
            namespace.sysctl(f"net.ipv6.conf.{which}.accept_ra", 0)
        return namespace

    @staticmethod
    def _address(family, link, number):
        v4 = {1: "192.0.2", 2: "198.51.100"}[link]
        return f"{v4}.{number}" if family == 4 else f"2001:db8:{link}::{number}"

    def _join(self, left, left_name, right, right_name, link, mtu):
        to_right, to_left = f"to-{right_name}", f"to-{left_name}"
        run("ip", "link", "add", to_right, "netns", left.name, "mtu", mtu,
            "type", "veth", "peer", "name", to_left, "netns", right.name, "mtu", mtu)
        for host, name, interface, number in ((left, left_name, to_right, 1),
                                              (right, right_name, to_left, 2)):
            for family, bits in ((4, 24), (6, 64)):
                address = self._address(family, link, number)
                nodad = ("nodad",) if family == 6 else ()
                host.ip("addr", "add", f"{address}/{bits}", "dev", interface, *nodad)
                self._where[name, family, link] = address
                self._where.setdefault((name, family), address)
            host.ip("link", "set", interface, "up")

    def _route(self, host, name, link):
        for family, prefix in ((4, {1: "192.0.2.0/24", 2: "198.51.100.0/24"}[link]),
                               (6, f"2001:db8:{link}::/64")):
            via = self._where["r", family, 3 - link]
            host.ip("route", "add", prefix, "via", via, "dev", "to-r")

    def outer(self, name, family, link=None):
        """The address of host "a", "b" or "r" (of r: on link 1, towards a, or 2, towards b)."""
        return self._where[name, family, link] if link else self._where[name, family]

    def close(self):
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


if __name__ == "__main__":
    sweep()
