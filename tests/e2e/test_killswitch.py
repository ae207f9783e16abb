"""The kill switch: whatever the local network says, nothing leaves but through the tunnel.

    a ---- r ---- b        a: client, all its traffic in the tunnel; r: the local network, which
                           lies; b: the server

r listens to everything that a sends. A canary is a datagram in the clear; it must not be heard. To
know that nothing will come any more, something follows that may always leave (as a DHCP client
does), and is waited for.
"""
import contextlib
import itertools
import json
import os
import pathlib
import signal
import socket
import struct
import threading

import ends
import pytest
import traffic
from lab import PORT, endpoint, inner

EVERYTHING = ["0.0.0.0/0", "::/0"]
FAR = {4: "203.0.113.7", 6: "2001:db8:7::7"}   # somewhere on the Internet
LAN = {4: "192.168.44.7", 6: "fd44::7"}        # private, and not the tunnel's
ETH_P_ALL = 3
DHCP_CLIENT, DHCP_SERVER = 68, 67
_number = itertools.count()


class Tap:
    """Hears every frame that comes to an interface."""

    def __init__(self, namespace, interface):
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                         socket.htons(ETH_P_ALL))
            self._socket.bind((interface, ETH_P_ALL))
        self._socket.settimeout(ends.PATIENCE_S)

    def until(self, last):
        """All frames up to the one that holds `last`."""
        heard = []
        while True:
            frame, where = self._socket.recvfrom(65536)
            if where[2] != socket.PACKET_OUTGOING:
                heard.append(frame)
                if last in frame:
                    return heard

    def close(self):
        self._socket.close()


def send(namespace, address, port, data, source_port=0, mark=None, interface=None):
    """One datagram; False when the host would not let it out."""
    with namespace.socket(traffic.family_of(address), socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        if mark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        sock.bind(("::" if ":" in address else "0.0.0.0", source_port))
        try:
            sock.sendto(data, (address, port))
        except OSError:
            return False
    return True


class Stage:
    """The three hosts, with r as the way to everywhere, and a tap on what a sends."""

    def __init__(self, lab, **keys):
        self.net = lab.net(router=True)
        self.a, self.r = self.net.a, self.net.r
        for family in (4, 6):
            gateway = self.net.outer("r", family, 1)
            self.a.ip(f"-{family}", "route", "add", "default", "via", gateway)
        # Whom a talks to directly, r is, without being asked.
        hardware = self.r.ip_json("link", "show", "to-a")[0]["address"]
        for address in (*FAR.values(), *LAN.values()):
            self.a.ip("neigh", "add", address, "lladdr", hardware, "dev", "to-r")
        self.tap = Tap(self.r, "to-a")
        lab._stack.callback(self.tap.close)
        client, server = lab.tunnels(self.net, a={"KillSwitch": "yes", **keys})
        client.peers[0].allowed = list(EVERYTHING)
        self.client, self.server = lab.convoy(self.a, client), lab.convoy(self.net.b, server)

    def up(self):
        self.server.start()
        self.client.start()
        assert traffic.reaches(self.a, inner("b", 4))
        return self

    def hears(self, canary):
        """Whether r heard this since it was asked last."""
        last = f"last {next(_number)} of all".encode()
        assert send(self.a, self.net.outer("r", 4, 1), DHCP_SERVER, last,
                    source_port=DHCP_CLIENT, interface="to-r")
        return any(canary in frame for frame in self.tap.until(last))

    def leaks(self, address, port=4040, **kwargs):
        """Whether a canary from a to this address is heard."""
        canary = f"canary {next(_number)} leaks".encode()
        send(self.a, address, port, canary, **kwargs)
        return self.hears(canary)

    def tables(self):
        found = json.loads(self.a.run("nft", "-j", "list", "tables").stdout)["nftables"]
        return sorted(each["table"]["name"] for each in found if "table" in each)

    def lie(self):
        """TunnelVision: routes more specific than any default, into the local network."""
        self.a.ip("route", "add", f"{FAR[4]}/32", "via", self.net.outer("r", 4, 1))
        for prefix in ("0.0.0.0/1", "128.0.0.0/1"):
            self.a.ip("route", "add", prefix, "via", self.net.outer("r", 4, 1))
        for prefix in ("::/1", "8000::/1", f"{FAR[6]}/128"):
            self.a.ip("route", "add", prefix, "via", self.net.outer("r", 6, 1))


@pytest.fixture
def stage(lab):
    return lambda **keys: Stage(lab, **keys)


def test_without_a_switch_the_tap_hears_what_it_should_not(stage):
    """The attacks work, so that the other tests mean something."""
    on = stage(KillSwitch="no").up()
    assert not on.leaks(FAR[4]) and not on.leaks(FAR[6])
    on.lie()
    assert on.leaks(FAR[4]) and on.leaks(FAR[6])


def test_nothing_but_the_tunnel_gets_out(stage):
    on = stage().up()
    assert on.tables() == [f"convoy-guard-{on.client.name}", f"convoy-killswitch-{on.client.name}"]
    for address in (*FAR.values(), *LAN.values(), on.net.outer("r", 4, 1),
                    on.net.outer("r", 6, 1)):
        assert not on.leaks(address)
        assert not on.leaks(address, interface="to-r")
    assert not on.leaks(FAR[4], port=53)
    assert traffic.reaches(on.a, inner("b", 6))


def test_added_routes_do_not_lead_around_it(stage):
    on = stage().up()
    on.lie()
    for address in (*FAR.values(), *LAN.values()):
        assert not on.leaks(address)
    assert traffic.reaches(on.a, inner("b", 4))


@pytest.mark.parametrize("lan", ["no", "yes"])
def test_a_public_network_is_not_local_because_the_network_says_so(stage, lan):
    on = stage(KillSwitchAllowLan=lan).up()
    on.a.ip("addr", "add", "203.0.113.50/24", "dev", "to-r")
    on.a.ip("addr", "add", "2001:db8:7::50/64", "dev", "to-r", "nodad")
    assert on.a.ip_json("route", "get", FAR[4])[0]["dev"] == "to-r"
    assert not on.leaks(FAR[4]) and not on.leaks(FAR[6])


def test_the_servers_address_is_open_to_nobody_but_us(stage):
    """A name server that lies about the server's name gives a web site's address."""
    on = stage().up()
    there = on.net.outer("b", 4)
    on.a.ip("route", "add", f"{there}/32", "via", on.net.outer("r", 4, 1))
    assert not on.leaks(there, port=443)
    assert not on.leaks(there, port=PORT)
    assert not on.leaks(there, port=PORT, interface="to-r")
    assert traffic.reaches(on.a, inner("b", 4))


def test_the_lan_is_open_if_wished_but_not_to_what_is_the_tunnels(stage):
    on = stage(KillSwitchAllowLan="yes", DNS="10.77.0.2")
    on.client.tunnel.peers[0].allowed.append("192.168.99.0/24")
    with_resolv_conf(on.client)
    on.up()
    on.a.ip("addr", "add", "192.168.44.1/24", "dev", "to-r")
    on.a.ip("addr", "add", "fd44::1/64", "dev", "to-r", "nodad")
    assert on.leaks(LAN[4]) and on.leaks(LAN[6])
    assert on.leaks("224.0.0.251", port=5353, interface="to-r")
    assert not on.leaks(LAN[4], port=53)
    assert not on.leaks(FAR[4], interface="to-r")
    # The local network claims what the file gives to the tunnel.
    for mine in ("192.168.99.7", "10.77.0.9"):
        on.a.ip("route", "add", f"{mine}/32", "via", on.net.outer("r", 4, 1))
        assert on.a.ip_json("route", "get", mine)[0]["dev"] == "to-r"
        assert not on.leaks(mine)


def test_forwarded_packets_are_held_back_too(stage):
    on = stage()
    guest = on.net.host("g")
    on.a.ip("link", "add", "to-g", "type", "veth", "peer", "name", "to-a", "netns", guest.name)
    on.a.ip("addr", "add", "172.31.0.1/24", "dev", "to-g")
    on.a.ip("link", "set", "to-g", "up")
    guest.ip("addr", "add", "172.31.0.2/24", "dev", "to-a")
    guest.ip("link", "set", "to-a", "up")
    guest.ip("route", "add", "default", "via", "172.31.0.1")
    on.a.sysctl("net.ipv4.ip_forward", 1)
    with socket_of(on.a, "172.31.0.1") as door:
        def leaks(canary):
            send(guest, FAR[4], 4040, canary)
            # What was sent before is forwarded before this arrives.
            send(guest, *door.getsockname(), b"next")
            assert door.recv(100) == b"next"
            return on.hears(canary)
        assert leaks(b"canary of a guest")
        on.up()
        on.lie()
        assert not leaks(b"canary of a guest in a tunnel")


def socket_of(namespace, address):
    sock = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(ends.PATIENCE_S)
    sock.bind((address, 0))
    return sock


def test_a_killed_daemon_leaves_it_closed_until_somebody_says_down(stage):
    on = stage().up()
    on.client.kill()
    switch = [f"convoy-killswitch-{on.client.name}"]
    ends.poll(lambda: on.tables() == switch, "the keeper is done")
    for address in (*FAR.values(), *LAN.values()):
        assert not on.leaks(address)
    on.client.start()
    assert traffic.reaches(on.a, inner("b", 4))
    assert not on.leaks(FAR[4])
    on.client.stop()
    assert on.tables() == []
    assert on.leaks(FAR[4]) and on.leaks(FAR[6])


def test_a_deleted_interface_leaves_it_closed(stage):
    on = stage().up()
    on.a.ip("link", "del", on.client.name)
    on.client.wait_exit()
    assert on.tables() == [f"convoy-killswitch-{on.client.name}"]
    assert not on.leaks(FAR[4])
    on.a.run(on.client.binary, "down", on.client.name)
    assert on.leaks(FAR[4])


def test_excluded_addresses_go_outside_and_their_neighbours_do_not(stage):
    on = stage(ExcludeIPs="203.0.113.0/29, 2001:db8:7::/48").up()
    assert on.leaks(FAR[4]) and on.leaks(FAR[6])
    assert not on.leaks("203.0.113.8")
    assert traffic.reaches(on.a, inner("b", 4)) and traffic.reaches(on.a, inner("b", 6))


def test_down_opens_it_when_the_daemon_was_killed(stage):
    on = stage().up()
    on.client.kill()
    on.a.run(on.client.binary, "down", on.client.name)
    assert on.tables() == []
    assert on.leaks(FAR[4])


def test_it_is_closed_before_there_is_a_link(stage, tmp_path):
    report = tmp_path / "report"
    on = stage(PreUp=f"nft list tables > {report}; ip link show %i >> {report} 2>&1; "
                     f"echo early canary > /dev/udp/{FAR[4]}/4040; true")
    on.up()
    assert not on.hears(b"early canary")
    before = report.read_text()
    assert f"convoy-killswitch-{on.client.name}\n" in before
    assert "does not exist" in before


def test_an_up_that_fails_leaves_it_as_it_found_it(stage):
    on = stage(PostUp="false")
    on.server.start()
    on.client.start(ready=False).refused()
    assert on.tables() == []
    del on.client.tunnel.extra["PostUp"]
    on.client.start()
    on.client.kill()
    on.client.tunnel.extra["PostUp"] = "false"
    on.client.start(ready=False).refused()
    assert on.tables() == [f"convoy-killswitch-{on.client.name}"]
    on.a.run(on.client.binary, "down", on.client.name)


def test_a_reload_turns_it_on_and_off(stage):
    on = stage(KillSwitch="no").up()
    on.lie()
    assert on.leaks(FAR[4])
    reload(on.client, KillSwitch="yes")
    assert not on.leaks(FAR[4])
    assert traffic.reaches(on.a, inner("b", 4))
    reload(on.client, KillSwitch="no")
    assert on.leaks(FAR[4])


def reload(end, **keys):
    end.tunnel.extra.update(keys)
    path = pathlib.Path(end._folder.name, f"{end.name}.conf")
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(end.tunnel.text())
    fresh.rename(path)
    seen = end.lines.count()
    end.process.send_signal(signal.SIGHUP)
    end.lines.wait(r": reloaded\b", seen)


def with_resolv_conf(end, text="nameserver 192.0.2.53\n"):
    """Let an end have /etc/resolv.conf as a mount of its own. Returns its path outside."""
    folder = pathlib.Path(ends.tempfile.mkdtemp(prefix=f"cv{os.getpid()}-"))
    path = folder / "resolv.conf"
    path.write_text(text)
    start = end._start

    def start_with_mount(argv, env):
        start(["unshare", "--mount", "--propagation", "private", "sh", "-c",
               'mount --bind "$0" /etc/resolv.conf && exec "$@"', path, *argv], env)
    end._start = start_with_mount
    return path


class NameServer(threading.Thread):
    """Answers every question for an address with one, over UDP."""

    def __init__(self, namespace, address, answer):
        super().__init__(daemon=True)
        self.asked = threading.Event()
        self._answer = socket.inet_aton(answer)
        self._socket = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                query, peer = self._socket.recvfrom(512)
                end = query.index(b"\0", 12) + 5
                kind = struct.unpack_from("!H", query, end - 4)[0]
                found = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + self._answer
                self._socket.sendto(query[:2] + struct.pack("!HHHHH", 0x8180, 1, kind == 1, 0, 0) +
                                    query[12:end] + found * (kind == 1), peer)
                self.asked.set()

    def close(self):
        self._socket.close()


def test_a_name_is_found_although_the_switch_stands_and_dns_is_closed_then(stage):
    """Also after a crash, when the switch was there before anybody asked."""
    on = stage()
    resolver = on.net.outer("r", 4, 1)
    NameServer(on.r, resolver, on.net.outer("b", 4))
    with_resolv_conf(on.client, f"nameserver {resolver}\n")
    on.client.tunnel.peers[0].endpoint = endpoint("vpn.example.com")
    on.up()
    assert not on.leaks(resolver, port=53)
    on.client.kill()
    on.client.start()
    on.client.until(lambda: traffic.reaches(on.a, inner("b", 4), count=1, wait_s=1), "it answers")
    assert not on.leaks(resolver, port=53)
