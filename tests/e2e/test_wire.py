"""What strangers and unlucky wires send: everything is counted under its reason, nothing else.

The other end is driven by hand (tests/support/wgmodel.py), or stands behind a relay.
"""
import itertools
import os
import random
import socket
import struct

import inner
import pytest
import traffic
import wgmodel
from ends import Peer, new_key
from lab import inner as address
from stranger import meet
from wgmodel import COOKIE, DATA, INITIATION, RESPONSE

SO_RCVBUFFORCE = 33  # linux/socket.h

A4, B4, A6, B6 = (address(name, family) for family in (4, 6) for name in "ab")


def drops(stats):
    return {name: n for name, n in stats.items() if name.startswith("drop.") and n}


def is_served(stranger, session, sequence):
    """The session carries an echo there and back."""
    stranger.send(session.seal(inner.echo(A4, B4, sequence)))
    return inner.is_echo_reply(stranger.receive_packet(session), sequence)


@pytest.mark.parametrize("psk", [False, True], ids=["no_psk", "psk"])
@pytest.mark.parametrize("family", [4, 6], ids=["over_v4", "over_v6"])
def test_the_model_initiates_and_is_answered(lab, workers, family, psk):
    stranger, convoy = meet(lab, lab.net(), family, psk, **workers)
    session = stranger.connect()
    for echo in (inner.echo(A4, B4), inner.echo(A6, B6)):
        stranger.send(session.seal(echo))
        answer = stranger.receive_packet(session)
        assert inner.is_echo_reply(answer) and len(answer) % 16 == 0
    assert not drops(convoy.stats())


def test_the_model_is_called_and_answers(lab, workers):
    net = lab.net()
    stranger, convoy = meet(lab, net, port=4000, **workers)
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"are you there", (A4, 9))
        session = stranger.answer()
        assert b"are you there" in stranger.receive_packet(session)
        stranger.send(session.seal(inner.udp(A4, B4, 9, sock.getsockname()[1], b"I am")))
        assert sock.recv(100) == b"I am"


def test_the_first_packet_of_a_new_session_is_answered_under_it(lab, workers):
    # As after a restart: the old session is still good for us, and gone at the other end.
    stranger, convoy = meet(lab, lab.net(), **workers)
    assert is_served(stranger, stranger.connect(), 1)
    handshake = stranger.handshake()
    stranger.send(handshake.initiation())
    while not stranger.has_news():  # not sooner than 20 ms after the last one
        handshake = stranger.handshake()
        stranger.send(handshake.initiation())
    session = handshake.consume_response(stranger.receive(RESPONSE))
    for sequence in range(2, 5):
        assert is_served(stranger, session, sequence)


def test_full_packets_are_padded_to_the_mtu_and_no_further(lab):
    net = lab.net()
    stranger, _ = meet(lab, net, MTU=1411)
    session = stranger.connect()
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for size in (0, 1, 3, 4, 5, 1372, 1373, 1382, 1383):
            sock.sendto(bytes(size), (A4, 9))
            packet = stranger.receive_packet(session)
            assert len(packet) == min(1411, -(-(28 + size) // 16) * 16)
            assert not any(packet[28 + size:])


def test_garbage_of_all_types_and_lengths_is_counted_and_nothing_else_happens(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()
    assert is_served(stranger, session, 1)
    before, rng = convoy.stats(), random.Random(1)
    sizes = [*range(0, 200), *rng.sample(range(200, 65507), 100), 65507]
    garbage = [bytes([rng.randrange(256)]) * bool(size) + rng.randbytes(max(0, size - 1))
               for size in sizes]
    garbage += [bytes([kind, 0, 0, 0]) + rng.randbytes(size)
                for kind in (*range(0, 8), 255)
                for size in (0, 28, 27, 29, 60, 88, 87, 89, 144, 143, 145, 1400)]
    garbage += [bytes([kind, *reserved]) + rng.randbytes(size - 4)
                for kind, size in ((1, 148), (2, 92), (3, 64), (4, 48))
                for reserved in ((1, 0, 0), (0, 1, 0), (0, 0, 255))]
    for sent, datagram in enumerate(garbage):
        stranger.send(datagram)
        if sent % 16 == 0:  # nothing may be lost in the socket: the count must be exact
            convoy.wait_stat("udp.receive_datagrams",
                             before["udp.receive_datagrams"] + sent + 1)

    def counted():
        return sum(drops(convoy.stats()).values()) - sum(drops(before).values())

    convoy.until(lambda: counted() >= len(garbage), "every one is counted")
    after = convoy.stats()
    assert counted() == len(garbage), drops(after)
    assert after["tun.write_calls"] == before["tun.write_calls"]
    assert after["udp.send_datagrams"] == before["udp.send_datagrams"]
    assert stranger.is_quiet()
    assert is_served(stranger, session, 2)


def bad_initiations(stranger):
    """(message, reason) of everything that can be wrong with an initiation."""
    good = stranger.handshake().initiation
    message = good()
    wrong_mac = message[:116] + bytes([message[116] ^ 1]) + message[117:]
    yield wrong_mac, "handshake_mac"
    broken = bytearray(message[:-32])
    broken[60] ^= 1
    yield wgmodel.with_macs(bytes(broken), stranger.their_public), "handshake_invalid"
    yield good(dishonest_ephemeral=bytes(32)), "handshake_invalid"
    yield good(dishonest_ephemeral=b"\1" + bytes(31)), "handshake_invalid"
    unknown = wgmodel.Handshake(wgmodel.new_private(), stranger.their_public)
    yield unknown.initiation(), "handshake_peer"


def test_bad_initiations_are_counted_by_reason_and_not_answered(lab):
    stranger, convoy = meet(lab, lab.net())
    for message, reason in bad_initiations(stranger):
        before = convoy.stats()[f"drop.{reason}"]
        stranger.send(message)
        convoy.wait_stat(f"drop.{reason}", before + 1)
    assert stranger.is_quiet()
    assert is_served(stranger, stranger.connect(), 1)


def test_an_initiation_with_an_old_timestamp_is_a_replay(lab):
    stranger, convoy = meet(lab, lab.net(), env={"CONVOY_TEST_CLOCK": "20"})
    session = stranger.connect(timestamp=wgmodel.tai64n(2000))
    for unix in (2000, 1999):
        before = convoy.stats()
        stranger.send(stranger.handshake().initiation(wgmodel.tai64n(unix)))
        convoy.until(lambda: drops(convoy.stats()) != drops(before), "it is counted")
        after = drops(convoy.stats())
        assert after.get("drop.handshake_replay", 0) + after.get("drop.handshake_flood", 0) > 0
    convoy.until(lambda: _replayed(stranger, convoy), "counted as a replay, not as a flood")
    assert is_served(stranger, session, 1)


def _replayed(stranger, convoy):
    stranger.send(stranger.handshake().initiation(wgmodel.tai64n(1998)))
    return convoy.stats()["drop.handshake_replay"] > 0


def test_initiations_too_soon_after_each_other_are_a_flood(lab):
    stranger, convoy = meet(lab, lab.net())
    sent = 0
    while convoy.stats()["drop.handshake_flood"] == 0:
        assert sent < 1000
        for _ in range(10):
            sent += 1
            stranger.send(stranger.handshake().initiation(wgmodel.tai64n(3000 + sent)))


def test_a_response_or_cookie_that_nobody_asked_for_is_counted(lab):
    stranger, convoy = meet(lab, lab.net())
    session = stranger.connect()
    public = stranger.their_public
    response = wgmodel.with_macs(struct.pack("<III", RESPONSE, 1, 2) + os.urandom(48), public)
    stranger.send(response)
    convoy.wait_stat("drop.handshake_index", 1)
    stranger.send(struct.pack("<II", COOKIE, 3) + os.urandom(56))
    convoy.wait_stat("drop.handshake_index", 2)
    assert is_served(stranger, session, 1)


def test_data_that_does_not_verify_is_counted_by_reason(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()
    message = session.seal(inner.echo(A4, B4, 7))
    unknown = message[:4] + struct.pack("<I", session.remote_index ^ 1) + message[8:]
    forged = message[:-1] + bytes([message[-1] ^ 1])
    moved = message[:8] + struct.pack("<Q", session.counter + 5) + message[16:]
    for datagram, reason in ((unknown, "unknown_index"), (forged, "auth_failed"),
                             (moved, "auth_failed")):
        before = convoy.stats()[f"drop.{reason}"]
        stranger.send(datagram)
        convoy.wait_stat(f"drop.{reason}", before + 1)
    # None of them has spent the counter, and the window has not moved.
    stranger.send(message)
    assert inner.is_echo_reply(stranger.receive_packet(session), 7)


def test_a_counter_is_taken_once_and_late_ones_within_the_window(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()

    def arrives(counter):
        stranger.send(session.seal(inner.echo(A4, B4, counter & 0xFFFF), counter=counter))
        return inner.is_echo_reply(stranger.receive_packet(session), counter & 0xFFFF)

    def is_refused(counter):
        before = convoy.stats()["drop.replay"]
        stranger.send(session.seal(inner.echo(A4, B4), counter=counter))
        return convoy.wait_stat("drop.replay", before + 1)

    assert arrives(5) and is_refused(5) and arrives(4) and is_refused(4)
    assert arrives(20000) and is_refused(20000)
    assert arrives(20000 - 8000) and is_refused(20000 - 8000)
    assert is_refused(20000 - 8300) and is_refused(6)
    assert arrives(20001)
    stats = convoy.stats()
    assert drops(stats) == {"drop.replay": stats["drop.replay"]}
    assert stranger.is_quiet()


def test_only_authentic_new_datagrams_move_the_endpoint(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()
    assert is_served(stranger, session, 1)
    with stranger.new_socket() as elsewhere:
        seen = session.seal(inner.echo(A4, B4, 2))
        stranger.send(seen)
        assert inner.is_echo_reply(stranger.receive_packet(session), 2)
        forged = bytearray(session.seal(inner.echo(A4, B4, 3)))
        forged[-1] ^= 1
        for datagram, reason in ((seen, "drop.replay"), (bytes(forged), "drop.auth_failed")):
            stranger.send(datagram, elsewhere)
            convoy.wait_stat(reason, 1)
        assert is_served(stranger, session, 4)
        assert stranger.is_quiet(elsewhere)
        stranger.send(session.seal(inner.echo(A4, B4, 5)), elsewhere)
        _, answer = session.open(stranger.receive(DATA, elsewhere))
        assert inner.is_echo_reply(answer, 5)


def inner_lies():
    """(inner bytes, reason): authentic, but no packet that may pass."""
    echo4, echo6 = inner.echo(A4, B4), inner.echo(A6, B6)
    yield b"\0" * 32, "inner_not_ip"
    yield b"\x75" + echo4[1:], "inner_not_ip"
    yield echo4[:19], "inner_not_ip"
    yield echo6[:39], "inner_not_ip"
    yield inner.ip(A4, B4, 17, b"x" * 8, length=19), "inner_not_ip"
    yield inner.ip(A4, B4, 17, b"x" * 8, length=2000), "inner_not_ip"
    yield inner.ip(A6, B6, 17, b"x" * 8, length=2000), "inner_not_ip"
    yield inner.ip(A6, B6, 17, b"x" * 8, length=65535), "inner_not_ip"
    yield inner.echo("10.99.0.1", B4), "source_not_allowed"
    yield inner.echo("fd99::1", B6), "source_not_allowed"
    # Inside what this peer may use, but another peer has it as a longer prefix.
    yield inner.echo("10.77.0.3", B4), "source_not_allowed"
    yield inner.echo("fd77::3", B6), "source_not_allowed"


def test_inner_packets_that_lie_are_counted_and_not_delivered(lab, workers):
    other = Peer(new_key()[1], ["10.77.0.3/32", "fd77::3/128"])
    stranger, convoy = meet(lab, lab.net(), allowed=["10.77.0.0/24", "fd77::/64"], others=[other],
                            **workers)
    session = stranger.connect()
    written = convoy.stats()["tun.write_calls"]
    for lie, reason in inner_lies():
        before = convoy.stats()[f"drop.{reason}"]
        stranger.send(session.seal(lie, pad=False))
        convoy.wait_stat(f"drop.{reason}", before + 1)
    assert convoy.stats()["tun.write_calls"] == written
    assert is_served(stranger, session, 1)


def test_packets_may_be_unpadded_or_trail_anything(lab):
    stranger, convoy = meet(lab, lab.net())
    session = stranger.connect()
    for number, (echo, tail) in enumerate(itertools.product(
            (inner.echo(A4, B4, 9), inner.echo(A6, B6, 9)), (b"", b"x", b"trailing" * 40))):
        stranger.send(session.seal(echo + tail, pad=False))
        assert inner.is_echo_reply(stranger.receive_packet(session), 9), number
    assert not drops(convoy.stats())


def test_under_load_a_cookie_is_asked_for_and_lets_in(lab):
    stranger, convoy = meet(lab, lab.net())
    # Not to be told from honest ones before the static key is decrypted.
    flood = [wgmodel.Handshake(wgmodel.new_private(), stranger.their_public).initiation()
             for _ in range(64)]
    burst = b"".join(flood[:40])  # one send, forty datagrams
    # All are from one source, and each of a burst may be answered.
    stranger.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    stranger.socket.setsockopt(socket.IPPROTO_UDP, traffic.UDP_SEGMENT, 148)
    for _ in range(1000):
        for _ in range(25):
            stranger.send(burst)
        if convoy.stats()["handshake.cookies_sent"]:
            break
    stranger.socket.setsockopt(socket.IPPROTO_UDP, traffic.UDP_SEGMENT, 0)
    assert convoy.stats()["drop.handshake_cookie"] > 0
    reply = stranger.receive(COOKIE)
    asked = next(m for m in flood if wgmodel.sender_index(m) == wgmodel.sender_index(reply))
    cookie = wgmodel.cookie_from(stranger.their_public, asked, reply)
    handshake = stranger.handshake()
    stranger.send(handshake.initiation(cookie=cookie))
    session = handshake.consume_response(stranger.receive(RESPONSE))
    stranger.send(session.seal())
    assert is_served(stranger, session, 1)


def test_a_cookie_that_was_asked_of_us_is_in_the_next_initiation(lab):
    net = lab.net()
    stranger, _ = meet(lab, net, port=4000, env={"CONVOY_TEST_CLOCK": "20"})
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"are you there", (A4, 9))
        first = stranger.receive(INITIATION)
        assert first[-16:] == bytes(16)
        cookie = os.urandom(16)
        stranger.send(wgmodel.cookie_reply(wgmodel.public_of(stranger.private), first, cookie))
        second = stranger.receive(INITIATION)
        assert second[-16:] == wgmodel.mac128(cookie, second[:-16])
        assert b"are you there" in stranger.receive_packet(_respond(stranger, second))


def _respond(stranger, initiation):
    handshake = stranger.handshake()
    assert handshake.consume_initiation(initiation) == stranger.their_public
    stranger.send(handshake.response())
    return handshake.session


def test_initiations_of_one_daemon_carry_rising_timestamps(lab):
    net = lab.net()
    stranger, _ = meet(lab, net, port=4000, env={"CONVOY_TEST_CLOCK": "20"})
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"are you there", (A4, 9))
        stamps = []
        for _ in range(4):
            handshake = stranger.handshake()
            handshake.consume_initiation(stranger.receive(INITIATION))
            stamps.append(handshake.timestamp)
            assert int.from_bytes(handshake.timestamp[-3:], "big") == 0, "not whitened"
    assert stamps == sorted(set(stamps))


# A wire that loses, repeats, reorders and corrupts, and a TCP stream that must not notice.

class BadWire:
    """Every so many datagrams something happens to one; seeded."""

    def __init__(self, seed):
        self._rng, self._held, self.done = random.Random(seed), {"out": [], "home": []}, {}

    def __call__(self, way, datagram):
        fate = self._rng.choices(("pass", "lose", "twice", "late", "spoil"), (90, 1, 3, 3, 3))[0]
        if wgmodel.message_type(datagram) != DATA:
            fate = "pass"
        self.done[fate] = self.done.get(fate, 0) + 1
        late, self._held[way] = self._held[way], []
        if fate == "late":
            self._held[way] = [datagram]
            return late
        if fate == "spoil":
            at = self._rng.randrange(16, len(datagram))
            spoilt = bytearray(datagram)
            spoilt[at] ^= 1 << self._rng.randrange(8)
            return [bytes(spoilt), datagram, *late]
        return {"pass": [datagram], "lose": [], "twice": [datagram] * 2}[fate] + late


def test_a_stream_survives_a_bad_wire_and_each_evil_is_counted(lab, workers):
    net = lab.net(router=True)
    relay = lab.relay(net)
    a, b = lab.pair(net, relayed=True, a=workers, b=workers)
    relay.policy = BadWire(seed=1)
    traffic.Stream(net.a, net.b, address("b", 4)).transfer(8 << 20)
    done = relay.policy.done
    assert min(done.get(fate, 0) for fate in ("lose", "twice", "late", "spoil")) > 0

    def both(name):
        return a.stats()[name] + b.stats()[name]

    a.until(lambda: both("drop.replay") == done["twice"], f"replays are {done}")
    a.until(lambda: both("drop.auth_failed") == done["spoil"], f"forgeries are {done}")
    assert set(drops(a.stats())) | set(drops(b.stats())) == {"drop.replay", "drop.auth_failed"}


def test_a_recorded_conversation_played_again_is_counted_and_does_nothing(lab):
    net = lab.net(router=True)
    relay = lab.relay(net, record=True)
    a, b = lab.pair(net, relayed=True)
    assert traffic.reaches(net.a, address("b", 4), count=20)
    tape, before = list(relay.tape), b.stats()
    data = [datagram for way, datagram in tape if way == "out" and datagram[0] == DATA]
    assert len(data) >= 20
    for datagram in data:
        relay.inject("out", datagram)
    after = b.wait_stat("drop.replay", before["drop.replay"] + len(data))
    assert after["drop.replay"] == before["drop.replay"] + len(data)
    assert after["tun.write_calls"] == before["tun.write_calls"]
    first = next(datagram for way, datagram in tape if datagram[0] == INITIATION)
    relay.inject("out", first)
    b.wait_stat("drop.handshake_replay", 1)
    assert traffic.reaches(net.a, address("b", 4))
