"""What the path between two Convoys carries: found by probes that arrive whole or not at all."""
import errno
import socket
import subprocess
import threading

import pytest
import traffic
from ends import peer_of, poll
from lab import inner as address
from stranger import meet
from wgmodel import HELLO, frame

A4, B4, B6 = address("a", 4), address("b", 4), address("b", 6)
MTU, BASE, STEP, TRIES = 1420, 1200, 16, 5
# Bytes around an inner packet: ours, UDP, and IP of either family.
AROUND = {4: 32 + 8 + 20, 6: 32 + 8 + 40}
# Routes of the router, as the kernel has made them.
TO_B = {4: ("198.51.100.0/24", "dev", "to-b"),
        6: ("2001:db8:2::/64", "dev", "to-b", "proto", "kernel", "metric", 256)}
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2  # linux/in.h, linux/in6.h
FAST = {"CONVOY_TEST_CLOCK": "10"}
# Ten minutes after a size failed it is tried again.
FASTER = {"CONVOY_TEST_CLOCK": "200"}


def path_mtu(end):
    return peer_of(end).get("path", {}).get("mtu")


def carries(end, limit, most=MTU):
    """Whether it found what a path of that many bytes, IP header and all, carries of ours."""
    best = min(most, limit - AROUND[6 if ":" in end_of(end) else 4])
    return lambda: best - STEP <= (path_mtu(end) or 0) <= best


def end_of(end):
    """Where its peer is."""
    return peer_of(end)["endpoint"].rpartition(":")[0]


def keep_data_flowing(net, to=B4):
    """As little as will do; until it is ended."""
    return net.a.popen("ping", "-q", "-n", "-i", "0.02", to, stdout=subprocess.DEVNULL)


def swallow(relay, longest):
    """Nobody is told, and nobody may cut."""
    relay.policy = lambda way, datagram: (datagram,) if len(datagram) <= longest else ()


def is_refused(net, to, size):
    """Whether a program that asks for datagrams not to be cut is told that this is too large."""
    family, level, option = ((socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) if ":" in to
                             else (socket.AF_INET, socket.IPPROTO_IP, IP_MTU_DISCOVER))
    with net.a.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, option, PMTUDISC_DO)
        try:
            sock.sendto(bytes(size), (to, 9))
        except OSError as error:
            return error.errno == errno.EMSGSIZE
    return False


@pytest.mark.parametrize("outer", [4, 6])
def test_streams_outlive_a_black_hole(lab, outer):
    net = lab.net(router=True)
    relay = lab.relay(net, family=outer)
    a, b = lab.pair(net, outer=outer, relayed=True, env=FAST)
    streams, running, enough = [traffic.Stream(net.a, net.b, to) for to in (B4, B6)], \
        traffic.Workers(), threading.Event()
    for stream in streams:
        running.go(stream.move, lambda sent: not enough.is_set())
    for end in (a, b):
        end.until(lambda: path_mtu(end) == MTU, "all passes")
    swallow(relay, 1290 + 32)
    try:
        for end in (a, b):
            end.until(lambda: 1290 - STEP <= path_mtu(end) <= 1290, "what passes is found")
        before = [dict(stream.came) for stream in streams]
        poll(lambda: all(stream.came[way] > past[way] for stream, past in zip(streams, before)
                         for way in past), "the streams go on")
    finally:
        enough.set()
    running.join()


def test_the_size_follows_the_path_up(lab):
    net = lab.net(router=True)
    relay = lab.relay(net)
    swallow(relay, 1300 + 32)
    a, b = lab.pair(net, relayed=True, env=FASTER)
    flow = keep_data_flowing(net)
    try:
        for end in (a, b):
            end.until(lambda: 1300 - STEP <= (path_mtu(end) or MTU) <= 1300, "what passes is found")
        swallow(relay, 1 << 16)
        for end in (a, b):
            end.until(lambda: path_mtu(end) == MTU, "and more, when it does")
    finally:
        flow.kill()
        flow.wait()


@pytest.mark.parametrize("outer", [4, 6])
def test_each_way_has_its_own_size_and_probes_are_not_cut(lab, outer):
    # On the way to b the router cuts IPv4, and tells a host of IPv6 to do so: data, but not probes.
    net = lab.net(router=True)
    net.r.ip("route", "replace", *TO_B[outer], "mtu", "lock", 1400)
    a, b = lab.pair(net, outer=outer, env=FAST)
    # What is cut arrives; of IPv6 the first is lost, for the host to be told.
    a.until(lambda: traffic.reaches(net.a, B4, size=1300, count=1, wait_s=0.5), "data passes")
    a.until(carries(a, 1400), "what passes there")
    b.until(carries(b, 1500), "and back")
    a.lines.wait("the path carries")
    for to in (B4, B6):
        a.until(lambda: is_refused(net, to, 1350), "programs are told")
        assert not is_refused(net, to, 1200)
    assert (a.said().count("the path carries"), b.said().count("the path carries")) == (1, 0)


def test_what_the_own_link_refuses_is_not_sent(lab):
    net = lab.net()
    net.a.ip("link", "set", "to-b", "mtu", 1390)
    a, b = lab.pair(net, env=FAST)
    assert traffic.reaches(net.a, B4)
    a.until(carries(a, 1390), "what the link takes")
    assert not [name for name, n in a.stats().items() if name.startswith("drop.") and n]


def test_the_tun_bounds_it_and_off_forgets_it(lab):
    net = lab.net()
    a, b = lab.pair(net, env=FAST)
    flow = keep_data_flowing(net)
    try:
        a.until(lambda: path_mtu(a) == MTU, "all passes")
        for mtu in (1300, 1440):
            net.a.ip("link", "set", a.name, "mtu", mtu)
            a.until(lambda: path_mtu(a) == mtu, "as large as the TUN's")
    finally:
        flow.kill()
        flow.wait()
    a.tunnel.extra["Extensions"] = "off"
    a.reload()
    assert path_mtu(a) is None


def greet(stranger):
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO)))
    return session


def test_the_model_is_probed_by_the_book(lab):
    # Five of a size, and one of the base with the second, which alone is echoed; then what lies
    # between the two, which arrives.
    stranger, convoy = meet(lab, lab.net(), env=FAST)
    session = greet(stranger)
    sizes, size = [], 0
    while size in (0, BASE, MTU):
        probe, size = stranger.receive_probe(session, echo=False)
        sizes.append(size)
        if size != MTU:
            stranger.send_echo(session, probe.number, size)
    assert sizes == [MTU, MTU, BASE, *[MTU] * (TRIES - 2), (BASE + MTU) // 2]
    poll(lambda: path_mtu(convoy) == (BASE + MTU) // 2, "it is used")


def test_silence_changes_nothing(lab):
    stranger, convoy = meet(lab, lab.net(), env=FAST)
    session = greet(stranger)
    sizes = [stranger.receive_probe(session, echo=False)[1] for _ in range(TRIES + 1)]
    assert sizes == [MTU, MTU, *[BASE] * (TRIES - 1)]
    assert stranger.is_quiet()
    assert path_mtu(convoy) is None
