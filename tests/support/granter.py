"""A server that hands out addresses: the model of wgmodel.py, which answers in a thread."""
import socket
import threading

import wgmodel
from ends import new_key, public_key
from lab import PORT, endpoint
from stranger import raw
from wgmodel import (ANSWER, CHACHA20_POLY1305, DATA, GOODBYE, GRANT, HELLO, INITIATION, REQUEST,
                     choice, frame, frame_of, granted)

LOOK_S = 0.05  # how long the end of it may take


class Granter:
    """In `host` at `address`. What it grants may change: .grant(...), or None to say nothing."""

    def __init__(self, lab, host, address, **grant):
        private, self.public = new_key()
        self.endpoint, self._private = endpoint(address), raw(private)
        self.options, self.greets = granted(**grant), True
        self.requests, self.packets, self._session, self._client = 0, [], None, None
        self._socket = host.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                                   socket.SOCK_DGRAM)
        self._socket.bind((address, PORT))
        self._socket.settimeout(LOOK_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        lab.own(self.close)

    def serve(self, tunnel):
        """Answer the one client that this tunnel is."""
        self._client_public = raw(public_key(tunnel.private))
        self._thread.start()
        return self

    def grant(self, **grant):
        self.options = granted(**grant)

    def silence(self):
        """As an implementation that knows of none of this."""
        self.options, self.greets = None, False

    def say(self, kind, options=b""):
        """A frame that nobody asked for."""
        self._send(self._session.seal(frame(kind, options)))

    def goodbye(self):
        self.say(GOODBYE)

    def _send(self, datagram):
        self._socket.sendto(datagram, self._client)

    def _serve(self):
        while not self._stop.is_set():
            try:
                datagram, self._client = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            kind = wgmodel.message_type(datagram)
            if kind == INITIATION:
                handshake = wgmodel.Handshake(self._private, self._client_public)
                handshake.consume_initiation(datagram)
                self._send(handshake.response())
                self._session = handshake.session
            elif kind == DATA:
                self._take(self._session.open(datagram)[1])

    def _take(self, plain):
        said = frame_of(plain)
        if said is None:
            self.packets += [plain] if plain else []
        elif said[0] == HELLO and self.greets:
            self.say(ANSWER, choice(CHACHA20_POLY1305))
        elif said[0] == REQUEST:
            assert said[1] == b""
            self.requests += 1
            if self.options is not None:
                self.say(GRANT, self.options)

    def close(self):
        self._stop.set()
        if self._thread.ident:
            self._thread.join()
        self._socket.close()
