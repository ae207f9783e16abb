"""Stories that need time: they start before all others, run beside them, and are collected last.

Each is a generator: the first next() starts it, the second waits for its end and gives what it
saw. `which` finds the binary of an option. (with_args: a mark that is called with a function alone
would take it for the test.)
"""
import pathlib
import re
import subprocess
import tempfile
import threading

import pytest
import traffic
from lab import Lab, inner

IDLE_S = 30
# The last timer that traffic leaves behind fires 10 s after it (passive keepalive), or 15 s after
# it (new handshake, which is looked at though the answer has cancelled it).
SETTLED_S = 25


def real_rekey(which):
    """130 s of pings with the clock as it is: the key is renewed at 120 s."""
    with Lab(which("--convoy")) as lab:
        net = lab.net()
        a, b = lab.pair(net)
        pings = net.a.popen("ping", "-n", "-i", "0.5", "-c", "260", "-W", "10", inner("b", 4),
                            text=True, stdout=subprocess.PIPE)
        yield
        text = pings.communicate()[0]
        yield {"ping": text, "sessions": [end.stats()["handshake.sessions"] for end in (a, b)]}


@pytest.mark.background.with_args(real_rekey)
def test_no_ping_is_lost_in_130_seconds_with_a_real_rekey(background, request):
    seen = background(request.node.name)
    assert traffic.ping_result(seen["ping"])[0] == 0, seen["ping"][-300:]
    assert min(seen["sessions"]) >= 2


class Idle(threading.Thread):
    """Watches an idle pair for 30 s: system calls by strace, wake-ups by the scheduler's count."""

    def __init__(self, net, ends):
        super().__init__(daemon=True)
        self._net, self._ends, self._closing = net, ends, threading.Event()
        self.calls, self.waits = {}, {}

    def run(self):
        if self._closing.wait(SETTLED_S):
            return
        traces = [subprocess.Popen(["strace", "-f", "-ttt", "-p", str(end.pid)], text=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                  for end in self._ends]
        # Attaching interrupts the call that a thread waits in: the second after is not looked at.
        self._closing.wait(1)
        before = [end.waits() for end in self._ends]
        self._closing.wait(IDLE_S)
        for end, trace, waits in zip(self._ends, traces, before):
            self.waits[end.name] = end.waits() - waits
            trace.terminate()
            self.calls[end.name] = trace.stderr.read().splitlines()
            trace.wait()

    def close(self):
        self._closing.set()
        self.join()


def unvisited(program, folder):
    """The program with control sockets in folders of its own: `wg show` elsewhere on this machine
    knocks at all that it finds."""
    script = pathlib.Path(folder, "convoy")
    script.write_text('#!/bin/sh\nmkdir -p /run/convoy /run/wireguard\n'
                      "exec unshare --mount --propagation private sh -c 'mount -t tmpfs none "
                      f"/run/convoy && mount -t tmpfs none /run/wireguard && exec {program} \"$@\"' "
                      'sh "$@"\n')
    script.chmod(0o755)
    return str(script)


def idle(which):
    with tempfile.TemporaryDirectory() as folder, Lab(unvisited(which("--plain"), folder)) as lab:
        net = lab.net()
        for host in (net.a, net.b):  # no neighbour discovery, no multicast reports into the TUN
            host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        ends = [lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net))]
        for end in reversed(ends):
            end.tunnel.addresses = end.tunnel.addresses[:1]
            end.tunnel.peers[0].allowed = end.tunnel.peers[0].allowed[:1]
            end.start()
        assert traffic.reaches(net.a, inner("b", 4))
        watch = Idle(net, ends)
        watch.start()
        try:
            yield
            watch.join()
            yield {"calls": watch.calls, "waits": watch.waits}
        finally:
            watch.close()


def late_calls(lines):
    """The system calls of a trace that are not of its first second."""
    stamped = [match for line in lines
               if (match := re.match(r"(?:\[pid +\d+\] )?(\d+\.\d+) (.*)", line))]
    assert stamped, f"strace saw nothing at all: {lines}"
    return [match[2] for match in stamped if float(match[1]) > float(stamped[0][1]) + 1]


@pytest.mark.background.with_args(idle)
def test_an_idle_tunnel_makes_no_system_call_and_wakes_nobody(background, request):
    seen = background(request.node.name)
    assert len(seen["waits"]) == 2
    for name, waits in seen["waits"].items():
        assert (late_calls(seen["calls"][name]), waits) == ([], 0)


def test_memory_stays_below_32_mib_after_load(plain, workers):
    with Lab(plain) as lab:
        net = lab.net()
        ends = lab.pair(net, a=workers, b=workers)
        threads = traffic.Workers()
        for i in range(4):
            threads.go(traffic.Stream(net.a, net.b, inner("b", 4), port=5001 + i).transfer,
                       64 << 20)
        threads.join()
        traffic.datagrams(net.a, net.b, inner("b", 4), 2000, 1392, seed=1, ordered=False)
        assert max(end.rss() for end in ends) <= 32 << 20
