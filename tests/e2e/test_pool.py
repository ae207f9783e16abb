"""The server's half of handed-over configuration: who asks gets an address, and keeps it."""
import base64
import ipaddress
import pathlib

import inner
import pytest
import wgmodel
from ends import Peer, new_key, poll
from lab import inner as address
from stranger import Stranger, meet, raw
from wgmodel import GRANT, REQUEST, frame, grant_of, leased

LEASES = pathlib.Path("/var/lib/convoy")
B4 = address("b", 4)
POOL = {"Pool": "10.77.0.0/24, fd77::/64"}
MORE = {"PoolDNS": "10.77.0.1, 2620:fe::fe", "PoolRoutes": "10.0.0.0/8, ::/0", "PoolMTU": "1380"}
NOTHING = {"addresses": [], "mtu": None, "dns": [], "routes": []}
# Who asks again is heard after 0.5 s of the tunnel's clock: 12 ms of ours.
FAST = {"CONVOY_TEST_CLOCK": "40"}


@pytest.fixture
def served(lab):
    """meet() with a Pool and a peer without AllowedIPs, and no leases of an earlier run."""
    def serve(allowed=(), before=None, **kwargs):
        net = lab.net()
        file = LEASES / f"{net.label}b.leases"
        file.unlink(missing_ok=True)
        lab.own(lambda: file.unlink(missing_ok=True))
        return meet(lab, net, allowed=list(allowed), env=FAST, **{**POOL, **kwargs})
    return serve


def leases_of(convoy):
    return LEASES / f"{convoy.name}.leases"


def request(stranger, session):
    stranger.send(session.seal(frame(REQUEST)))


def hear(stranger, session):
    """What is granted next; None when nothing is."""
    while stranger.has_news():
        _, plain = session.open(stranger.receive(wgmodel.DATA))
        said = wgmodel.frame_of(plain)
        if said and said[0] == GRANT:
            return grant_of(said[1])
    return None


def ask(stranger, session=None):
    """(session, what is granted)"""
    session = session or stranger.connect()
    for _ in range(10):
        request(stranger, session)
        if grant := hear(stranger, session):  # else it came too soon
            return session, grant
    raise AssertionError("nobody answers")


def hosts(grant):
    return [str(ipaddress.ip_interface(each).ip) for each in grant["addresses"]]


def routes(grant):
    return {f"{host}/{128 if ':' in host else 32}" for host in hosts(grant)}


def allowed_ips(convoy, number=0):
    said = convoy.namespace.run("wg", "show", convoy.name, "allowed-ips").stdout
    of = dict(line.split("\t") for line in said.splitlines())
    return set(of[convoy.tunnel.peers[number].public].split()) - {"(none)"}


def said(convoy, pattern):
    return [line for line in convoy.lines.since(0) if pattern in line]


def test_who_asks_gets_an_address_of_each_family_and_what_goes_with_it(served):
    stranger, convoy = served(**MORE)
    session, grant = ask(stranger)
    v4, v6 = map(ipaddress.ip_interface, grant["addresses"])
    assert v4 in ipaddress.ip_network("10.77.0.0/24") and v4.network.prefixlen == 24
    assert str(v4.ip) not in (B4, "10.77.0.0", "10.77.0.255", "10.77.0.1")
    assert str(v6) == leased(wgmodel.public_of(stranger.private), "fd77::/64") + "/64"
    assert (grant["mtu"], grant["dns"]) == (1380, ["10.77.0.1", "2620:fe::fe"])
    assert grant["routes"] == ["10.0.0.0/8", "::/0"]
    # And at once the addresses are its own.
    stranger.send(session.seal(inner.echo(str(v4.ip), B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session))


def test_a_fenced_server_does_so_too(lab, served, plain):
    """With seccomp, which a build with sanitizers leaves out."""
    lab.binary = plain
    stranger, convoy = served()
    _, grant = ask(stranger)
    assert allowed_ips(convoy) == routes(grant)
    assert grant["mtu"] == 1420 and not said(convoy, "warn")


def test_the_lease_is_the_peers_and_nobody_elses_to_send_from(served):
    key = new_key()
    stranger, convoy = served(others=[Peer(key[1], [])])
    assert not allowed_ips(convoy)
    _, grant = ask(stranger)
    assert allowed_ips(convoy) == routes(grant)
    other = Stranger(stranger.host, stranger.here, stranger.there, raw(key[0]),
                     stranger.their_public)
    session, others = ask(other)
    assert len(set(hosts(grant) + hosts(others))) == 4
    other.send(session.seal(inner.echo(hosts(grant)[0], B4)))
    convoy.wait_stat("drop.source_not_allowed", 1)
    other.send(session.seal(inner.echo(hosts(others)[0], B4)))
    assert inner.is_echo_reply(other.receive_packet(session))


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
def test_it_is_the_same_after_a_kill_with_the_file_and_without(served, lost):
    stranger, convoy = served()
    _, before = ask(stranger)
    convoy.kill()
    if lost:
        leases_of(convoy).unlink()
    convoy.start()
    assert allowed_ips(convoy) == (set() if lost else routes(before)), "before anybody asks"
    assert ask(stranger)[1] == before


def test_an_address_that_the_file_names_is_handed_over(served):
    stranger, convoy = served(allowed=["10.77.0.9/32", "fd77::40/124", "10.0.0.0/8"])
    _, grant = ask(stranger)
    assert grant["addresses"] == ["10.77.0.9/24"], "of IPv6 it has some, and nobody knows which"
    assert not leases_of(convoy).exists()


def test_without_a_pool_there_is_nothing(served):
    stranger, convoy = served(Pool=None)
    assert ask(stranger)[1] == NOTHING
    assert convoy.stats()["handover.grants_empty"] == 1
    assert not leases_of(convoy).exists()


def test_a_full_pool_is_told_once_and_refuses(served):
    # .1 is the other peer's, .2 our own.
    stranger, convoy = served(others=[Peer(new_key()[1], ["10.77.0.1/32"])], Pool="10.77.0.0/30")
    session, grant = ask(stranger)
    assert grant == ask(stranger, session)[1] == NOTHING
    assert convoy.stats()["handover.grants_empty"] == 2
    assert len(said(convoy, "no address is free in Pool")) == 1


def test_what_wg_gave_to_another_is_not_handed_over(served):
    other = new_key()[1]
    stranger, convoy = served(others=[Peer(other, [])])
    first = leased(wgmodel.public_of(stranger.private), "fd77::/64")
    convoy.namespace.run("wg", "set", convoy.name, "peer", other, "allowed-ips", f"{first}/128")
    _, grant = ask(stranger)
    assert hosts(grant)[1] == str(ipaddress.ip_address(first) + 1)
    assert allowed_ips(convoy, 1) == {f"{first}/128"}


def test_who_asks_too_often_is_not_heard(lab, served):
    stranger, convoy = served()
    session = stranger.connect()
    for _ in range(200):
        request(stranger, session)
    stats = convoy.wait_stat("drop.frame_rate", 100)
    assert 0 < stats["handover.grants"] <= 100


def test_a_reload_keeps_leases_and_is_no_change(served):
    stranger, convoy = served()
    session, grant = ask(stranger)
    convoy.reload()
    assert said(convoy, "reloaded: peers 0 added, 0 removed, 0 changed")
    assert allowed_ips(convoy) == routes(grant)
    assert hear(stranger, session) == grant, "it is told again"


def test_a_reload_that_gives_the_address_away_moves_the_lease(served):
    other = new_key()[1]
    stranger, convoy = served(others=[Peer(other, [])])
    session, grant = ask(stranger)
    convoy.tunnel.peers[1].allowed = [f"{hosts(grant)[0]}/32"]
    convoy.tunnel.extra["PoolMTU"] = 1300
    convoy.reload()
    told = hear(stranger, session)
    assert told["mtu"] == 1300 and hosts(told)[0] != hosts(grant)[0]
    assert hosts(told)[1] == hosts(grant)[1]
    assert allowed_ips(convoy) == routes(told)
    assert allowed_ips(convoy, 1) == {f"{hosts(grant)[0]}/32"}


def test_a_pool_that_comes_with_a_reload_waits_for_the_next_start(served):
    stranger, convoy = served(Pool=None)
    convoy.tunnel.extra |= POOL
    convoy.reload()
    assert ask(stranger)[1] == NOTHING


def test_a_pool_that_goes_with_a_reload_takes_its_leases_along(served):
    stranger, convoy = served()
    session, grant = ask(stranger)
    convoy.tunnel.extra["Pool"] = "10.77.0.0/24"
    convoy.reload()
    assert hosts(hear(stranger, session)) == hosts(grant)[:1]
    assert allowed_ips(convoy) == {f"{hosts(grant)[0]}/32"}


def test_a_file_of_lies_is_refused_line_by_line(served):
    stranger, convoy = served()
    public = base64.b64encode(wgmodel.public_of(stranger.private)).decode()
    convoy.stop()
    lies = [b"\xff\x00" * 500, b"", b"key 10.77.0.3 -", f"{new_key()[1]} fd77::1 -".encode()] * 5
    leases_of(convoy).write_bytes(b"\n".join(
        lies + [f"{public} 10.77.0.66 fd77::66".encode(),
                f"{new_key()[1]} 10.77.0.66 fd77::67".encode(), b"cut short"]))
    convoy.start()
    assert allowed_ips(convoy) == {"10.77.0.66/32", "fd77::66/128"}
    assert len(said(convoy, ", ignoring")) == 11 and said(convoy, "12 more such lines")
    assert hosts(ask(stranger)[1]) == ["10.77.0.66", "fd77::66"]


def test_a_file_that_cannot_be_read_is_not_overwritten(served):
    stranger, convoy = served(allowed=["fd77::7/128"])
    convoy.stop()
    leases_of(convoy).mkdir()
    try:
        convoy.start()
        assert said(convoy, "no new address is handed over until the next start")
        session = stranger.connect()
        request(stranger, session)
        convoy.wait_stat("path.in_frames", 1)
        assert not hear(stranger, session)
    finally:
        leases_of(convoy).rmdir()


def test_what_cannot_be_written_is_not_handed_over(served):
    stranger, convoy = served()
    in_the_way = LEASES / f"{convoy.name}.leases.new"
    in_the_way.mkdir()
    try:
        session = stranger.connect()
        for frames in (1, 2):
            request(stranger, session)
            convoy.wait_stat("path.in_frames", frames)
            assert not hear(stranger, session)
        convoy.reload()
        assert not allowed_ips(convoy), "nor does it become a route"
        assert len(said(convoy, "clients get no new address")) == 1
    finally:
        in_the_way.rmdir()
    _, grant = ask(stranger, session)
    assert allowed_ips(convoy) == routes(grant)
    assert (leases_of(convoy).stat().st_mode & 0o777, LEASES.stat().st_mode & 0o777) == (0o600, 0o700)


def test_peer_add_leaves_leases_alone(served):
    stranger, convoy = served(Pool="10.77.0.0/29, fd77::/64")
    _, grant = ask(stranger)
    taken = {B4, hosts(grant)[0]}
    file = convoy._file
    for name in "xyz":
        convoy.namespace.run(convoy.binary, "peer", "add", name, "--tunnel", file, "--endpoint",
                             "192.0.2.1:1")
    text = file.read_text()
    added = {host for host in (f"10.77.0.{n}" for n in range(256)) if f" {host}/32" in text}
    assert len(added) == 3 and not added & taken


PEERS, ASKING = 1000, 10


def test_a_thousand_peers_keep_theirs_and_more_come(served):
    keys = [wgmodel.new_private() for _ in range(PEERS)]
    public = [wgmodel.public_of(key) for key in keys]
    text = [base64.b64encode(each).decode() for each in public]
    had = {leased(each, "fd77::/64") for each in public[ASKING:]}
    stranger, convoy = served(others=[Peer(each, []) for each in text], Pool="fd77::/64")
    convoy.stop()
    leases_of(convoy).write_text("".join(
        f"{one} - {leased(each, 'fd77::/64')}\n" for one, each in zip(text, public[ASKING:])))
    convoy.start()
    found = set()
    for key in keys[:ASKING]:
        asking = Stranger(stranger.host, stranger.here, stranger.there, key,
                          stranger.their_public)
        found |= set(hosts(ask(asking)[1]))
        asking.socket.close()
