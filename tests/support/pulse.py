"""Traffic that goes on whatever happens, and tells afterwards: when it was through, and whether whole."""
import os
import select
import socket
import threading
import time

import traffic
from ends import poll

INTERVAL_S = 0.05


class Pulse:
    """A datagram now and then from `near` to `address` in `far`, and back unless it is one way.

    Its sockets belong to the hosts, not to a tunnel: they outlive interfaces. A datagram that
    cannot be sent is lost like any other.
    """

    def __init__(self, near, far, address, port, back=True):
        family = traffic.family_of(address)
        self._near, self._far = (host.socket(family, socket.SOCK_DGRAM) for host in (near, far))
        self._far.bind(("", port))
        self._to, self._back = (address, port), back
        self._bell, self._on = os.eventfd(0), True
        self.sent, self.came = [], {}
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self):
        due = time.monotonic()
        while self._on:
            now = time.monotonic()
            if now >= due:
                self.sent.append(now)
                self._pass(self._near, len(self.sent) - 1, self._to)
                due = now + INTERVAL_S
            for sock in select.select([self._near, self._far, self._bell], [], [],
                                      max(0, due - now))[0]:
                if sock is not self._bell:
                    self._hear(sock)

    @staticmethod
    def _pass(sock, number, where):
        try:
            sock.sendto(b"%d" % number, where)
        except OSError:
            pass

    def _hear(self, sock):
        try:
            text, sender = sock.recvfrom(64)
        except OSError:
            return  # an ICMP error that was waiting
        if sock is self._far and self._back:
            self._pass(self._far, int(text), sender)
        else:
            self.came.setdefault(int(text), time.monotonic())

    def through_since(self, moment):
        """When the first one that was sent at that moment or later was through, or None."""
        came = (self.came.get(number) for number in range(len(self.sent))
                if self.sent[number] >= moment)
        return min(filter(None, came), default=None)

    def silence_since(self, moment):
        """The longest time for which nothing came."""
        times = [moment, *sorted(t for t in list(self.came.values()) if t > moment)]
        return max(map(float.__sub__, [*times[1:], time.monotonic()], times))

    def lost(self):
        """How many never came, but for those of the last moment."""
        return sum(number not in self.came for number in range(len(self.sent) - 20))

    def close(self):
        if self._on:
            self._on = False
            os.eventfd_write(self._bell, 1)
            self._thread.join()
            os.close(self._bell)
            self._near.close()
            self._far.close()


class Carrier:
    """A stream both ways at a modest pace until done(), which compares the hashes."""

    def __init__(self, client, server, address, patience_s, pause_s):
        self._stream = traffic.Stream(client, server, address)
        for sock in (self._stream.left, self._stream.right):
            sock.settimeout(patience_s)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)
        self._enough, self._pause_s, self._sent = threading.Event(), pause_s, {}
        self._running = traffic.Workers()
        self._running.go(self._stream.move, self._more)

    def _more(self, sent):
        self._sent[threading.get_ident()] = sent
        return not self._enough.wait(self._pause_s)

    def goes_on(self):
        """Wait until both ways have moved another block."""
        before = dict(self._sent)
        poll(lambda: len(self._sent) == 2 and all(sent > before.get(who, 0)
                                                  for who, sent in self._sent.items()),
             "the stream goes on")

    def stall_s(self):
        """The longest time in which nothing came, on either way."""
        return self._stream.stall_s

    def done(self):
        """Returns the bytes that were carried; an AssertionError says that they differ."""
        self._enough.set()
        self._running.join()
        return sum(self._sent.values())
