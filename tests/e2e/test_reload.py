"""A tunnel takes over what its file says now, and whoever is not concerned does not notice."""
import base64
import contextlib
import hashlib
import re
import socket
import threading

import conftest
import ends
import pytest
import traffic
from ends import Peer
from house import Background, House
from lab import PORT, endpoint, inner

STRANGER = "198.51.100.7:7"


def failed(request):
    result = request.node.stash.get(conftest.RESULT, None)
    return result is None or result.failed


class Pair:
    """A server in the background in net.b, whose file changes, and a client in net.a."""

    def __init__(self, lab, **kwargs):
        self.lab, self.net = lab, lab.net()
        tunnel, self.tunnel = lab.tunnels(self.net, **kwargs)
        self.house = House(self.net.b)
        self.server = Background(lab.binary, self.house, self.tunnel)
        self.client = lab.convoy(self.net.a, tunnel)

    def start(self):
        self.server.up()
        self.client.start()
        assert self.reaches()
        return self

    def reaches(self):
        return traffic.reaches(self.net.a, inner("b", 4))

    @property
    def known(self):
        """The client as the server's file has it."""
        return self.tunnel.peers[0]

    def dump(self, public=None):
        """{"endpoint": ...} of a peer (the client), as wg(8) tells it."""
        keys = ("key", "psk", "endpoint", "ips", "handshake", "rx", "tx", "keepalive")
        lines = self.house.run("wg", "show", self.server.name, "dump").stdout.splitlines()[1:]
        peers = {line.split("\t")[0]: dict(zip(keys, line.split("\t"))) for line in lines}
        return peers.get(public or self.known.public)

    def drops(self):
        """What both ends dropped so far, but for handshakes with a peer that is not there."""
        server = {f"drop.{name}": n for name, n in self.server.show()["drops"].items()}
        return [{name: n for name, n in stats.items() if n and name.startswith("drop.")
                 and name != "drop.handshake_send"} for stats in (server, self.client.stats())]

    def wg(self, *words):
        self.house.run("wg", "set", self.server.name, "peer", self.known.public, *words)


@pytest.fixture
def make(request, lab):
    with contextlib.ExitStack() as stack:
        def made(**kwargs):
            pair = Pair(lab, **kwargs)
            stack.callback(pair.house.close)
            stack.callback(lambda: pair.server.close(failed=failed(request)))
            return pair
        yield made


@pytest.fixture
def pair(make):
    return make().start()


def test_a_peer_comes_and_goes_and_the_others_live_on(make):
    pair = make()
    pair.net.a.ip("rule", "add", "from", "10.77.0.9", "table", 99)
    before = pair.start().dump()
    private, public = ends.new_key()
    pair.tunnel.peers.append(Peer(public, ["10.77.0.9/32"]))
    pair.server.reload()
    assert pair.dump(public)["ips"] == "10.77.0.9/32"
    newcomer = pair.lab.convoy(pair.net.a, ends.Tunnel(
        private, ["10.77.0.9/32"], name=f"{pair.net.label}n", extra={"Table": 99},
        peers=[Peer(pair.tunnel.public, [f"{inner('b', 4)}/32"],
                    endpoint(pair.net.outer("b", 4)))])).start()
    said = pair.net.a.run("ping", "-n", "-c", "2", "-I", "10.77.0.9", inner("b", 4)).stdout
    assert traffic.ping_result(said)[0] == 0
    newcomer.stop()
    del pair.tunnel.peers[1]
    pair.server.reload()
    assert pair.dump(public) is None
    after = pair.dump()
    for what in ("handshake", "endpoint"):
        assert after[what] == before[what], what
    for what in ("rx", "tx"):  # and what the two tell each other of the path
        assert int(after[what]) >= int(before[what]), what
    assert pair.reaches()


def test_a_file_with_errors_changes_nothing_and_says_why(pair):
    before = pair.server.show()
    pair.tunnel.peers.append(Peer(ends.new_key()[1], ["10.77.0.9/32"], keepalive="often"))
    pair.tunnel.mtu = 1300
    done = pair.server.reload(check=False)
    assert done.returncode == 1
    assert re.search(rf"/{pair.server.name}\.conf:\d+:\d+: error: .*PersistentKeepalive",
                     done.said), done.said
    after = pair.server.show()
    assert after["peers"].keys() == before["peers"].keys()
    assert after["mtu"] == before["mtu"]
    assert pair.reaches()


def test_a_file_that_is_gone_changes_nothing(pair):
    (pair.house.etc / f"convoy/{pair.server.name}.conf").unlink()
    done = pair.server.command("reload", pair.server.name, check=False)
    assert done.returncode == 1 and "cannot read" in done.said
    assert pair.reaches()


def test_a_preshared_key_comes_and_goes(pair):
    pair.known.psk = ends.new_psk()
    pair.server.reload()
    assert pair.dump()["psk"] == pair.known.psk
    pair.known.psk = None
    pair.server.reload()
    assert pair.dump()["psk"] == "(none)"
    assert pair.reaches()


def test_a_keepalive_comes_and_goes(pair):
    pair.known.keepalive = 7
    pair.server.reload()
    assert pair.dump()["keepalive"] == "7"
    pair.known.keepalive = None
    pair.server.reload()
    assert pair.dump()["keepalive"] == "off"


def test_allowed_ips_move_between_peers(pair):
    other = Peer(ends.new_key()[1], ["10.77.0.9/32"])
    pair.tunnel.peers.append(other)
    pair.known.allowed += ["10.78.0.0/16"]
    pair.server.reload()
    assert "10.78.0.0/16" in pair.dump()["ips"]
    other.allowed += [pair.known.allowed.pop()]
    pair.server.reload()
    assert "10.78.0.0/16" not in pair.dump()["ips"]
    assert sorted(pair.dump(other.public)["ips"].split(",")) == ["10.77.0.9/32", "10.78.0.0/16"]
    other.allowed.clear()
    pair.server.reload()
    assert pair.dump(other.public)["ips"] == "(none)"
    assert pair.reaches()


def test_a_peer_that_roamed_stays_unless_the_file_sends_it_elsewhere(pair):
    here = pair.dump()["endpoint"]
    pair.known.keepalive = 20
    pair.server.reload()
    assert pair.dump()["endpoint"] == here
    pair.known.endpoint = STRANGER
    pair.server.reload()
    assert pair.dump()["endpoint"] == STRANGER
    assert pair.reaches()  # it is heard, and answered where it is
    assert pair.dump()["endpoint"] == here
    pair.known.keepalive = None
    pair.server.reload()
    assert pair.dump()["endpoint"] == here


def test_what_wg_set_is_put_right(pair):
    pair.wg("allowed-ips", "10.99.0.0/16", "persistent-keepalive", "11")
    added = ends.new_key()[1]
    pair.house.run("wg", "set", pair.server.name, "peer", added, "allowed-ips", "10.98.0.0/16")
    pair.server.reload()
    assert pair.dump()["keepalive"] == "off"
    assert sorted(pair.dump()["ips"].split(",")) == sorted(pair.known.allowed)
    assert pair.dump(added) is None
    assert pair.reaches()


def test_the_port_changes_and_the_session_lives(pair):
    pair.tunnel.port = PORT + 1
    pair.server.reload()
    assert pair.server.show()["listenPort"] == PORT + 1
    # The client hears of the new port by the first packet that comes from there.
    assert traffic.reaches(pair.net.b, inner("a", 4))
    assert pair.reaches()


def test_a_port_that_is_taken_is_told_and_nothing_changes(pair):
    pair.tunnel.port = PORT + 1
    pair.tunnel.mtu = 1300
    with pair.net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", PORT + 1))
        done = pair.server.reload(check=False)
    assert done.returncode == 1 and str(PORT + 1) in done.said
    shown = pair.server.show()
    assert (shown["listenPort"], shown["mtu"]) == (PORT, 1420)
    assert pair.reaches()


def test_our_own_key_changes(pair):
    private, public = ends.new_key()
    pair.server.tunnel.private = private
    pair.server.reload()
    assert pair.server.show()["publicKey"] == public
    pair.client.stop()
    pair.client.tunnel.peers[0].public = public
    pair.client.start()
    assert pair.reaches()


def test_addresses_mtu_routes_and_mark_change(make):
    pair = make()
    pair.client.tunnel.peers[0].allowed.append("10.77.0.3/32")
    pair.start()
    pair.tunnel.addresses[0] = "10.77.0.3/24"
    pair.tunnel.addresses.append("10.80.0.1/24")
    pair.tunnel.mtu = 1300
    pair.tunnel.extra["FwMark"] = "0x77"
    pair.known.allowed.append("10.81.0.0/16")
    pair.server.reload()
    (link,) = pair.net.b.ip_json("addr", "show", "dev", pair.server.name)
    assert link["mtu"] == 1300
    addresses = {a["local"] for a in link["addr_info"] if a["family"] == "inet"}
    assert addresses == {"10.77.0.3", "10.80.0.1"}
    assert pair.server.name in pair.net.b.ip("route", "get", "10.81.0.1")
    assert pair.house.run("wg", "show", pair.server.name, "fwmark").stdout.strip() == "0x77"
    assert traffic.reaches(pair.net.a, "10.77.0.3")
    pair.known.allowed.pop()
    del pair.tunnel.extra["FwMark"]
    pair.server.reload()
    assert "10.81.0.0/16" not in pair.net.b.ip("route")
    assert pair.house.run("wg", "show", pair.server.name, "fwmark").stdout.strip() == "off"


def test_a_default_route_comes_and_goes(pair):
    before = pair.house.state()
    pair.known.allowed += ["0.0.0.0/0", "::/0"]
    pair.server.reload()
    assert "suppress_prefixlength" in pair.net.b.ip("rule")
    assert pair.server.name in pair.net.b.ip("route", "get", "203.0.113.1")
    assert pair.house.state()["firewall"] != before["firewall"]
    assert pair.reaches()
    del pair.known.allowed[-2:]
    pair.server.reload()
    after = pair.house.state()
    for what in before:
        assert after[what] == before[what], what
    assert pair.reaches()


def test_name_servers_come_and_go(pair):
    before = pair.house.state()["dns"]
    pair.tunnel.extra["DNS"] = "10.77.0.1"
    pair.server.reload()
    assert "10.77.0.1" in pair.house.state()["dns"]
    pair.tunnel.extra["DNS"] = "10.77.0.5"
    pair.server.reload()
    assert "10.77.0.5" in pair.house.state()["dns"]
    assert "10.77.0.1" not in pair.house.state()["dns"]
    del pair.tunnel.extra["DNS"]
    pair.server.reload()
    assert pair.house.state()["dns"] == before


def test_the_level_of_the_log_changes(pair):
    pair.tunnel.extra["LogLevel"] = "error"
    pair.server.reload()
    said = pair.server.text()
    pair.server.reload()
    assert pair.server.text() == said
    pair.tunnel.extra["LogLevel"] = "info"
    assert "reloaded" in pair.server.reload().said


def test_what_waits_for_the_next_start_is_told(pair):
    pair.tunnel.extra |= {"Workers": 2, "Offload": "off"}
    said = pair.server.reload().said
    assert "Workers stays as it was" in said and "Offload stays as it was" in said
    assert pair.server.show()["capabilities"]["workers"] == "1"
    assert pair.reaches()


def test_hooks_do_not_run(pair):
    pair.tunnel.extra["PostUp"] = "echo up > /etc/hook"
    pair.tunnel.extra["PostDown"] = "echo down > /etc/hook"
    pair.server.reload()
    assert not (pair.house.etc / "hook").exists()
    pair.server.down()
    assert (pair.house.etc / "hook").read_text() == "down\n"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.workers)],
                         ids=["1w", "2w"])
def test_no_packet_of_another_peer_is_lost(make, workers):
    pair = make(a={"Workers": workers}, b={"Workers": workers}).start()
    plain, other = pair.tunnel.text(), Peer(ends.new_key()[1], ["10.77.0.9/32"])
    changes = [plain]
    for change in ({}, {"keepalive": 25}, {"endpoint": STRANGER}, {"psk": ends.new_psk()},
                   {"allowed": ["10.77.0.9/32", "10.78.0.0/16"]}):
        changes.append(plain + "\n" + Peer(**{**vars(other), **change}).text())
    changes += [plain.replace("MTU = 1420", "MTU = 1420\nFwMark = 0x77")]
    before, done, reloads = pair.drops(), threading.Event(), []

    def reload_until_done():
        while not done.is_set() or len(reloads) < 2 * len(changes):
            pair.server.reload(changes[len(reloads) % len(changes)])
            reloads.append(None)
    work = traffic.Workers()
    work.go(reload_until_done)
    try:
        for seed, (left, right, to) in enumerate(((pair.net.a, pair.net.b, inner("b", 4)),
                                                  (pair.net.b, pair.net.a, inner("a", 4)))):
            traffic.datagrams(left, right, to, 20000, 1392, seed=seed, ordered=workers == 1)
        traffic.Stream(pair.net.a, pair.net.b, inner("b", 4)).transfer(64 << 20)
    finally:
        done.set()
    work.join()
    assert pair.drops() == before


def test_one_of_ten_thousand(make):
    pair = make()
    pair.tunnel.peers += [Peer(key_of(i), [f"10.{78 + i // 65536}.{i // 256 % 256}.{i % 256}/32"])
                          for i in range(10000)]
    pair.start()
    pair.tunnel.peers.append(Peer(key_of(10000), ["10.99.0.1/32"]))
    assert "1 added, 0 removed, 0 changed" in pair.server.reload().said
    del pair.tunnel.peers[5000]
    assert "0 added, 1 removed, 0 changed" in pair.server.reload().said
    assert pair.reaches()


def key_of(number):
    """Any 32 bytes are a public key."""
    return base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()
