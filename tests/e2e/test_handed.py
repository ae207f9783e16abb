"""Address = auto: what a server hands over is taken as far as the client's own file allows."""
import json
import pathlib
import re
import socket

import pytest
import traffic
from ends import Peer, Tunnel, new_key, poll
from granter import Granter
from lab import PORT, endpoint
from wgmodel import GRANT, granted

BEFORE = "# of the host\nnameserver 192.0.2.53\n"
INSIDE = ["10.8.0.0/16", "fd08::/32"]
GOOD = {"addresses": ["10.8.0.7/24", "fd08::7/64"], "mtu": 1380, "dns": ["10.8.0.1", "fd08::1"],
        "routes": ["10.8.3.0/24", "fd08:0:0:3::/64"]}
ALL = {"DNS": "auto", "Routes": "auto"}
# The tunnel's clock, so that a minute of it is one second and a half of ours.
FAST = {"CONVOY_TEST_CLOCK": "40"}


def client_of(net, server, allowed=None, **extra):
    return Tunnel(new_key()[0], ["auto"], [Peer(server.public, allowed or INSIDE, server.endpoint)],
                  name=net.label + "a", extra=extra)


def handed_over(end):
    done = end.namespace.run(end.binary, "show", end.name, "--json")
    return json.loads(done.stdout)[end.name]["handedOver"]


class Client:
    """A client with Address = auto whose /etc/resolv.conf is its own; a model that grants."""

    def __init__(self, lab, tmp_path, grant=None, allowed=None, env=None, start=True, **extra):
        self.net, self.path = lab.net(), tmp_path / "resolv.conf"
        self.path.write_text(BEFORE)
        self.server = Granter(lab, self.net.b, self.net.outer("b", 4), **(grant or {}))
        self.tunnel = client_of(self.net, self.server, allowed, **extra)
        self.end = lab.convoy(self.net.a, self.tunnel, env=env)
        run = self.end._start
        self.end._start = lambda argv, env: run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mount --bind "$0" /etc/resolv.conf && exec "$@"', self.path, *argv], env)
        self.server.serve(self.tunnel)
        if start:
            self.end.start()

    def addresses(self):
        """Without those that are the kernel's own."""
        found = self.net.a.ip_json("addr", "show", "dev", self.end.name)[0]["addr_info"]
        return [f"{each['local']}/{each['prefixlen']}" for each in found if each["scope"] != "link"]

    def routes(self):
        """What is led into the tunnel by the main table."""
        return {route["dst"] for family in ("-4", "-6")
                for route in self.net.a.ip_json(family, "route", "show", "dev", self.end.name)}

    def mtu(self):
        return self.net.a.ip_json("link", "show", self.end.name)[0]["mtu"]

    def servers(self):
        return re.findall(r"^nameserver (\S+)", self.path.read_text(), re.M)

    def show(self):
        return self.net.a.run(self.end.binary, "show", self.end.name).stdout

    def said(self):
        return self.end.lines.text()

    def until_packet(self, text, to, source):
        """Send to an IPv4 address until it came to the server, from there."""
        def came():
            with self.net.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(text, (to, 9))
            return any(text in packet and packet[12:16] == source
                       for packet in self.server.packets)
        self.end.until(came, f"{text} to {to}")

    def until_addresses(self, *addresses):
        self.end.until(lambda: self.addresses() == list(addresses), f"it has {addresses}")


@pytest.fixture
def client(lab, tmp_path):
    return lambda *args, **kwargs: Client(lab, tmp_path, *args, **kwargs)


def test_what_is_handed_over_is_there_when_the_tunnel_is_and_goes_with_it(client):
    on = client(GOOD, PostUp="ip -br addr show %i", **ALL)
    assert on.addresses() == GOOD["addresses"]
    assert on.routes() >= {*GOOD["routes"], "10.8.0.0/24", "fd08::/64"}
    assert not on.routes() & set(INSIDE)
    assert on.mtu() == 1380
    assert on.servers() == GOOD["dns"]
    assert "10.8.0.7/24" in re.search(r"PostUp.*", on.said())[0], "hooks find the addresses"
    on.until_packet(b"I am 10.8.0.7", "10.8.3.1", bytes([10, 8, 0, 7]))
    assert "address: 10.8.0.7/24, fd08::7/64 (handed over)" in on.show()
    assert handed_over(on.end) == GOOD | {"by": on.server.public}
    on.server.say(GRANT, granted(addresses=["10.8.0.8/24"]))  # its file was changed
    on.until_addresses("10.8.0.8/24")
    on.end.until(lambda: on.servers() == ["192.0.2.53"], "there is no name server any more")
    on.end.stop()
    assert on.path.read_text() == BEFORE


def test_no_more_is_taken_than_the_file_asks_for(client):
    on = client(GOOD | {"addresses": ["10.9.0.7/24", "fd08::7/64"]}, MTU=1400)
    assert on.addresses() == ["10.9.0.7/32", "fd08::7/64"]
    assert "10.9.0.0/24" not in on.routes(), "AllowedIPs do not have it"
    assert set(INSIDE) < on.routes() and not on.routes() & set(GOOD["routes"])
    assert on.mtu() == 1400
    assert on.servers() == ["192.0.2.53"]


def test_what_is_refused_is_told_and_the_rest_is_taken(client):
    on = client({"addresses": ["127.0.0.1/32", "fd08::7/64"], "mtu": 1279,
                 "dns": ["224.0.0.1", "fd08::1"],
                 "routes": ["0.0.0.0/0", "10.8.3.0/24", "192.168.7.0/24"]}, **ALL)
    for what in ("address 127.0.0.1/32: it is a loopback address",
                 "MTU 1279: with IPv6 it is at least 1280",
                 "name server 224.0.0.1/32: it is a multicast address",
                 "route 0.0.0.0/0: AllowedIPs do not have it",
                 "route 192.168.7.0/24: AllowedIPs do not have it"):
        assert f"the peer hands over {what}, ignoring" in on.said()
    assert on.addresses() == ["fd08::7/64"] and on.servers() == ["fd08::1"]
    assert on.mtu() == 1420
    assert "10.8.3.0/24" in on.routes() and not on.routes() & {"default", "192.168.7.0/24"}


def test_everything_goes_through_the_tunnel_if_both_say_so(client):
    on = client(GOOD | {"routes": ["0.0.0.0/0", "::/0"]}, allowed=["0.0.0.0/0", "::/0"], **ALL)
    assert "not from all fwmark" in on.net.a.ip("rule")
    assert "ip daddr 10.8.0.7 fib saddr" in on.net.a.run("nft", "list", "ruleset").stdout
    on.until_packet(b"into the world", "198.51.100.1", bytes([10, 8, 0, 7]))


def test_a_peer_is_asked_until_it_grants_and_in_each_new_session(client):
    on = client({"mtu": 1300}, env=FAST, **ALL)
    assert "address: none yet" in on.show()
    on.end.until(lambda: on.server.requests > 2, "it asks on")
    assert on.said().count("the peer has no address for us") == 1
    assert on.addresses() == [] and on.mtu() == 1420
    on.server.grant(**GOOD)
    on.until_addresses(*GOOD["addresses"])
    on.end.until(lambda: on.servers() == GOOD["dns"], "the name servers are there")
    on.server.grant(addresses=["10.8.0.8/24"], dns=["10.8.0.2"], routes=["10.8.4.0/24"])
    on.server.goodbye()
    on.until_packet(b"begin a session", "10.8.0.1", bytes([10, 8, 0, 8]))
    assert on.addresses() == ["10.8.0.8/24"]
    on.end.until(lambda: on.servers() == ["10.8.0.2"], "the name server is another one")
    assert on.routes() == {"10.8.0.0/24", "10.8.4.0/24"}
    assert on.mtu() == 1420


def test_nobody_there_and_wireguard_go_hand_over_nothing_and_are_told_of(lab):
    net = lab.net()
    tunnel, server = lab.tunnels(net)
    tunnel.addresses, tunnel.mtu = ["auto"], None
    end = lab.convoy(net.a, tunnel, env=FAST).start()
    assert "no address yet, the peer has not answered for 10 s" in end.lines.text()
    lab.wireguard_go(net.b, server).start()
    end.lines.wait("the peer does not say which addresses we have")
    assert end.stats()["path.in_frames"] == 0


def test_it_is_kept_over_a_reload_and_given_again_after_a_crash(client):
    on = client(GOOD, **ALL)
    on.tunnel.extra["DNS"] = "auto, office.example"
    on.end.reload()
    assert on.addresses() == GOOD["addresses"] and on.servers() == GOOD["dns"]
    assert "search office.example" in on.path.read_text()
    assert on.server.requests == 1
    on.end.kill()
    poll(lambda: on.path.read_text() == BEFORE, "the keeper put it back")
    on.end.start()
    assert on.addresses() == GOOD["addresses"] and on.servers() == GOOD["dns"]
    on.tunnel.addresses, on.tunnel.extra = ["10.8.0.9/24"], {}
    on.end.reload()
    assert on.addresses() == ["10.8.0.9/24"] and set(INSIDE) < on.routes()
    assert on.mtu() == 1420 and on.servers() == ["192.0.2.53"]
    on.tunnel.addresses = ["auto"]
    on.end.reload()
    on.until_addresses(*GOOD["addresses"])


def served(lab, net, **extra):
    """A server with a Pool, and a client of it that was told nothing but key and endpoint."""
    keys, theirs = new_key(), new_key()
    server = Tunnel(theirs[0], ["10.8.0.1/24", "fd08::1/64"], [Peer(keys[1], [])], port=PORT,
                    name=net.label + "b", extra={"Pool": "10.8.0.0/24, fd08::/64", **extra})
    client = Tunnel(keys[0], ["auto"], [Peer(theirs[1], INSIDE, endpoint(net.outer("b", 4)))],
                    name=net.label + "a", extra={"Routes": "auto"})
    leases = pathlib.Path(f"/var/lib/convoy/{server.name}.leases")
    leases.unlink(missing_ok=True)
    lab.own(lambda: leases.unlink(missing_ok=True))
    return lab.convoy(net.b, server).start(), lab.convoy(net.a, client).start()


def test_a_server_tells_a_client_all_that_it_needs(lab):
    net = lab.net()
    server, client = served(lab, net, PoolMTU=1300, PoolRoutes="10.8.7.0/24")
    handed = handed_over(client)
    assert (handed["mtu"], handed["routes"]) == (1300, ["10.8.7.0/24"])
    assert handed["addresses"][0].startswith("10.8.0.") and handed["addresses"][1].endswith("/64")
    for there in ("10.8.0.1", "fd08::1"):
        assert traffic.reaches(net.a, there)
    server.tunnel.extra["PoolRoutes"] = "10.8.8.0/24"
    server.reload()
    client.until(lambda: handed_over(client)["routes"] == ["10.8.8.0/24"],
                 "it is told of the change")
    assert handed_over(client)["addresses"] == handed["addresses"]
    assert "10.8.8.0/24 dev" in net.a.ip("route") and "10.8.7.0/24" not in net.a.ip("route")
