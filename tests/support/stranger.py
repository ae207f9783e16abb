"""A hand-driven WireGuard peer: the model of wgmodel.py with a socket in a namespace."""
import base64
import os
import select
import socket

import wgmodel
from ends import PATIENCE_S, Peer, Tunnel, new_key, poll
from lab import PORT, endpoint, inner, inner_addresses, inner_hosts

QUIET_S = 0.3  # how long silence is listened to, after the other end proved to have worked


class Stranger:
    """Speaks from `host` to the Convoy at `there`; their keys are raw bytes here."""

    def __init__(self, host, here, there, private, their_public, psk=wgmodel.NO_PSK):
        self.host, self.here, self.there = host, here, there
        self.private, self.their_public, self.psk = private, their_public, psk
        self.socket = self.new_socket()

    def new_socket(self, port=0):
        sock = self.host.socket(socket.AF_INET6 if ":" in self.here else socket.AF_INET,
                                socket.SOCK_DGRAM)
        sock.bind((self.here, port))
        sock.settimeout(PATIENCE_S)
        return sock

    def send(self, datagram, sock=None):
        (sock or self.socket).sendto(datagram, self.there)

    def receive(self, kind=None, sock=None):
        """The next datagram, or the next of that message type."""
        while True:
            datagram = (sock or self.socket).recv(65536)
            if kind is None or wgmodel.message_type(datagram) == kind:
                return datagram

    def has_news(self, sock=None):
        """Something is waiting, or comes in a moment."""
        return bool(select.select([sock or self.socket], [], [], QUIET_S)[0])

    def is_quiet(self, sock=None):
        return not self.has_news(sock)

    def handshake(self, **kwargs):
        return wgmodel.Handshake(self.private, self.their_public, self.psk, **kwargs)

    def connect(self, cookie=None, timestamp=None):
        """A whole handshake as initiator; the session is confirmed by a keepalive."""
        handshake = self.handshake()
        self.send(handshake.initiation(timestamp, cookie))
        session = handshake.consume_response(self.receive(wgmodel.RESPONSE))
        self.send(session.seal())
        return session

    def answer(self):
        """Wait for their initiation and respond; the session is ours as responder."""
        handshake = self.handshake()
        assert handshake.consume_initiation(self.receive(wgmodel.INITIATION)) == self.their_public
        self.send(handshake.response())
        return handshake.session

    def receive_packet(self, session):
        """The next inner packet; keepalives and frames are left out."""
        while True:
            _, plain = session.open(self.receive(wgmodel.DATA))
            if plain and not wgmodel.frame_of(plain):
                return plain

    def receive_frame(self, session):
        """The next frame: (kind, options); keepalives and probes are left out."""
        while True:
            _, plain = session.open(self.receive(wgmodel.DATA))
            said = wgmodel.frame_of(plain)
            if plain and (not said or said[0] != wgmodel.PROBE):
                return said

    def receive_probe(self, session, echo=True):
        """What the next probe says, and its size. It is echoed, so that none follows for it."""
        while True:
            _, plain = session.open(self.receive(wgmodel.DATA))
            if (said := wgmodel.frame_of(plain)) and said[0] == wgmodel.PROBE:
                mark = wgmodel.mark_of(said)
                if echo:
                    self.send_echo(session, mark.number, len(plain))
                return mark, len(plain)

    def send_echo(self, session, number, probed, **said):
        options = wgmodel.marked(number, probed=probed, **said)
        self.send(session.seal(wgmodel.frame(wgmodel.ECHO, options)))

    def settle(self, session):
        """Echo what comes until no more does."""
        while self.has_news():
            _, plain = session.open(self.receive(wgmodel.DATA))
            if (said := wgmodel.frame_of(plain)) and said[0] == wgmodel.PROBE:
                self.send_echo(session, wgmodel.mark_of(said).number, len(plain))


def raw(key):
    return base64.b64decode(key)


def meet(lab, net, family=4, psk=False, port=None, env=None, allowed=None, others=(), **extra):
    """A Convoy in net.b with one peer, and that peer in net.a driven by hand.

    With `port` the Convoy knows the stranger's endpoint from the start. `others` are further
    peers, `allowed` what the stranger may send from instead of host a's addresses.
    """
    ours, theirs = new_key(), new_key()
    secret = os.urandom(32) if psk else None
    here, there = net.outer("a", family), net.outer("b", family)
    tunnel = Tunnel(theirs[0], inner_addresses("b"),
                    [Peer(ours[1], inner_hosts("a") if allowed is None else allowed,
                          endpoint(here, port) if port else None,
                          base64.b64encode(secret).decode() if psk else None), *others],
                    port=PORT, name=net.label + "b", extra=extra)
    stranger = Stranger(net.a, here, (there, PORT), raw(ours[0]), raw(theirs[1]),
                        secret or wgmodel.NO_PSK)
    if port:
        stranger.socket.close()
        stranger.socket = stranger.new_socket(port)
    convoy = lab.convoy(net.b, tunnel, env=env).start()
    # The kernel takes packets to a new IPv6 address once its work queue has come to it.
    poll(lambda: inner("b", 6) in net.b.ip("-6", "route", "show", "table", "local"),
         "the IPv6 address is there")
    return stranger, convoy
