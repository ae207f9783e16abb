"""What a service manager hears of a tunnel: sd_notify(3) and its watchdog."""
import collections
import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import tempfile
import time

import ends
import pytest

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, namespace=None):
        """Abstract names are those of a network namespace."""
        self._folder = tempfile.TemporaryDirectory(prefix=f"cv{os.getpid()}-")
        self.address = f"@{self._folder.name}" if namespace else f"{self._folder.name}/notify"
        make = namespace.socket if namespace else socket.socket
        self._socket = make(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(ends.PATIENCE_S)
        self._socket.bind(self.address.replace("@", "\0"))

    def env(self, **more):
        return {"NOTIFY_SOCKET": self.address} | more

    def next(self, key):
        """The next state that has this key; others before it are for the watchdog."""
        while True:
            lines = self._socket.recv(4096).decode().split("\n")
            state = dict(line.split("=", 1) for line in lines)
            if key in state:
                return state
            assert state == {"WATCHDOG": "1"}, state

    def waiting(self):
        """How many of each key came unread."""
        seen = collections.Counter()
        self._socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self._socket.recv(4096).decode()
                seen.update(line.partition("=")[0] for line in text.split("\n"))
        self._socket.settimeout(ends.PATIENCE_S)
        return seen

    def close(self):
        self._socket.close()
        self._folder.cleanup()


@pytest.fixture
def manager():
    with contextlib.closing(Manager()) as manager:
        yield manager


def started(lab, env, net=None, **extra):
    net = net or lab.net()
    tunnel, _ = lab.tunnels(net, a=extra)
    return lab.convoy(net.a, tunnel, env=env).start()


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_tells_when_it_works_and_when_it_ends(lab, abstract):
    net = lab.net()
    with contextlib.closing(Manager(net.a if abstract else None)) as manager:
        tunnel = started(lab, manager.env(), net)
        assert manager.next("READY") == {"READY": "1", "STATUS": "running"}
        tunnel.stop()
        assert manager.next("STOPPING")["STOPPING"] == "1"
        assert not manager.waiting()


def test_it_never_says_ready_when_it_does_not_work(lab, manager):
    net = lab.net()
    tunnel, _ = lab.tunnels(net)
    net.a.ip("link", "add", tunnel.name, "type", "veth", "peer", "name", "other")
    lab.convoy(net.a, tunnel, env=manager.env()).start(ready=False).refused()
    assert not manager.waiting()


def test_a_reload_has_a_beginning_with_its_time_and_an_end(lab, manager):
    tunnel = started(lab, manager.env())
    manager.next("READY")
    before = time.monotonic_ns() // 1000
    tunnel.process.send_signal(signal.SIGHUP)
    reloading = manager.next("RELOADING")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.next("READY")["STATUS"] == "running"


def test_a_reload_that_fails_ends_too(lab, manager):
    tunnel = started(lab, manager.env())
    manager.next("READY")
    (path,) = pathlib.Path(tunnel._folder.name).iterdir()
    path.write_text("[Interface\n")
    tunnel.process.send_signal(signal.SIGHUP)
    manager.next("RELOADING")
    assert "failed" in manager.next("READY")["STATUS"]
    tunnel.lines.wait(rf"{path.name}:1:\d+: error: ")


def test_the_watchdog_is_fed(lab, manager):
    tunnel = started(lab, manager.env(WATCHDOG_USEC="400000"))
    manager.next("READY")
    for _ in range(5):
        manager.next("WATCHDOG")
    tunnel.stop()


class Frozen:
    """One thread of a process stands still, the others run."""

    def __init__(self, tid):
        self.tid = tid

    def _ptrace(self, request):
        if _libc.ptrace(request, self.tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self._ptrace(PTRACE_SEIZE)
        self._ptrace(PTRACE_INTERRUPT)
        os.waitpid(self.tid, WALL)
        return self

    def __exit__(self, *_):
        self._ptrace(PTRACE_DETACH)


def worker_of(pid):
    """The thread id of the last worker."""
    tasks = sorted(int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
    return tasks[-1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_hangs_starves_the_watchdog(lab, manager, workers):
    tunnel = started(lab, manager.env(WATCHDOG_USEC="400000"), Workers=workers)
    manager.next("READY")
    manager.next("WATCHDOG")
    with Frozen(worker_of(tunnel.pid)):
        _, seen = tunnel.lines.wait(rf"worker {workers - 1} hangs")
        manager.waiting()
        for _ in range(2):
            _, seen = tunnel.lines.wait("hangs, the watchdog is not fed", seen)
        assert not manager.waiting()
    manager.next("WATCHDOG")
    tunnel.stop()
