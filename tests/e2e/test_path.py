"""The path between two Convoys: probes while data flows, and what their echoes tell."""
import socket

import inner
import pytest
from lab import inner as address
from stranger import meet
from wgmodel import ANSWER, DATA, ECHO, HELLO, PROBE, frame, frame_of, mark_of, marked

A4, B4 = address("a", 4), address("b", 4)
# Of the tunnel's clock: a probe each 25 ms of ours while data flows.
FAST = {"CONVOY_TEST_CLOCK": "40"}
SMALLEST = 48


def acquaint(stranger):
    """A session in which both know that the other is a Convoy; its first probe is left unread."""
    session = stranger.connect()
    stranger.send(session.seal(frame(HELLO)))
    assert stranger.receive_frame(session)[0] == ANSWER
    return session


def next_probe(stranger, session):
    while (said := stranger.receive_frame(session, probes=True)) is None or said[0] != PROBE:
        pass
    return mark_of(said)


def send_probe(stranger, session, number, size=SMALLEST, **said):
    text = frame(PROBE, marked(number, **said))
    stranger.send(session.seal(text + bytes(size - len(text)), pad=False))


def send_echo(stranger, session, number, probed=SMALLEST, **said):
    stranger.send(session.seal(frame(ECHO, marked(number, probed=probed, **said))))


def ping(stranger, session):
    """Data, there and back."""
    stranger.send(session.seal(inner.echo(A4, B4)))
    assert inner.is_echo_reply(stranger.receive_packet(session))


def test_the_first_probe_comes_at_once_and_tells_what_came(lab, workers):
    stranger, convoy = meet(lab, lab.net(), **workers)
    session = stranger.connect()
    session.counter += 3  # lost on the way
    stranger.send(session.seal(frame(HELLO)))
    assert stranger.receive_frame(session)[0] == ANSWER
    _, plain = session.open(stranger.receive(DATA))
    assert len(plain) == SMALLEST
    probe = mark_of(frame_of(plain))
    # A keepalive and a hello, of five numbers.
    assert (probe.accepted, probe.expected) == (2, 5)
    send_echo(stranger, session, probe.number)
    assert not any(convoy.wait_stat("path.in_frames", 2)[name]
                   for name in ("drop.frame_unwanted", "drop.frame_invalid"))


def test_probes_go_on_while_data_flows_and_end_with_it(lab, workers):
    net = lab.net()
    stranger, _ = meet(lab, net, env=FAST, **workers)
    session = acquaint(stranger)
    numbers = [next_probe(stranger, session).number]
    for _ in range(3):
        ping(stranger, session)
        numbers.append(next_probe(stranger, session).number)
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    with net.b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((B4, 9))
        stranger.send(session.seal(inner.udp(A4, B4, 9, 9, b"no answer")))
        assert next_probe(stranger, session).number == numbers[-1] + 1, "for what comes in, too"
    assert stranger.is_quiet()


@pytest.mark.parametrize("size", [48, 49, 64, 300, 1420, 1500])
def test_a_probe_is_echoed_whatever_its_size(lab, size):
    stranger, _ = meet(lab, lab.net())
    session = acquaint(stranger)
    send_probe(stranger, session, 77, size)
    _, plain = session.open(stranger.receive(DATA))
    while frame_of(plain)[0] != ECHO:
        _, plain = session.open(stranger.receive(DATA))
    echo = mark_of(frame_of(plain))
    assert (echo.number, echo.probed, len(plain)) == (77, size, SMALLEST)
    assert (echo.accepted, echo.expected) == (3, 3)


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
    many = 300
    for number in range(many):
        send_probe(stranger, session, number)
    stats = convoy.wait_stat("path.in_frames", 1 + many)
    echoes = stats["path.out_frames"] - 2
    assert 20 <= echoes < many
    assert stats["drop.frame_unwanted"] == many - echoes


def test_probes_go_under_the_session_that_is_in_use(lab):
    stranger, _ = meet(lab, lab.net(), env=FAST)
    old = acquaint(stranger)
    next_probe(stranger, old)
    new = stranger.connect()
    ping(stranger, new)
    probe = next_probe(stranger, new)
    assert (probe.accepted, probe.expected) == (2, 2), "of this session"
