"""Endpoint names: looked up beside the traffic, and again when a peer is lost."""
import contextlib
import socket
import threading

import conftest
import ends
import pytest
import traffic
from ends import Peer
from house import Background, House
from lab import PORT, endpoint, inner

# Timers run faster: 135 s pass in less than 7.
FAST = {"CONVOY_TEST_CLOCK": "20"}
NAME = "vpn.example.com"


def failed(request):
    result = request.node.stash.get(conftest.RESULT, None)
    return result is None or result.failed


class Pair:
    """A server that runs in net.b, and a client in net.a whose file knows it by name."""

    def __init__(self, lab, house, **kwargs):
        self.lab, self.net = lab, lab.net(**kwargs)
        self.net.b.ip("rule", "add", "from", "10.77.0.9", "table", 99)
        self.house = house(self.net.a)
        tunnel, server = lab.tunnels(self.net)
        tunnel.peers[0].endpoint = f"{NAME}:{PORT}"
        self.client = Background(lab.binary, self.house, tunnel, env=FAST)
        self.server = lab.convoy(self.net.b, server, env=FAST)
        self.server.start()

    def hosts(self, *addresses):
        """All that /etc/hosts says."""
        self.house.write("hosts", "".join(f"{address} {NAME}\n" for address in addresses))

    def where(self):
        return self.client.peer(self.server.tunnel.public).get("endpoint")

    def reaches(self):
        return traffic.reaches(self.net.a, inner("b", 4), count=1, wait_s=1)


@pytest.fixture
def make(request, lab):
    with contextlib.ExitStack() as stack:
        def house(namespace):
            house = House(namespace)
            stack.callback(house.close)
            # Nobody else is asked, and nobody may be.
            house.write("nsswitch.conf", "hosts: files\n", 0o644)
            return house

        def made(**kwargs):
            pair = Pair(lab, house, **kwargs)
            stack.callback(lambda: pair.client.close(failed=failed(request)))
            return pair
        yield made


class NameServer:
    """Answers every question for an IPv4 address with `address`, and others with nothing. The first
    two, of either family, are lost, so that an answer takes a second."""

    def __init__(self, namespace, at, address):
        self._socket = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((at, 53))
        self._address = socket.inet_aton(address)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            for _ in range(2):
                self._socket.recvfrom(512)
            while True:
                question, who = self._socket.recvfrom(512)
                name_end = question.index(b"\0", 12) + 1
                kind = question[name_end:name_end + 2]
                found = kind == b"\0\1"
                head = question[:2] + b"\x81\x80\0\1" + bytes([0, found]) + bytes(4)
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + self._address
                self._socket.sendto(head + question[12:name_end + 4] + (record if found else b""),
                                    who)

    def close(self):
        self._socket.close()


@pytest.mark.parametrize("extra", [{}, {"KillSwitch": "yes"}], ids=["open", "kill switch"])
def test_a_default_route_does_not_swallow_the_question(make, extra):
    # The name server is behind the router: once the tunnel has the default route, or the kill
    # switch is closed, there is no way to it but through the tunnel.
    pair = make(router=True)
    server = pair.net.outer("b", 4)
    with contextlib.closing(NameServer(pair.net.b, server, server)):
        pair.house.write("nsswitch.conf", "hosts: dns\n")
        pair.house.write("resolv.conf", f"nameserver {server}\noptions timeout:1\n")
        pair.net.a.ip("route", "del", "198.51.100.0/24")
        pair.net.a.ip("route", "add", "default", "via", pair.net.outer("r", 4, 1))
        pair.client.tunnel.peers[0].allowed = ["0.0.0.0/0", "::/0"]
        pair.client.tunnel.extra |= extra
        pair.client.write()
        pair.client.up()
        pair.client.until(pair.reaches, "it answers")
        assert pair.where() == endpoint(server)


@pytest.mark.parametrize("family", [4, 6])
def test_a_name_is_looked_up(make, family):
    pair = make()
    pair.hosts(pair.net.outer("b", family))
    pair.client.up()
    pair.client.until(pair.reaches, "it answers")
    assert pair.where() == endpoint(pair.net.outer("b", family))


def test_a_name_that_is_not_known_yet_delays_that_peer_only(make):
    pair = make()
    pair.hosts()
    private, public = ends.new_key()
    pair.lab.convoy(pair.net.b, ends.Tunnel(
        private, ["10.77.0.9/32"], name=f"{pair.net.label}n", port=PORT + 1, extra={"Table": 99},
        peers=[Peer(pair.client.tunnel.public, [f"{inner('a', 4)}/32"])])).start()
    pair.client.tunnel.peers.append(Peer(public, ["10.77.0.9/32"],
                                         endpoint(pair.net.outer("b", 4), PORT + 1)))
    pair.client.write()
    pair.client.up()
    assert traffic.reaches(pair.net.a, "10.77.0.9")
    assert pair.where() is None
    pair.hosts(pair.net.outer("b", 4))
    pair.client.until(pair.reaches, "it answers")


def test_a_silent_family_gives_way_to_the_other(make):
    pair = make()
    # Inside our network, and nobody's.
    pair.hosts("2001:db8:1::99", pair.net.outer("b", 4))
    pair.client.up()
    pair.client.until(pair.reaches, "it answers")
    assert pair.where() == endpoint(pair.net.outer("b", 4))


def test_a_family_without_a_route_gives_way_to_the_other(make):
    pair = make(router=True)
    pair.net.a.ip("-6", "route", "replace", "unreachable", "2001:db8:2::/64")
    pair.hosts(pair.net.outer("b", 6), pair.net.outer("b", 4))
    pair.client.up()
    pair.client.until(pair.reaches, "it answers")
    assert pair.where() == endpoint(pair.net.outer("b", 4))


def test_a_server_that_moves_is_found_again(make):
    pair = make(router=True)
    old, new = pair.net.outer("b", 4), "198.51.100.99"
    pair.hosts(old)
    pair.client.up()
    pair.client.until(pair.reaches, "it answers")
    pair.net.b.ip("addr", "del", f"{old}/24", "dev", "to-r")
    pair.net.b.ip("addr", "add", f"{new}/24", "dev", "to-r")
    pair.net.b.ip("route", "add", "192.0.2.0/24", "via", pair.net.outer("r", 4, 2))
    pair.server.stop()
    pair.server.start()
    pair.hosts(new)
    pair.client.until(pair.reaches, "it answers")
    assert pair.where() == endpoint(new)


def test_a_server_that_moves_under_its_session_is_followed_and_not_sent_back(make):
    pair = make()
    old, new = pair.net.outer("b", 4), "192.0.2.99"
    pair.hosts(old)
    pair.client.up()
    pair.client.until(pair.reaches, "it answers")
    pair.net.b.ip("addr", "del", f"{old}/24", "dev", "to-a")
    pair.net.b.ip("addr", "add", f"{new}/24", "dev", "to-a")
    assert traffic.reaches(pair.net.b, inner("a", 4))
    assert pair.where() == endpoint(new)
    pair.client.reload()
    assert pair.reaches()
    assert pair.where() == endpoint(new)


def test_a_new_name_in_the_file_is_followed(make):
    pair = make()
    pair.hosts(pair.net.outer("b", 4))
    pair.client.up()
    pair.client.until(pair.reaches, "it answers")
    pair.house.write("hosts", f"{pair.net.outer('b', 6)} other.example.com\n")
    pair.client.tunnel.peers[0].endpoint = f"other.example.com:{PORT}"
    pair.client.reload()
    pair.client.until(lambda: pair.where() == endpoint(pair.net.outer("b", 6)), "it moves")
    pair.client.until(pair.reaches, "it answers")


def mtu(pair):
    return pair.net.a.ip_json("link", "show", pair.client.tunnel.name)[0]["mtu"]


def test_an_automatic_mtu_follows_the_way_to_a_name(make):
    pair = make(mtu=1400)
    pair.hosts()
    pair.client.tunnel.mtu = None
    pair.client.write()
    pair.client.up()
    assert mtu(pair) == 1420, "nothing is known yet"
    pair.hosts(pair.net.outer("b", 4))
    pair.client.until(lambda: mtu(pair) == 1320, "it fits the path")
    pair.client.until(pair.reaches, "it answers")
    # A reload that changes endpoints looks at their paths again, and forgets no name's.
    pair.client.tunnel.peers.append(Peer(ends.new_key()[1], [], endpoint=endpoint("127.0.0.1")))
    pair.client.reload()
    assert mtu(pair) == 1320


def test_without_an_endpoint_the_mtu_is_that_of_the_default_route(make):
    pair = make(mtu=1400)
    pair.hosts()
    pair.net.a.ip("route", "add", "default", "via", pair.net.outer("b", 4))
    pair.client.tunnel.mtu = None
    pair.client.tunnel.peers[0].allowed = ["0.0.0.0/1", "128.0.0.0/1"]
    pair.client.write()
    pair.client.up()
    assert mtu(pair) == 1320
    # Now the world is in the tunnel, which says nothing about the path.
    pair.client.tunnel.peers.append(Peer(ends.new_key()[1], [],
                                         endpoint=endpoint(pair.net.outer("b", 4))))
    pair.client.reload()
    pair.client.tunnel.peers.pop()
    pair.client.reload()
    assert mtu(pair) >= 1320


def test_with_a_default_route_the_name_is_known_before_the_way_to_it_changes(make):
    pair = make()
    pair.hosts(pair.net.outer("b", 4))
    pair.client.tunnel.peers[0].allowed = ["0.0.0.0/0", "::/0"]
    pair.client.write()
    pair.client.up()
    assert pair.where() == endpoint(pair.net.outer("b", 4))


def test_the_end_does_not_wait_for_a_name_server(make):
    pair = make()
    with pair.net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((pair.net.outer("b", 4), 53))
        silent.settimeout(ends.PATIENCE_S)
        pair.house.write("nsswitch.conf", "hosts: dns\n")
        pair.house.write("resolv.conf", f"nameserver {pair.net.outer('b', 4)}\n"
                                        "options timeout:30 attempts:5\n")
        pair.client.up()
        assert NAME.partition(".")[0].encode() in silent.recv(512)
        pid = pair.client.pid
        # A minute of patience is less than it has, and more than down has.
        assert pair.client.down().returncode == 0
        assert pair.client.pid is None, pid
