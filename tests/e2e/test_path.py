"""The path between two Convoys: probes while data flows, and what their echoes tell."""
import socket
import time

import inner
import pytest
import traffic
from ends import peer_of
from lab import inner as address
from stranger import meet
from wgmodel import ANSWER, DATA, ECHO, HELLO, PROBE, frame, frame_of, mark_of, marked

A4, B4 = address("a", 4), address("b", 4)
# Of the tunnel's clock: a probe each 25 ms of ours while data flows.
FAST = {"CONVOY_TEST_CLOCK": "40"}
SMALLEST, TUN_MTU = 48, 1420


def acquaint(stranger):
    """A session in which both know that the other is a Convoy; its first probe is left unread."""
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO)))
    assert stranger.receive_frame(session)[0] == ANSWER
    return session


def send_probe(stranger, session, number, size=SMALLEST, **said):
    text = frame(PROBE, marked(number, **said))
    stranger.send(session.seal(text + bytes(size - len(text)), pad=False))


def ping(stranger, session):
    """Data, there and back."""
    stranger.send(session.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session))


def path_of(convoy):
    return peer_of(convoy)["path"]


def lost(way):
    return way.get("expected", 0) - way.get("accepted", 0)


def test_the_first_probe_comes_at_once_and_tells_what_came(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()
    session.counter += 3  # lost on the way
    stranger.send(session.seal(frame(HELLO)))
    assert stranger.receive_frame(session)[0] == ANSWER
    probe, size = stranger.receive_probe(session)
    # A keepalive and a hello, of five numbers.
    assert (probe.accepted, probe.expected, size) == (2, 5, TUN_MTU)
    assert not any(convoy.wait_stat("path.in_frames", 2)[name]
                   for name in ("drop.frame_unwanted", "drop.frame_invalid"))


def test_probes_go_on_while_data_flows_and_end_with_it(lab, workers):
    net = lab.net()
    stranger, _ = meet(lab, net, env=FAST, **workers)
    session = acquaint(stranger)
    stranger.settle(session)
    numbers = []
    for _ in range(2):
        ping(stranger, session)
        numbers.append(stranger.receive_probe(session)[0].number)
        stranger.settle(session)
    assert numbers[0] < numbers[1]
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((B4, 9))
        stranger.send(session.seal(inner.udp(A4, B4, 9, 9, b"no answer")))
        assert stranger.receive_probe(session)[0].number > numbers[1], "for what comes in, too"
    stranger.settle(session)


def test_a_probe_is_echoed_whatever_its_size(lab):
    stranger, _ = meet(lab, lab.net())
    session = acquaint(stranger)
    for n, size in enumerate([48, 49, 64, 300, 1420, 1500]):
        send_probe(stranger, session, 77 + n, size)
        _, plain = session.open(stranger.receive(DATA))
        while frame_of(plain)[0] != ECHO:
            _, plain = session.open(stranger.receive(DATA))
        echo = mark_of(frame_of(plain))
        assert (echo.number, echo.probed, len(plain)) == (77 + n, size, SMALLEST)
        assert (echo.accepted, echo.expected) == (3 + n, 3 + n)


def test_a_probe_shorter_than_its_echo_gets_none(lab):
    stranger, convoy = meet(lab, lab.net())
    session = acquaint(stranger)
    send_probe(stranger, session, 1, SMALLEST - 1)
    convoy.wait_stat("drop.frame_unwanted", 1)
    send_probe(stranger, session, 2)
    assert mark_of(stranger.receive_frame(session)).number == 2


def test_too_many_probes_are_not_answered(lab):
    stranger, convoy = meet(lab, lab.net())
    session = acquaint(stranger)
    stranger.receive_probe(session)
    many = 300
    for number in range(many):
        send_probe(stranger, session, number)
    stats = convoy.wait_stat("path.in_frames", 2 + many)
    echoes = stats["path.out_frames"] - 2
    assert 20 <= echoes < many
    assert stats["drop.frame_unwanted"] == many - echoes


def test_probes_go_under_the_session_that_is_in_use(lab):
    stranger, _ = meet(lab, lab.net(), env=FAST)
    old = acquaint(stranger)
    stranger.settle(old)
    new = stranger.connect()
    ping(stranger, new)
    probe, _ = stranger.receive_probe(new)
    assert (probe.accepted, probe.expected) == (2, 2), "of this session"


def test_only_the_first_echo_of_a_probe_counts(lab):
    stranger, convoy = meet(lab, lab.net())
    session = acquaint(stranger)
    probe, size = stranger.receive_probe(session, echo=False)
    for wrong in ((probe.number + 99, size), (probe.number, SMALLEST)):
        stranger.send_echo(session, *wrong)
    convoy.wait_stat("path.in_frames", 3)
    assert "path" not in peer_of(convoy)
    stranger.send_echo(session, probe.number, size)
    convoy.until(lambda: "path" in peer_of(convoy), "it has an echo")
    first = path_of(convoy)["rtt"]
    stranger.send_echo(session, probe.number, size)
    stats = convoy.wait_stat("path.in_frames", 5)
    assert path_of(convoy)["rtt"] == first > 0
    assert stats["drop.frame_unwanted"] == 0


def test_every_tenth_counter_lost_is_ten_percent(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = acquaint(stranger)
    for number in range(20):
        session.counter += 1
        for _ in range(8):
            stranger.send(session.seal())
        send_probe(stranger, session, number, accepted=9, expected=10)
    convoy.wait_stat("path.in_frames", 21)
    path = path_of(convoy)
    assert (path["rx"]["expected"], lost(path["rx"])) == (202, 20)
    assert path["rx"]["loss"] == pytest.approx(0.1, abs=0.005)
    assert (path["tx"]["expected"], path["tx"]["accepted"], path["tx"]["loss"]) == (10, 9, 0.1)


def test_what_was_overtaken_is_not_lost(lab):
    stranger, convoy = meet(lab, lab.net())
    session = acquaint(stranger)
    late = [session.seal() for _ in range(50)]
    send_probe(stranger, session, 1)
    convoy.wait_stat("path.in_frames", 2)
    assert lost(path_of(convoy)["rx"]) == 50
    for datagram in late:
        stranger.send(datagram)
    send_probe(stranger, session, 2)
    convoy.wait_stat("path.in_frames", 3)
    assert (lost(path_of(convoy)["rx"]), path_of(convoy)["rx"]["loss"]) == (0, 0)


def test_what_the_other_end_cannot_have_received_is_not_believed(lab):
    stranger, convoy = meet(lab, lab.net())
    session = acquaint(stranger)
    for number, said in enumerate(({"accepted": 2, "expected": 1}, {"expected": 1000000},
                                   {"accepted": 2, "expected": 2, "jitter_us": 1234},
                                   {"accepted": 1, "expected": 1})):
        send_probe(stranger, session, number, **said)
    convoy.wait_stat("path.in_frames", 5)
    tx = path_of(convoy)["tx"]
    assert (tx["accepted"], tx["expected"]) == (2, 2)
    assert tx["jitter"] == pytest.approx(0.001234)


def test_a_rekey_forgets_nothing(lab):
    stranger, convoy = meet(lab, lab.net(), env=FAST)  # handshakes may come 0.5 ms apart
    session = acquaint(stranger)
    for number in range(4):
        session.counter += 5
        send_probe(stranger, session, number, accepted=1, expected=2)
        convoy.wait_stat("path.in_frames", 2 + number)
        ping(stranger, session)  # so that the probe of the next session tells of it
        assert lost(path_of(convoy)["rx"]) == 5 * (number + 1)
        assert lost(path_of(convoy)["tx"]) == number + 1
        stranger.settle(session)
        session = stranger.connect()
        ping(stranger, session)
        stranger.settle(session)


def test_a_clock_that_jumps_is_jitter(lab):
    stranger, convoy = meet(lab, lab.net())
    session = acquaint(stranger)
    begun, jitter, before = time.monotonic_ns() // 1000, 0, None
    for number in range(16):
        # Half a second ahead and behind, and wrapping soon.
        clock = time.monotonic_ns() // 1000 - begun + (500000 if number % 2 else -500000)
        send_probe(stranger, session, number, clock_us=clock & 0xFFFFFFFF)
        transit = -500000 if number % 2 else 500000
        jitter += 0 if before is None else (abs(transit - before) - jitter) / 16
        before = transit
    convoy.wait_stat("path.in_frames", 17)
    assert path_of(convoy)["rx"]["jitter"] == pytest.approx(jitter * 1e-6, rel=0.2)
    while mark_of(said := stranger.receive_frame(session)).number != 15:
        pass
    assert mark_of(said).jitter_us * 1e-6 == pytest.approx(path_of(convoy)["rx"]["jitter"])


class LosesEveryTenth:
    """Of the data messages from a, while it is on."""

    def __init__(self):
        self.on, self.lost, self._seen = True, 0, 0

    def __call__(self, way, datagram):
        if way == "out" and datagram[0] == DATA and self.on:
            self._seen += 1
            if self._seen % 10 == 0:
                self.lost += 1
                return ()
        return (datagram,)


def test_both_ends_know_what_the_wire_lost(lab, workers):
    net = lab.net(router=True)
    relay = lab.relay(net)
    relay.policy = policy = LosesEveryTenth()
    a, b = lab.pair(net, relayed=True, a=workers, b=workers)
    a.until(lambda: traffic.reaches(net.a, B4, count=1), "there is a session")
    net.a.run("ping", "-n", "-q", "-i", "0.01", "-c", "100", "-W", "1", B4, check=False)
    policy.on = False
    assert policy.lost >= 10

    def told(end, way):
        traffic.reaches(net.a, B4, count=1)  # data, so that there is a probe
        return lost(path_of(end)[way]) == policy.lost
    b.until(lambda: told(b, "rx"), f"b misses {policy.lost}")
    a.until(lambda: told(a, "tx"), "and tells it")
    assert lost(path_of(a)["rx"]) == lost(path_of(b)["tx"]) == 0
    assert path_of(a)["rtt"] > 0 < path_of(b)["rtt"]
