"""The tunnel's own datagrams are routed into the tunnel: that ends where it begins."""
import re
import socket

import ends
import pytest
import traffic
from lab import PORT, endpoint, inner

LOOP = r"leads into the tunnel itself"
COUNT = 64


def send(host, address, size):
    with host.socket(traffic.family_of(address), socket.SOCK_DGRAM) as sock:
        for _ in range(COUNT):
            sock.sendto(bytes(size), (address, 9))


def looping_pair(lab, family, **kwargs):
    """A session, and an endpoint that is one of its peer's AllowedIPs; returns (net, client,
    the words after `ip route` that bend the way to the endpoint)."""
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, outer=family, **kwargs)))
    there = net.outer("b", family)
    a.tunnel.peers[0].allowed.append(there)
    a.tunnel.extra["Table"] = "off"
    b.start()
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    return net, a, (there, "dev", a.name)


# What is full is fragmented on its way into the tunnel.
@pytest.mark.parametrize("family, size", [(4, 16), (6, 16), (6, 1392)],
                         ids=["small_v4", "small_v6", "full_v6"])
def test_a_route_into_itself_does_not_amplify(lab, workers, family, size):
    net, a, way = looping_pair(lab, family, a=dict(workers))
    before = a.stats()
    for _ in range(2):
        net.a.ip("route", "add", *way)
        send(net.a, inner("b", 4), size)
        a.wait_stat("drop.loop", before["drop.loop"] + COUNT)
        net.a.ip("route", "del", *way)
        assert traffic.reaches(net.a, inner("b", 4))
        sent = a.stats()["udp.send_datagrams"] - before["udp.send_datagrams"]
        # Each may become two fragments, of which the second goes round once more.
        assert sent <= 2 * COUNT + 40, f"{COUNT} packets became {sent}"
        before = a.stats()
    assert len(re.findall(LOOP, a.lines.text())) == 1
    a.stop()


@pytest.mark.parametrize("family", [4, 6], ids=["v4", "v6"])
def test_a_handshake_that_comes_back_is_dropped_and_told(lab, family):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel, env={"CONVOY_TEST_CLOCK": "20"}) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, outer=family, a={"Table": "off"})))
    there = net.outer("b", family)
    a.tunnel.peers[0].allowed.append(there)
    b.start()
    a.start()
    net.a.ip("route", "add", there, "dev", a.name)
    assert traffic.ping(net.a, inner("b", 4), count=1, wait_s=1)[0] == 1
    a.wait_stat("drop.loop", 2)
    assert len(re.findall(LOOP, a.lines.text())) == 1
    net.a.ip("route", "del", there, "dev", a.name)
    a.until(lambda: traffic.reaches(net.a, inner("b", 4), count=1, wait_s=1), "it is mended")


def test_a_tunnel_inside_the_tunnel_is_no_loop(lab):
    # c is reached through b, by the same interface: its endpoint is an inner address of b. That c
    # may send from b's endpoint closes a ring that no route takes.
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    c = lab.convoy(net.b, ends.Tunnel(
        ends.new_key()[0], ["10.78.0.2/24"], [ends.Peer(a.tunnel.public, ["10.78.0.1/32"])],
        port=PORT + 1, name=f"{net.label}c"))
    a.tunnel.addresses.append("10.78.0.1/24")
    a.tunnel.peers.append(
        ends.Peer(c.tunnel.public, ["10.78.0.2/32", net.outer("b", 4)],
                  endpoint(inner("b", 4), PORT + 1)))
    a.tunnel.extra["Table"] = "off"
    for end in (b, c, a):
        end.start()
    net.a.ip("route", "replace", "10.78.0.2", "dev", a.name, "src", "10.78.0.1")
    assert traffic.reaches(net.a, "10.78.0.2", size=1372)
    assert a.stats()["drop.loop"] == 0


@pytest.mark.parametrize("family, size", [(4, 16), (4, 1372), (6, 16)],
                         ids=["small_v4", "full_v4", "small_v6"])
def test_two_peers_that_carry_each_other_do_not_amplify(lab, family, size):
    # The way to b leads through c and the way to c through b.
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, outer=family)))
    ways = to_b, to_c = net.outer("b", family), {4: "192.0.2.3", 6: "2001:db8:1::3"}[family]
    net.b.ip("addr", "add", to_c, "dev", "to-a", *["nodad"] * (family == 6))
    c = lab.convoy(net.b, ends.Tunnel(
        ends.new_key()[0], ["10.78.0.2/24"], [ends.Peer(a.tunnel.public, ["10.78.0.1/32"])],
        port=PORT + 1, name=f"{net.label}c"))
    a.tunnel.addresses.append("10.78.0.1/24")
    a.tunnel.extra["Table"] = "off"
    a.tunnel.peers[0].allowed.append(to_c)
    a.tunnel.peers.append(ends.Peer(c.tunnel.public, ["10.78.0.2/32", to_b],
                                    endpoint(to_c, PORT + 1)))
    for end in (b, c, a):
        end.start()
    for there in (inner("b", 4), "10.78.0.2"):
        net.a.run("ping", "-n", "-c", "1", there)
    before = a.stats()["udp.send_datagrams"]
    for there in ways:
        net.a.ip("route", "add", there, "dev", a.name)
    send(net.a, inner("b", 4), size)
    a.wait_stat("drop.loop", COUNT // 2)
    for there in ways:
        net.a.ip("route", "del", there, "dev", a.name)
    assert traffic.reaches(net.a, inner("b", 4))
    sent = a.stats()["udp.send_datagrams"] - before
    assert sent <= 8 * COUNT, f"{COUNT} packets became {sent}"
    assert len(re.findall(LOOP, a.lines.text())) in (1, 2)
