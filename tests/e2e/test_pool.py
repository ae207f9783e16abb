"""The server's half of handed-over configuration: who asks gets an address, and keeps it."""
import ipaddress
import pathlib
import signal

import inner
import pytest
from ends import Peer, new_key
from lab import inner as address
from stranger import meet
from wgmodel import GRANT, REQUEST, frame, grant_of

LEASES = pathlib.Path("/var/lib/convoy")
B4, B6 = address("b", 4), address("b", 6)
POOL = {"Pool": "10.77.0.0/24, fd77::/64"}
MORE = {"PoolDNS": "10.77.0.1, 2620:fe::fe", "PoolRoutes": "10.0.0.0/8, ::/0", "PoolMTU": "1380"}
NOTHING = {"addresses": [], "mtu": None, "dns": [], "routes": []}


def leases_of(convoy):
    return LEASES / f"{convoy.name}.leases"


@pytest.fixture
def served(lab):
    """meet() with a Pool and a peer without AllowedIPs, and no leases of an earlier run."""
    def serve(allowed=(), **kwargs):
        net = lab.net()
        file = LEASES / f"{net.label}b.leases"
        file.unlink(missing_ok=True)
        lab.own(lambda: file.unlink(missing_ok=True))
        return meet(lab, net, allowed=list(allowed), **{**POOL, **kwargs})
    return serve


def ask(stranger, session=None):
    """(session, what is granted)"""
    session = session or stranger.connect()
    stranger.send(session.seal(frame(REQUEST)))
    kind, options = stranger.receive_frame(session)
    assert kind == GRANT
    return session, grant_of(options)


def hosts(grant):
    return [str(ipaddress.ip_interface(each).ip) for each in grant["addresses"]]


def allowed_ips(convoy, number=0):
    said = convoy.namespace.run("wg", "show", convoy.name, "allowed-ips").stdout
    of = dict(line.split("\t") for line in said.splitlines())
    return set(of[convoy.tunnel.peers[number].public].split()) - {"(none)"}


def test_who_asks_gets_an_address_of_each_family_and_what_goes_with_it(served):
    stranger, convoy = served(**MORE)
    session, grant = ask(stranger)
    v4, v6 = map(ipaddress.ip_interface, grant["addresses"])
    assert v4 in ipaddress.ip_network("10.77.0.0/24") and v4.network.prefixlen == 24
    assert v6 in ipaddress.ip_network("fd77::/64") and v6.network.prefixlen == 64
    assert str(v4.ip) not in (B4, "10.77.0.0", "10.77.0.255", "10.77.0.1")
    assert (grant["mtu"], grant["dns"]) == (1380, ["10.77.0.1", "2620:fe::fe"])
    assert grant["routes"] == ["10.0.0.0/8", "::/0"]
    # And at once the addresses are its own.
    stranger.send(session.seal(inner.echo(str(v4.ip), B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session))


def test_the_lease_is_what_the_peer_may_send_from_and_every_tool_shows_it(served):
    stranger, convoy = served()
    assert not allowed_ips(convoy)
    _, grant = ask(stranger)
    assert allowed_ips(convoy) == {f"{hosts(grant)[0]}/32", f"{hosts(grant)[1]}/128"}


def test_it_is_kept_when_the_server_is_killed(served):
    stranger, convoy = served()
    _, before = ask(stranger)
    mine = allowed_ips(convoy)
    convoy.kill()
    convoy.start()
    assert allowed_ips(convoy) == mine, "before anybody asks"
    assert ask(stranger)[1] == before
