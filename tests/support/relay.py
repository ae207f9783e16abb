"""A man in the middle: passes the datagrams of two tunnel ends on, or does worse to them."""
import os
import queue
import select
import socket
import threading

from wgmodel import message_type

BUFFER = 1 << 24
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h


class Relay:
    """Between a (whose endpoint is the relay) and b, in the namespace of the router.

        a ----- (near, port) relay ----- far

    `policy(way, datagram)` returns the datagrams that go on in its place; way is "out" (from a)
    or "home". Message types are counted in `seen[way, type]`, and with record=True all datagrams
    are kept in `tape` as (way, datagram). One thread does everything; move() and inject() are
    done when they return.
    """

    def __init__(self, namespace, near, port, far, record=False):
        self.far, self._record = far, record
        self._namespace = namespace
        self._family = socket.AF_INET6 if ":" in near else socket.AF_INET
        self._near, self._far = self._socket(), self._socket()
        self._near.bind((near, port))
        self._a, self.seen, self.tape = None, {}, []
        self.policy = lambda way, datagram: (datagram,)
        self._orders, self._bell, self._open = queue.SimpleQueue(), os.eventfd(0), True
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _socket(self):
        sock = self._namespace.socket(self._family, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        sock.setblocking(False)
        return sock

    def count(self, way, kind):
        """Messages of one type that came by."""
        return self.seen.get((way, kind), 0)

    def move(self):
        """From now on b hears a from another port; the old one is deaf, as behind a NAT."""
        self._do(self._move)

    def inject(self, way, datagram):
        self._do(lambda: self._pass(way, datagram))

    def close(self):
        if self._open:
            self._do(self._end)
            self._thread.join()
            os.close(self._bell)
            self._near.close()
            self._far.close()

    def _do(self, order):
        done = threading.Event()
        self._orders.put((order, done))
        os.eventfd_write(self._bell, 1)
        done.wait()

    def _move(self):
        self._far.close()
        self._far = self._socket()

    def _end(self):
        self._open = False

    def _pass(self, way, datagram):
        try:
            if way == "out":
                self._far.sendto(datagram, self.far)
            elif self._a:
                self._near.sendto(datagram, self._a)
        except OSError:
            pass  # a full buffer, or a port that nobody has open: the wire lost it

    def _take(self, sock, way):
        try:
            datagram, sender = sock.recvfrom(65536)
        except OSError:
            return False
        if way == "out":
            self._a = sender
        key = way, message_type(datagram)
        self.seen[key] = self.seen.get(key, 0) + 1
        if self._record:
            self.tape.append((way, datagram))
        for passed in self.policy(way, datagram):
            self._pass(way, passed)
        return True

    def _loop(self):
        while self._open:
            ready, _, _ = select.select([self._near, self._far, self._bell], [], [])
            for _ in range(64):
                if not (self._near in ready and self._take(self._near, "out")) | \
                        (self._far in ready and self._take(self._far, "home")):
                    break
            if self._bell in ready:
                os.eventfd_read(self._bell)
                while not self._orders.empty():
                    order, done = self._orders.get()
                    order()
                    done.set()
