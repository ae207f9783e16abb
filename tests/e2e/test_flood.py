"""Floods of handshake messages and garbage: who is honest gets in, and nothing grows.

What a flood costs in throughput is measured by bench/flood; here no speed is asserted.
"""
import contextlib
import pathlib

import inner
import pytest
import wgmodel
from flooder import Flooder
from lab import Lab, PORT
from lab import inner as address
from stranger import Stranger, meet, raw
from ends import Peer, new_key
from wgmodel import COOKIE, RESPONSE

A4, B4 = address("a", 4), address("b", 4)
MIB = 1 << 20
NEWCOMERS = 5
RATE = 50_000


def builds(binary):
    return pathlib.Path(binary).parents[1]


def is_served(stranger, session, sequence):
    stranger.send(session.seal(inner.echo(A4, B4, sequence)))
    return inner.is_echo_reply(stranger.receive_packet(session), sequence)


class Scene:
    """A Convoy in b with a stranger who has a session, others who have none yet, and a flooder."""

    def __init__(self, lab, binary, family=4):
        net = lab.net()
        keys = [new_key() for _ in range(NEWCOMERS)]
        others = [Peer(public, [f"10.77.1.{i}/32"]) for i, (_, public) in enumerate(keys)]
        self.stranger, self.convoy = meet(lab, net, family, others=others)
        self.session = self.stranger.connect()
        self.newcomers = [Stranger(net.a, self.stranger.here, self.stranger.there, raw(private),
                                   self.stranger.their_public) for private, _ in keys]
        self.flooder = Flooder(net, builds(binary), self.convoy.tunnel.public)
        assert is_served(self.stranger, self.session, 1)
        self.before, self.rss = self.convoy.stats(), self.convoy.rss()

    def counted(self):
        """What came since, by where it went: {reason: datagrams}, and "answered"."""
        # The kernel tells of what it dropped with the next datagram that it did not.
        assert is_served(self.stranger, self.session, 2)
        more = self.convoy.stats() - self.before
        return {name: n for name, n in more.items() if name.startswith("drop.")} | {
            "answered": more["handshake.responses_sent"]}

    def cookies(self):
        return (self.convoy.stats() - self.before)["handshake.cookies_sent"]

    def grown(self):
        return self.convoy.rss() - self.rss


def tries(newcomer):
    """How many initiations it takes to get in, each waited for as long as a second."""
    newcomer.socket.settimeout(1)
    cookie = None
    for number in range(1, 10):
        handshake = newcomer.handshake()
        initiation = handshake.initiation(cookie=cookie)
        newcomer.send(initiation)
        with contextlib.suppress(TimeoutError):
            answer = newcomer.receive()
            if wgmodel.message_type(answer) == RESPONSE:
                newcomer.send(handshake.consume_response(answer).seal())
                return number
            assert wgmodel.message_type(answer) == COOKIE
            cookie = wgmodel.cookie_from(newcomer.their_public, initiation, answer)
    raise AssertionError("never got in")


@pytest.mark.parametrize("family", [4, 6], ids=["v4", "v6"])
def test_amid_a_flood_from_everywhere_a_new_client_is_in_within_two_tries(plain, family):
    with Lab(plain) as lab:
        scene = Scene(lab, plain, family)
        flood = scene.flooder.start(PORT, rate=RATE, count=5 * RATE, sources=20_000,
                                    family=family)
        scene.convoy.wait_stat("handshake.cookies_sent", 1)
        took = [tries(newcomer) for newcomer in scene.newcomers]
        assert is_served(scene.stranger, scene.session, 3)
        assert flood.poll() is None, "it ended before they were all in"
        sent, _ = scene.flooder.sent(flood)
        # A message may be lost in the crowd, to one of them.
        assert sorted(took)[NEWCOMERS // 2] <= 2, took
        counted = scene.counted()
        assert sum(counted.values()) == sent + sum(took), counted
        assert counted["drop.handshake_cookie"] > 0
        assert scene.grown() <= 16 * MIB


def test_a_source_that_sends_too_much_is_asked_for_a_cookie_and_no_other_is(plain):
    with Lab(plain) as lab:
        scene = Scene(lab, plain)
        flood = scene.flooder.start(PORT, rate=RATE, count=3 * RATE, sources=1)
        scene.convoy.wait_stat("handshake.cookies_sent", 1)
        assert [tries(newcomer) for newcomer in scene.newcomers] == [1] * NEWCOMERS
        assert flood.poll() is None, "it ended before they were all in"
        sent, _ = scene.flooder.sent(flood)
        counted = scene.counted()
        assert sum(counted.values()) == sent + NEWCOMERS, counted
        assert counted["drop.handshake_cookie"] > sent / 2
        # Who has one is not sent another at once, however often he asks.
        assert scene.cookies() < sent / 4
        assert scene.grown() <= 16 * MIB


@pytest.mark.parametrize("family", [4, 6], ids=["v4", "v6"])
def test_garbage_of_all_types_and_lengths_is_counted_and_nothing_more(lab, family):
    scene = Scene(lab, lab.binary, family)
    sent, _ = scene.flooder.run(PORT, "garbage", rate=RATE, count=RATE // 2, family=family)
    counted = scene.counted()
    assert sum(counted.values()) == sent, counted
    assert {"drop.malformed", "drop.unknown_index", "drop.handshake_mac"} <= set(counted)
    assert counted["answered"] == 0
