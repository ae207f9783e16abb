"""Convoy and wireguard-go understand each other, whoever starts."""
import pytest
import traffic
from lab import inner

SIZE = 64 << 20


@pytest.mark.parametrize("psk", [False, True], ids=["no_psk", "psk"])
@pytest.mark.parametrize("kinds", [("convoy", "wireguard-go"), ("wireguard-go", "convoy")],
                         ids=["convoy_initiates", "wireguard_go_initiates"])
def test_traffic_of_all_kinds_with_wireguard_go(lab, kinds, psk):
    net = lab.net()
    lab.pair(net, kinds=kinds, psk=psk)
    for family in (4, 6):
        assert traffic.reaches(net.a, inner("b", family))
        assert traffic.reaches(net.b, inner("a", family), size=1300)
        traffic.datagrams(net.a, net.b, inner("b", family), 1000, 1372, seed=family)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(SIZE)


def test_wireguard_go_over_v6_and_two_workers(lab):
    net = lab.net()
    lab.pair(net, kinds=("wireguard-go", "convoy"), outer=6, b={"Workers": 2})
    traffic.datagrams(net.a, net.b, inner("b", 6), 1000, 1372, seed=6, ordered=False)
    traffic.Stream(net.a, net.b, inner("b", 6)).transfer(SIZE)


@pytest.mark.parametrize("who", ["client", "server"])
def test_either_restarts_and_the_other_finds_it(lab, who):
    # wireguard-go keeps real time: the side that lost its session is the one that starts anew.
    net = lab.net()
    a, b = lab.pair(net, kinds=("convoy", "wireguard-go") if who == "client"
                    else ("wireguard-go", "convoy"))
    assert traffic.reaches(net.a, inner("b", 4))
    again = a if who == "client" else b
    again.stop()
    if who == "server":
        again.tunnel.peers[0].endpoint = f"{net.outer('a', 4)}:{port_of(a)}"
    again.start()
    near, far = (net.a, "b") if who == "client" else (net.b, "a")
    assert traffic.reaches(near, inner(far, 4))


def port_of(wireguard_go):
    return wireguard_go.namespace.run("wg", "show", wireguard_go.name, "listen-port").stdout.strip()
