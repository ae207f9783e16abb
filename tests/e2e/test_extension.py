"""What two Convoys say to each other inside a session, and nobody else hears."""
import socket
import threading

import inner
import pytest
import traffic
import wgmodel
from ends import peer_of, poll
from lab import inner as address
from stranger import meet
from wgmodel import (AES256_GCM, ANSWER, CHACHA20_POLY1305, GOODBYE, HELLO, RESPONSE, choice,
                     frame, offer, options_of)

A4, B4 = address("a", 4), address("b", 4)
OFF = {"Extensions": "off"}
# A key is renewed after 120 s of the tunnel's clock: every 3 s of ours.
FAST = {"CONVOY_TEST_CLOCK": "40"}


def knows(end, what):
    return lambda: peer_of(end).get("extensions") == what


def test_two_convoys_find_each_other(lab, workers):
    net = lab.net()
    a, b = lab.pair(net, a=workers, b=workers)
    assert not any("extensions" in peer_of(end) for end in (a, b))
    assert traffic.reaches(net.a, B4)
    for end in (a, b):
        end.until(knows(end, "convoy"), "the other is a Convoy")
        # One to get acquainted, a probe each, and their echoes.
        stats = end.wait_stat("path.in_frames", 3)
        assert stats["path.out_frames"] >= 3
        assert not [name for name in stats if name.startswith("drop.") and stats[name]]


def test_wireguard_go_takes_no_notice(lab):
    net = lab.net()
    a, b = lab.pair(net, kinds=("convoy", "wireguard-go"), env=FAST)
    for sessions in range(1, 6):
        a.until(lambda: traffic.reaches(net.a, B4, count=1)
                and a.stats()["handshake.sessions"] >= sessions, "one more session")
    stats = a.stats()
    assert stats["path.out_frames"] == 3, "one a session, and then it is known"
    assert stats["path.in_frames"] == 0
    assert peer_of(a)["extensions"] == "foreign" and "path" not in peer_of(a)


@pytest.mark.parametrize("who", ["a", "b"])
def test_off_says_and_heeds_nothing(lab, who):
    net = lab.net()
    a, b = lab.pair(net, **{who: OFF})
    assert traffic.reaches(net.a, B4)
    off, other = (a, b) if who == "a" else (b, a)
    assert peer_of(off)["extensions"] == "off"
    assert "extensions" not in peer_of(other)
    assert a.stats()["path.out_frames"] == (who == "b")
    assert b.stats()["path.out_frames"] == 0
    assert off.stats()["drop.frame_unwanted"] == (who == "b")


def test_the_model_is_greeted_and_answers(lab, workers):
    net = lab.net()
    stranger, convoy = meet(lab, net, port=4000, **workers)
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"are you there", (A4, 9))
    session = stranger.answer()
    while (said := stranger.receive_frame(session)) is None:
        pass  # the datagram that waited
    assert said[0] == HELLO
    stranger.send(session.seal(frame(ANSWER, b"\x7f\x03new")))
    convoy.until(knows(convoy, "convoy"), "it has the answer")


def test_the_model_greets_and_is_answered(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()
    for options in (b"", b"\x7f\x03new"):
        stranger.send(session.seal(frame(HELLO, options)))
        assert stranger.receive_frame(session) == (ANSWER, choice(CHACHA20_POLY1305))
    assert peer_of(convoy)["extensions"] == "convoy"


def test_frames_that_say_nothing_are_counted(lab):
    stranger, convoy = meet(lab, lab.net())
    session = stranger.connect()
    invalid = [b"\xc1", b"\xc1\1\1\0", b"\xc1\1\3\0\x63\2x", b"\xc1\1\0\1",
               frame(HELLO, b"\1\4abcd"), frame(ANSWER, choice(99))]
    unknown = [b"\xcf" * 500, frame(0), frame(8), frame(255, b"\1\1x")]
    for text in invalid + unknown:
        stranger.send(session.seal(text, pad=False))
    stats = convoy.wait_stat("path.in_frames", len(invalid + unknown))
    assert stats["drop.frame_invalid"] == len(invalid)
    assert stats["drop.frame_unwanted"] == len(unknown)
    assert stats["path.out_frames"] == 0
    assert "extensions" not in peer_of(convoy)


def test_a_frame_is_no_reason_for_a_keepalive(lab):
    # Data that is not answered is, after 10 s; and data without an answer is a new handshake.
    stranger, convoy = meet(lab, lab.net(), env=FAST)
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO)))
    assert stranger.receive_frame(session) == (ANSWER, choice(CHACHA20_POLY1305))
    stranger.settle(session)
    assert stranger.is_quiet(), "15 s and more of its clock"
    stranger.send(session.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session))


def test_goodbye_ends_the_session_at_once(lab, workers):
    net = lab.net()
    a, b = lab.pair(net, a=workers, b=workers)
    assert traffic.reaches(net.a, B4)
    for end in (a, b):
        end.until(knows(end, "convoy"), "the other is a Convoy")
    b.stop()
    a.until(lambda: "sessionAge" not in peer_of(a), "the session is gone")
    b.start()
    # At once: no session that the other end forgot stands in the way.
    assert traffic.reaches(net.a, B4, count=1)
    assert a.stats()["handshake.sessions"] == 2


def test_goodbye_of_an_older_session_changes_nothing(lab):
    stranger, convoy = meet(lab, lab.net(), env=FAST)  # handshakes may come 0.5 ms apart
    old = stranger.connect()
    stranger.send(old.seal(frame(HELLO)))
    assert stranger.receive_frame(old) == (ANSWER, choice(CHACHA20_POLY1305))
    stranger.settle(old)
    new = stranger.connect()
    stranger.send(new.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(new))
    stranger.send(old.seal(frame(GOODBYE)))
    convoy.wait_stat("path.in_frames", 2)
    assert "sessionAge" in peer_of(convoy)
    stranger.send(new.seal(frame(GOODBYE)))
    poll(lambda: "sessionAge" not in peer_of(convoy), "that one does")


def test_goodbye_that_comes_late_leaves_the_session_that_waits(lab):
    stranger, convoy = meet(lab, lab.net(), env=FAST)
    old = stranger.connect()
    stranger.send(old.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(old))
    handshake = stranger.handshake()  # the end that said goodbye is back
    stranger.send(handshake.initiation())
    new = handshake.consume_response(stranger.receive(RESPONSE))
    stranger.send(old.seal(frame(GOODBYE)))
    convoy.wait_stat("path.in_frames", 1)
    stranger.send(new.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(new))


def test_an_end_that_stops_says_goodbye_to_convoys_only(lab):
    stranger, convoy = meet(lab, lab.net())
    session = stranger.connect()
    convoy.stop()
    assert stranger.is_quiet()
    convoy.start()
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO)))
    assert stranger.receive_frame(session) == (ANSWER, choice(CHACHA20_POLY1305))
    convoy.stop()
    assert stranger.receive_frame(session) == (GOODBYE, b"")
    assert stranger.is_quiet()


def test_an_end_that_says_no_more_says_no_goodbye(lab):
    stranger, convoy = meet(lab, lab.net())
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO)))
    assert stranger.receive_frame(session) == (ANSWER, choice(CHACHA20_POLY1305))
    stranger.receive_probe(session)
    convoy.tunnel.extra |= OFF
    convoy.reload()
    convoy.stop()
    assert stranger.is_quiet()


GCM = {"Ciphers": "AES-256-GCM"}
CHEAP, DEAR = 1, 1 << 20


def agreed(convoy):
    return lambda: peer_of(convoy).get("cipher") == "AES-256-GCM"


def test_the_model_offers_a_suite_and_it_is_used(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()
    hello = frame(HELLO, offer({CHACHA20_POLY1305: DEAR, AES256_GCM: CHEAP, 77: CHEAP}))
    for _ in range(2):  # the second time as if the answer was lost
        stranger.send(session.seal(hello))
        assert stranger.receive_frame(session) == (ANSWER, choice(AES256_GCM))
    # Until we use it, so that the answer surely came, nothing changes.
    stranger.send(session.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session)) and session.suite == 0
    assert "cipher" not in peer_of(convoy)
    stranger.send(session.seal(inner.echo(A4, B4), suite=AES256_GCM))
    assert inner.is_echo_reply(stranger.receive_packet(session)) and session.suite == AES256_GCM
    assert agreed(convoy)()
    # What was on its way is still good.
    stranger.send(session.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session)) and session.suite == AES256_GCM


def test_the_model_is_offered_a_suite_and_it_is_used(lab, workers):
    net = lab.net()
    stranger, convoy = meet(lab, net, port=4000, **workers, **GCM)
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"are you there", (A4, 9))
        session = stranger.answer()
        while (said := stranger.receive_frame(session)) is None:
            pass
        costs = options_of(said)[1]
        assert said[0] == HELLO and (len(costs), costs[0]) == (5, AES256_GCM)
        stranger.send(session.seal(frame(ANSWER, choice(AES256_GCM))))
        # At once, so that we know; then with all that follows.
        _, plain = session.open(stranger.receive(wgmodel.DATA))
        assert (plain, session.suite) == (b"", AES256_GCM)
        sock.sendto(b"and now", (A4, 9))
        assert b"and now" in stranger.receive_packet(session) and session.suite == AES256_GCM
    assert agreed(convoy)()
    stranger.send(session.seal(inner.echo(A4, B4), suite=AES256_GCM))
    assert inner.is_echo_reply(stranger.receive_packet(session))


@pytest.mark.parametrize("ciphers, costs, chosen", [
    ("auto", {CHACHA20_POLY1305: CHEAP, AES256_GCM: DEAR}, CHACHA20_POLY1305),
    ("auto", {CHACHA20_POLY1305: DEAR, AES256_GCM: CHEAP}, AES256_GCM),
    ("auto", {CHACHA20_POLY1305: DEAR}, CHACHA20_POLY1305),
    ("auto", {77: CHEAP}, CHACHA20_POLY1305),
    ("AES-256-GCM", {CHACHA20_POLY1305: CHEAP, AES256_GCM: DEAR}, AES256_GCM),
    ("AES-256-GCM", {CHACHA20_POLY1305: CHEAP}, CHACHA20_POLY1305),
    ("ChaCha20-Poly1305", {CHACHA20_POLY1305: DEAR, AES256_GCM: CHEAP}, CHACHA20_POLY1305),
    ("ChaCha20-Poly1305, AES-256-GCM", {CHACHA20_POLY1305: DEAR, AES256_GCM: CHEAP}, AES256_GCM)])
def test_the_cheapest_that_both_allow_is_chosen(lab, ciphers, costs, chosen):
    stranger, _ = meet(lab, lab.net(), Ciphers=ciphers)
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO, offer(costs))))
    assert stranger.receive_frame(session) == (ANSWER, choice(chosen))


@pytest.mark.parametrize("cipher", ["AEGIS-128L", "AEGIS-256"])
def test_aegis_is_used_by_those_who_have_it(lab, cipher):
    """It is libsodium's since 1.0.19; with an older one it is missed aloud."""
    net = lab.net()
    a, b = lab.pair(net, a={"Ciphers": cipher}, b={"Ciphers": cipher})
    assert traffic.reaches(net.a, B4)
    if f"this machine does not have {cipher}" not in a.said():
        for end in (a, b):
            end.until(lambda: peer_of(end).get("cipher") == cipher, f"{cipher} is used")
    traffic.Stream(net.a, net.b, B4).transfer(1 << 20)
    for end in (a, b):
        end.until(knows(end, "convoy"), "both are Convoys")
        assert peer_of(end).get("cipher") in (None, cipher)
        assert not lost(end)


def test_a_suite_that_nobody_chose_opens_nothing(lab):
    stranger, convoy = meet(lab, lab.net())
    session = stranger.connect()
    for suite in (AES256_GCM, 2, 255):
        stranger.send(session.seal(inner.echo(A4, B4), suite=suite))
    stats = convoy.wait_stat("drop.malformed", 3)
    assert stats["path.in_pkts"] == 0
    # And one that was not offered is not taken up.
    stranger.send(session.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session))


def test_an_answer_with_what_was_not_offered_is_refused(lab):
    stranger, convoy = meet(lab, lab.net(), Ciphers="ChaCha20-Poly1305")
    session = stranger.connect()
    stranger.send(session.seal(frame(ANSWER, choice(AES256_GCM))))
    convoy.wait_stat("drop.frame_invalid", 1)
    stranger.send(session.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session)) and session.suite == 0


def test_the_header_of_a_suites_message_is_authentic(lab):
    stranger, convoy = meet(lab, lab.net())
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO, offer({AES256_GCM: CHEAP, CHACHA20_POLY1305: DEAR}))))
    assert stranger.receive_frame(session) == (ANSWER, choice(AES256_GCM))
    message = bytearray(session.seal(inner.echo(A4, B4), suite=AES256_GCM))
    message[8] ^= 2  # the counter
    stranger.send(bytes(message))
    convoy.wait_stat("drop.auth_failed", 1)
    assert "cipher" not in peer_of(convoy), "nothing was confirmed"


def lost(end):
    """Drops, but for handshakes that crossed."""
    return {name: n for name, n in end.stats().items()
            if name.startswith("drop.") and not name.startswith("drop.handshake") and n}


def test_streams_run_across_the_switch_and_rekeys(lab, workers):
    net = lab.net(router=True)
    relay = lab.relay(net)
    a, b = lab.pair(net, relayed=True, env=FAST, a=workers | GCM, b=workers | GCM)
    stream, enough = traffic.Stream(net.a, net.b, B4), threading.Event()
    running = traffic.Workers()
    running.go(stream.move, lambda sent: not enough.is_set())
    try:
        a.until(lambda: relay.count("home", RESPONSE) >= 4, "four handshakes")
        a.until(agreed(a), "the suite is used")
        b.until(agreed(b), "by both")
    finally:
        enough.set()
    running.join()
    for end in (a, b):
        assert not lost(end)


@pytest.mark.parametrize("way", ["out", "home"], ids=["hello", "answer"])
def test_a_lost_frame_costs_the_suite_and_nothing_else(lab, way):
    # Frames cannot be told apart from outside: the first data messages of 48 bytes are they.
    net = lab.net(router=True)
    gone = []

    def lose(where, datagram):
        if where == way and datagram[0] == 4 and len(datagram) == 48 and not gone:
            gone.append(datagram)
            return ()
        return (datagram,)
    relay = lab.relay(net)
    relay.policy = lose
    a, b = lab.pair(net, relayed=True, a=GCM, b=GCM)
    assert traffic.reaches(net.a, B4)
    assert gone
    traffic.Stream(net.a, net.b, B4).transfer(1 << 20)
    for end in (a, b):
        assert "cipher" not in peer_of(end)
        assert not lost(end)
