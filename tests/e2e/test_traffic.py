"""What a tunnel is for: the same bytes come out at the other end."""
import socket

import net as networks
import pytest
import traffic
from lab import inner

BIG = 256 << 20
SOME = 32 << 20


@pytest.mark.parametrize("outer", [4, 6], ids=["over_v4", "over_v6"])
@pytest.mark.parametrize("inside", [4, 6], ids=["v4", "v6"])
def test_ping_crosses(lab, workers, inside, outer):
    net = lab.net()
    lab.pair(net, outer=outer, a=workers, b=workers)
    for size in (0, 56, 1300, 4000):
        assert traffic.reaches(net.a, inner("b", inside), size=size, count=5)
        assert traffic.reaches(net.b, inner("a", inside), size=size, count=5)


@pytest.mark.parametrize("mtu, outer", [(1280, 6), (1420, 4), (8920, 4), (8920, 6)])
def test_ten_thousand_datagrams_of_random_sizes_arrive_byte_equal(lab, workers, mtu, outer):
    net = lab.net(mtu=9000)
    lab.pair(net, outer=outer, mtu=mtu, a=workers, b=workers)
    for family, header in ((4, 28), (6, 48)):
        traffic.datagrams(net.a, net.b, inner("b", family), 2500, mtu - header, seed=mtu + family,
                          ordered=workers["Workers"] == 1)


def test_datagrams_larger_than_the_mtu_arrive_byte_equal(lab):
    net = lab.net()
    lab.pair(net)
    for family in (4, 6):
        traffic.datagrams(net.a, net.b, inner("b", family), 300, 20000, seed=family, window=8)


def test_a_large_file_both_ways_at_once_has_equal_hashes(lab, workers):
    net = lab.net()
    a, b = lab.pair(net, a=workers, b=workers)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(BIG)
    for end in (a, b):
        assert end.peer_stat("rx_bytes") > BIG and end.peer_stat("tx_bytes") > BIG


@pytest.mark.parametrize("mtu, outer", [(1280, 4), (1420, 6), (8920, 4)])
def test_streams_in_v6_at_every_mtu_have_equal_hashes(lab, mtu, outer):
    net = lab.net(mtu=9000)
    lab.pair(net, outer=outer, mtu=mtu)
    traffic.Stream(net.a, net.b, inner("b", 6)).transfer(SOME)


def test_four_streams_at_once_have_equal_hashes(lab, workers):
    net = lab.net()
    lab.pair(net, a=workers, b=workers)
    streams = [traffic.Stream(net.a, net.b, inner("b", 4 if i % 2 else 6), port=5001 + i)
               for i in range(4)]
    threads = traffic.Workers()
    for stream in streams:
        threads.go(stream.transfer, SOME // 2)
    threads.join()


@pytest.mark.parametrize("outer", [4, 6], ids=["over_v4", "over_v6"])
def test_a_path_smaller_than_the_device_still_carries_everything(lab, outer):
    net = lab.net(router=True, far_mtu=1300)
    a, _ = lab.pair(net, outer=outer)
    # In v6 the router drops the first and says so; then the sender's kernel fragments.
    a.until(lambda: traffic.reaches(net.a, inner("b", 4), size=1392, count=1, wait_s=1),
            "a full packet gets through")
    assert traffic.reaches(net.a, inner("b", 4), size=1392)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(SOME // 4)


def behind(net):
    """A host of 1500 bytes behind a, which forwards; returns (it, its addresses by family)."""
    guest = net.host("g")
    networks.run("ip", "link", "add", "to-g", "netns", net.a.name, "type", "veth",
                 "peer", "name", "to-a", "netns", guest.name)
    for host, dev, number in ((net.a, "to-g", 1), (guest, "to-a", 2)):
        host.ip("addr", "add", f"10.78.0.{number}/24", "dev", dev)
        host.ip("addr", "add", f"fd78::{number}/64", "dev", dev, "nodad")
        host.ip("link", "set", dev, "up")
    net.a.sysctl("net.ipv4.ip_forward", 1)
    net.a.sysctl("net.ipv6.conf.all.forwarding", 1)
    guest.ip("route", "add", inner("b", 4), "via", "10.78.0.1")
    guest.ip("route", "add", inner("b", 6), "via", "fd78::1")
    return guest, {4: "10.78.0.2", 6: "fd78::2"}


def segment_of(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


def test_a_forwarded_connection_is_told_what_the_tunnel_carries(lab):
    # Without it both ends would begin with what the link of the guest and the other MTU carry.
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    guest, addresses = behind(net)
    a.tunnel.mtu = 1300
    b.tunnel.peers[0].allowed += [f"{addresses[4]}/32", f"{addresses[6]}/128"]
    b.start()
    a.start()
    for host in (guest, net.b):
        host.sysctl("net.ipv4.tcp_timestamps", 0)
    for family, headers in ((4, 40), (6, 60)):
        kind = traffic.family_of(addresses[family]), socket.SOCK_STREAM
        with net.b.socket(*kind) as listener, guest.socket(*kind) as client:
            listener.bind((inner("b", family), 5001))
            listener.listen()
            client.connect((inner("b", family), 5001))
            with listener.accept()[0] as server:
                assert segment_of(client) == segment_of(server) == 1300 - headers


OFF = {"Offload": "off"}


@pytest.mark.parametrize("a, b", [(OFF, {}), ({}, OFF), (OFF, OFF)],
                         ids=["client", "server", "both"])
def test_offload_switched_off_gives_equal_bytes(lab, workers, a, b):
    net = lab.net()
    a, b = lab.pair(net, a=workers | a, b=workers | b)
    for end in (a, b):
        wanted = "no" if end.tunnel.extra.get("Offload") else "yes"
        assert end.capabilities()["gso"] == end.capabilities()["tso"] == wanted
    traffic.datagrams(net.a, net.b, inner("b", 4), 1000, 1392, seed=1,
                      ordered=workers["Workers"] == 1)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(SOME)


@pytest.mark.parametrize("switch", ["tun-tso", "tun-uso", "udp-gso", "udp-gro"])
def test_each_offload_switched_off_alone_gives_equal_bytes(lab, switch):
    net = lab.net()
    a, b = lab.pair(net, a={"Offload": f"auto -{switch}"})
    word = switch.partition("-")[2]
    assert (a.capabilities()[word], b.capabilities()[word]) == ("no", "yes")
    traffic.datagrams(net.a, net.b, inner("b", 6), 1000, 1372, seed=2)
    traffic.Stream(net.a, net.b, inner("b", 6)).transfer(SOME // 2)


def test_epoll_loop_carries_the_same(lab, workers):
    net = lab.net()
    epoll = workers | {"Loop": "epoll"}
    a, b = lab.pair(net, a=epoll, b=epoll)
    assert a.capabilities()["loop"] == b.capabilities()["loop"] == "epoll"
    traffic.datagrams(net.a, net.b, inner("b", 4), 2000, 1392, seed=3,
                      ordered=workers["Workers"] == 1)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(SOME)
    assert traffic.reaches(net.b, inner("a", 6))


def test_preshared_key_carries_traffic(lab):
    net = lab.net()
    lab.pair(net, psk=True)
    assert traffic.reaches(net.a, inner("b", 4))
    traffic.Stream(net.a, net.b, inner("b", 6)).transfer(SOME // 4)


def test_a_host_without_ipv6_carries_v4(lab):
    net = lab.net()
    for host in (net.a, net.b):
        for which in ("all", "default"):
            host.sysctl(f"net.ipv6.conf.{which}.disable_ipv6", 1)
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    for end in (a, b):
        end.tunnel.addresses = end.tunnel.addresses[:1]
        for peer in end.tunnel.peers:
            peer.allowed = peer.allowed[:1]
    b.start()
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(SOME // 4)


def test_capabilities_are_told_in_full(lab):
    net = lab.net()
    a, _ = lab.pair(net, a={"Workers": 2})
    told = a.capabilities()
    assert set(told) >= {"loop", "workers", "tso", "uso", "gso", "gro", "aead"}
    assert told["workers"] == "2"
    assert told["loop"] in ("io_uring", "epoll")


def test_every_packet_that_went_in_came_out_or_was_counted(lab, workers):
    net = lab.net()
    a, b = lab.pair(net, a=workers, b=workers)
    assert traffic.reaches(net.a, inner("b", 4))
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(SOME)
    for source, sink in ((a, b), (b, a)):
        sent = source.stats()
        lost = sum(n for name, n in sent.items() if name.startswith("drop."))
        assert lost == 0, {name: n for name, n in sent.items() if n and name.startswith("drop.")}
        # Nothing is on its way any more, so what one has sent the other has received.
        sink.wait_stat("udp.receive_datagrams", sent["udp.send_datagrams"])
