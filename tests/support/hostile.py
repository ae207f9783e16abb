"""Hostile paths: what is done to a tunnel under traffic, and what came of it.

A world is a client a and a server b with a stream and a pulse through their tunnel, and a second
client c of the same server that must not notice. A scenario makes a world, disturbs it, and returns
it with what was measured. tests/hostile runs all of them at full length,
tests/e2e/test_hostile.py a bounded form with a clock that runs faster.
"""
import contextlib
import dataclasses
import functools
import os
import signal
import time

import ends
import traffic
from badwire import fault
from ends import Peer, Tunnel, peer_of, poll
from lab import PORT, endpoint, inner, inner_addresses
from net import run
from pulse import Carrier, Pulse

HOUR_S, YEAR_S = 3600, 365 * 86400
C = "10.77.0.3"
REKEY_AFTER_S = 120  # white paper, section 6.1
HOLE_BYTES = 1280  # of a whole packet, which every path carries: RFC 8200, section 5
OUTER_BYTES = {4: 28, 6: 48}  # IP and UDP


@dataclasses.dataclass
class Length:
    """How long a scenario takes. `clock`: seconds of the tunnels in one of ours."""
    clock: int = 1
    faults_s: float = 8
    rebind_s: float = 5
    rebinds: int = 7
    rest_s: float = 2
    kills: int = 50
    patience_s: float = 300


FULL = Length()
QUICK = Length(faults_s=3, rebinds=2, kills=2)
# Nothing in a story waits for the tunnels' clock unless that clock runs.
STORY = Length(faults_s=0.5, rebind_s=0.2, rebinds=2, rest_s=0.2, kills=2, patience_s=ends.PATIENCE_S)


class World:
    """What is disturbed, and what was measured. spared: whether c noticed nothing; None when it
    had to, since its server was down."""

    def __init__(self, lab, length):
        self.lab, self.length, self.net = lab, length, lab.net(router=True)
        self.relay = self.carrier = self.other = None
        self.recoveries, self.note, self.bytes, self.spared = [], "", 0, None
        self.stall_s = None  # the longest of the stream, where that is what counts

    def fill(self, relayed=False, outer=4, stream=True, back=True, port=None):
        """a, b and c with their traffic. back=False: the server talks, and nobody else."""
        self.relay = self.lab.relay(self.net, family=outer) if relayed else None
        self._start(*self.lab.tunnels(self.net, outer=outer, relayed=relayed), port)
        assert traffic.reaches(self.net.a, inner("b", 4), count=1)
        if back:
            self.pulse = self.beat(self.net.a, self.net.b, inner("b", 4))
        else:
            self.pulse = self.beat(self.net.b, self.net.a, inner("a", 4), back=False)
        self.other = self.beat(self.net.r, self.net.b, inner("b", 4), 5004)
        for pulse in (self.pulse, self.other):
            poll(lambda: pulse.through_since(0), "the tunnel works")
        if stream:
            self.carry(self.net.a, self.net.b)
        self.spared, self._state_before = True, self._state_of_c()
        return self

    def _start(self, a, b, port):
        a.port = port
        c = Tunnel(ends.new_key()[0], [f"{C}/24"],
                   [Peer(b.public, [f"{inner('b', 4)}/32"], endpoint(self.net.outer("b", 4)))],
                   name=f"{self.net.label}c", mtu=1420)
        b.peers.append(Peer(c.public, [f"{C}/32"]))
        self.begun = time.monotonic()
        self.b, self.a, self.c = (self.end(host, tunnel).start() for host, tunnel in (
            (self.net.b, b), (self.net.a, a), (self.net.r, c)))

    def end(self, host, tunnel):
        return self.lab.convoy(host, tunnel, env={"CONVOY_TEST_CLOCK": str(self.length.clock)})

    def beat(self, near, far, address, port=5003, back=True):
        pulse = Pulse(near, far, address, port, back)
        self.lab.own(pulse.close)
        return pulse

    def carry(self, client, server, hasty=True):
        for host in (client, server) if hasty else ():
            # Of the kernel's TCP, not ours: how long it waits after many losses (Linux 6.15), and
            # after how many it gives up.
            with contextlib.suppress(OSError):
                host.sysctl("net.ipv4.tcp_rto_max_ms", 1000)
            host.sysctl("net.ipv4.tcp_retries2", 255)
        self.carrier = Carrier(client, server, inner("b", 4), self.length.patience_s,
                               0.1 / self.length.clock)

    def last(self, tunnel_seconds):
        """Let a disturbance last that long by the tunnels' clock."""
        time.sleep(tunnel_seconds / self.length.clock)

    def recover(self, since=None, stream=True):
        """Wait for the first datagram that is through of those sent from now on, or `since`; then
        for the stream, which the kernel's TCP may let wait some time more."""
        since = since or time.monotonic()
        deadline = time.monotonic() + self.length.patience_s
        while (through := self.pulse.through_since(since)) is None:
            assert time.monotonic() < deadline, f"nothing was through for {self.length.patience_s} s"
            time.sleep(0.01)
        self.recoveries.append(through - since)
        if self.carrier and stream:
            self.carrier.goes_on()

    def restart(self, end, offset_s=0):
        """Kill it, start it again with a clock that wrong, and wait for a datagram."""
        end.kill()
        end.env["CONVOY_TEST_WALL"] = str(offset_s)
        end.start()

    def _state_of_c(self):
        """What may not change: its session and what it has lost. (The kernel's own multicast is
        for no peer.)"""
        stats = self.c.stats()
        state = {key: stats[key] for key in stats
                 if key.startswith(("drop.", "handshake.")) and key != "drop.no_peer"}
        return state | {"when": self.b.peer_stat("last_handshake", 1)}

    def _is_spared(self):
        """c has the session that it had, or those that time asked for, and lost nothing."""
        now, before = self._state_of_c(), self._state_before
        renewals = int((time.monotonic() - self.begun) * self.length.clock / REKEY_AFTER_S)
        if renewals:
            assert now["handshake.sessions"] <= before["handshake.sessions"] + renewals + 1
            for state in (now, before):
                del state["when"], state["handshake.sessions"], state["handshake.initiations_sent"]
        return now == before and self.other.lost() == 0

    def finish(self):
        """The stream ends; hashes are compared."""
        if self.carrier:
            self.bytes = self.carrier.done()
        if self.spared:
            self.spared = self._is_spared()


def under_faults(kind, rate, lab, length):
    world = World(lab, length).fill(relayed=True)
    world.relay.policy = fault(kind, rate)
    since = time.monotonic()
    world.last(length.faults_s * length.clock)
    world.recoveries.append(world.pulse.silence_since(since))
    world.relay.policy = lambda way, datagram: (datagram,)
    world.recover()
    world.note = "recovery: longest silence under it"
    return world


def nat_rebinds(lab, length):
    world = World(lab, length).fill(relayed=True)
    for _ in range(length.rebinds):
        world.relay.move()
        world.recover()
        time.sleep(length.rebind_s)
    return world


def nat_rebinds_and_the_server_talks(lab, length):
    # The client speaks only when its keepalive is due, 10 s after it was spoken to; one that has
    # answered already, and hears no more, is found again by PersistentKeepalive alone.
    world = World(lab, length).fill(relayed=True, stream=False, back=False)
    for _ in range(min(3, length.rebinds)):
        world.last(12)
        world.relay.move()
        world.recover()
    return world


NAT_RULES = """
table inet nat {
    chain out { type nat hook postrouting priority srcnat; oifname "to-r" masquerade; }
    chain in { type filter hook input priority filter; iifname "to-r" ct state new drop; }
    chain forward { type filter hook forward priority filter; policy drop;
        ct state established,related accept; iifname "inside" accept; }
}"""


def behind(net, router, number):
    """One more host, behind a NAT that lets in only answers."""
    host = net.host(f"n{number}")
    run("ip", "link", "add", "inside", "netns", router.name, "type", "veth", "peer", "name",
        "outside", "netns", host.name)
    for side, name, last in ((router, "inside", 1), (host, "outside", 2)):
        side.ip("addr", "add", f"10.{number}.0.{last}/24", "dev", name)
        side.ip("link", "set", name, "up")
    host.ip("route", "add", "default", "via", f"10.{number}.0.1")
    router.sysctl("net.ipv4.ip_forward", 1)
    router.run("nft", "-f", "-", input=NAT_RULES)
    return host


def both_behind_nat(lab, length):
    # Each knows where the other one's NAT is, and keeps its own way open.
    world = World(lab, length)
    world.note = "endpoints known, PersistentKeepalive"
    hosts = [behind(world.net, router, number)
             for number, router in ((1, world.net.a), (2, world.net.b))]
    tunnels = lab.tunnels(world.net)
    for tunnel, other in zip(tunnels, "ba"):
        tunnel.port, tunnel.name = PORT, f"{tunnel.name}n"
        tunnel.peers[0].endpoint = endpoint(world.net.outer(other, 4))
        tunnel.peers[0].keepalive = 5
    begun = time.monotonic()
    world.a, world.b = (world.end(*which).start() for which in zip(hosts, tunnels))
    world.pulse = world.beat(*hosts, inner("b", 4))
    world.recover(begun)
    world.carry(*hosts)
    world.last(5 * length.rest_s)
    world.recover()
    return world


ROADS = {4: ("192.0.2.1/24", "198.51.100.0/24"), 6: ("2001:db8:1::1/64", "2001:db8:2::/64")}


def _leave(net, gone, outer):
    """a has one family of addresses no more, and the other one again."""
    address, beyond = ROADS[outer]
    nodad = ("nodad",) if outer == 6 else ()
    net.a.ip("addr", "replace", address, "dev", "to-r", *nodad)
    net.a.ip("route", "replace", beyond, "via", net.outer("r", outer, 1), "dev", "to-r")
    net.a.ip("addr", "del", ROADS[gone][0], "dev", "to-r")


def v4_v6_roam(lab, length):
    world = World(lab, length).fill()
    for outer, gone in ((6, 4), (4, 6)) * 2:
        _leave(world.net, gone, outer)
        world.net.a.run("wg", "set", world.a.name, "peer", world.b.tunnel.public, "endpoint",
                        endpoint(world.net.outer("b", outer)))
        world.recover()
        # The stream follows: b answers to the family it was spoken to in.
        shown = world.net.b.run("wg", "show", world.b.name, "endpoints").stdout
        want = world.net.outer("a", outer)
        assert want in shown, f"{want} in {shown}"
        world.last(length.rest_s)
    return world


def _narrow(world, mtu):
    """The link between r and b takes less from now on."""
    world.net.r.ip("link", "set", "to-b", "mtu", mtu)
    world.net.b.ip("link", "set", "to-r", "mtu", mtu)


DROP_ICMP = """
table inet hole {
    chain out { type filter hook output priority filter;
        icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }
}"""


def _swallow(world, outer):
    """What is larger is gone, also what was to be cut."""
    longest = HOLE_BYTES - OUTER_BYTES[outer]
    world.relay.policy = lambda way, datagram: (datagram,) if len(datagram) <= longest else ()


def _has_found_it(world, outer):
    """Whether both ends use what passes, and hardly less."""
    best = HOLE_BYTES - OUTER_BYTES[outer] - 32
    return all(best - 16 <= peer_of(end)["path"].get("mtu", 0) <= best for end in (world.a, world.b))


def black_hole(outer, how, lab, length):
    """The stream is that of a kernel as it is: what it waits is what its user waits."""
    world = World(lab, length).fill(outer=outer, relayed=how == "swallowed", stream=False)
    world.carry(world.net.a, world.net.b, hasty=False)
    world.last(length.rest_s)
    if how == "no-icmp":
        world.net.r.run("nft", "-f", "-", input=DROP_ICMP)
    if how == "swallowed":
        _swallow(world, outer)
    else:
        _narrow(world, HOLE_BYTES)
    world.recover()
    poll(lambda: _has_found_it(world, outer), "what passes is in use")
    world.last(length.faults_s * length.clock)
    world.recover()
    world.stall_s = world.carrier.stall_s()
    return world


def wrong_clock(who, offset_s, lab, length):
    """One side is started anew with a wrong clock, once the other knows its right one."""
    world = World(lab, length).fill(port=PORT)
    end = getattr(world, who)
    if who == "b":
        world.spared = None
    world.restart(end, offset_s)
    if who == "a" and offset_s < 0:
        # b has seen later timestamps: to it these are replays. What a sends waits; b, once it has
        # something to say, misses an answer and begins a session itself, if a is where it was (it
        # has a ListenPort): of replays nobody learns an address.
        world.b.wait_stat("drop.handshake_replay", 1)
        assert world.pulse.through_since(time.monotonic()) is None
        speaker = world.beat(world.net.b, world.net.a, inner("a", 4), 5005, back=False)
        since = time.monotonic()
        world.recover(since)
        speaker.close()
        world.note = "a's initiations are replays; b speaks, to where a was"
    else:
        world.recover()
    return world


def suspended(who, seconds, lab, length):
    world = World(lab, length).fill()
    if who == "b":
        world.spared = None
    end = getattr(world, who)
    os.kill(end.pid, signal.SIGSTOP)
    try:
        world.last(seconds)
    finally:
        os.kill(end.pid, signal.SIGCONT)
    world.recover()
    return world


def wire_down_and_up(lab, length):
    world = World(lab, length).fill()
    route = f"{world.net.outer('b', 4).rpartition('.')[0]}.0/24"
    for _ in range(2):
        world.net.a.ip("link", "set", "to-r", "down")
        world.last(length.rest_s)
        world.net.a.ip("link", "set", "to-r", "up")
        world.net.a.ip("route", "add", route, "via", world.net.outer("r", 4, 1))
        world.recover()
    return world


def tun_down_and_up(lab, length):
    world = World(lab, length).fill()
    for _ in range(2):
        world.net.a.ip("link", "set", world.a.name, "down")
        world.last(length.rest_s)
        world.net.a.ip("link", "set", world.a.name, "up")
        world.recover()
    return world


def tun_renamed(lab, length):
    world = World(lab, length).fill()
    name = world.a.name
    for old, new in ((name, f"{name}x"), (f"{name}x", name)):
        world.net.a.ip("link", "set", old, "down")
        world.net.a.ip("link", "set", old, "name", new)
        world.net.a.ip("link", "set", new, "up")
        world.recover()
    world.last(length.rest_s)
    return world


def tun_deleted(lab, length):
    world = World(lab, length).fill()
    world.net.a.ip("link", "del", world.a.name)
    world.a.wait_exit(ends.PATIENCE_S)
    world.a.start()
    world.recover()
    world.note = "the daemon ends, and is started anew as systemd does"
    world.last(length.rest_s)
    return world


def killed(who, lab, length):
    world = World(lab, length).fill()
    if who == "b":
        world.spared = None
    for _ in range(length.kills):
        world.restart(getattr(world, who))
        world.recover()
    world.note = f"{length.kills} times kill -9"
    return world


def _all():
    """{name: what runs it}"""
    part = functools.partial
    yield from ((f"{kind}-{rate:g}%", part(under_faults, kind, rate / 100))
                for kind in ("loss", "duplication", "reorder", "corruption")
                for rate in (0.1, 1, 10))
    yield "nat-rebinds", nat_rebinds
    yield "nat-rebinds-server-talks", nat_rebinds_and_the_server_talks
    yield "both-behind-nat", both_behind_nat
    yield "v4-v6-roam", v4_v6_roam
    yield from ((f"black-hole-v{outer}-{how}", part(black_hole, outer, how))
                for outer in (4, 6) for how in ("icmp", "no-icmp", "swallowed"))
    yield from ((f"clock-{who}{sign}{text}", part(wrong_clock, who, int(f"{sign}{offset}")))
                for who in "ab" for sign in "+-"
                for text, offset in (("1h", HOUR_S), ("10y", 10 * YEAR_S)))
    yield from ((f"suspended-{who}-{seconds}s", part(suspended, who, seconds))
                for who in "ab" for seconds in (10, 200))
    yield "wire-down-up", wire_down_and_up
    yield "tun-down-up", tun_down_and_up
    yield "tun-renamed", tun_renamed
    yield "tun-deleted", tun_deleted
    yield from ((f"killed-{who}", part(killed, who)) for who in "ab")


SCENARIOS = dict(_all())
