"""What tests/soak runs: a server with four kinds of clients, and what happens to them.

    a: one, a Convoy with a fast clock --+
    a: two, a Convoy of two workers -----+-- r -- b: the server, a Convoy
    a: go, a wireguard-go ---------------+
    r: the visitor, a peer by hand, and strangers

Client n has 10.77.n.1 and fd77:0:0:n::1 inside, the server 10.77.n.2 and fd77:0:0:n::2 for it.
"""
import os
import random
import select
import statistics
import subprocess
import threading
import time

import inner
import wgmodel
from ends import PATIENCE_S, Lines, Peer, Tunnel, Usage, new_key, new_psk
from lab import PORT, endpoint
from net import run
from stranger import Stranger, raw
from traffic import Stream, Workers, datagrams

CLIENTS = ("one", "two", "go")
VISITOR = 3
# The clock of "one": it renews its key every 120 s / 30.
FAST = {"CONVOY_TEST_CLOCK": "30"}
MTU = 1420
STRETCH = 1 << 18  # what has to come in from each client before the next thing happens
PACE_S = 0.02  # between blocks of 256 KiB each way, while things happen
MOST_ADDED = 40
VISIT_S = 0.03  # who comes again within 20 ms is not answered
AGAIN_S = 1  # when a handshake goes unanswered
FLOOD, FLOOD_BURST, FLOOD_PAUSE_S = 4000, 200, 0.02  # at most 10000 datagrams a second


def address(side, number, family=4):
    last = {"client": 1, "server": 2}[side]
    return f"10.77.{number}.{last}" if family == 4 else f"fd77:0:0:{number}::{last}"


def addresses(side, number):
    return [f"{address(side, number, 4)}/24", f"{address(side, number, 6)}/64"]


def hosts(side, number):
    return [f"{address(side, number, 4)}/32", f"{address(side, number, 6)}/128"]


class Child(Usage):
    """A process that a daemon forked."""

    def __init__(self, parent):
        self.pid = int(run("pgrep", "-P", parent).stdout)


class Pings:
    """Pings of a client through its tunnel, five a second, as long as the run lasts."""

    def __init__(self, namespace, number):
        self.process = namespace.popen("ping", "-n", "-i", 0.2, address("server", number),
                                       stdout=subprocess.PIPE, text=True)
        self._lines = Lines(self.process.stdout)
        self._seen = 0

    def times(self):
        """Round trips in ms since the last call."""
        lines, self._seen = self._lines.since(self._seen), self._lines.count()
        return [float(line.partition("time=")[2].split()[0]) for line in lines if "time=" in line]


class Visitor:
    """A peer by hand: each visit is a handshake from another port, and an echo."""

    def __init__(self, net, private, server_public):
        self._strangers = [Stranger(net.r, net.outer("r", family, 2),
                                    (net.outer("b", family), PORT), raw(private),
                                    raw(server_public)) for family in (4, 6)]
        self.sessions = 0

    def visit(self):
        stranger = self._strangers[self.sessions % 2]
        self.sessions += 1
        with stranger.new_socket() as sock:
            session = self._connect(stranger, sock)
            echo = inner.echo(address("client", VISITOR), address("server", VISITOR))
            stranger.send(session.seal(echo), sock)
            while not (plain := session.open(stranger.receive(wgmodel.DATA, sock))[1]):
                pass
            assert inner.is_echo_reply(plain)

    @staticmethod
    def _connect(stranger, sock):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            handshake = stranger.handshake()
            stranger.send(handshake.initiation(), sock)
            # Unanswered: too soon after the last one, or a cookie, which is answered by patience.
            if select.select([sock], [], [], AGAIN_S)[0]:
                answer = sock.recv(65536)
                if wgmodel.message_type(answer) == wgmodel.RESPONSE:
                    return handshake.consume_response(answer)
        raise AssertionError("a visitor was not let in")

    def close(self):
        for stranger in self._strangers:
            stranger.socket.close()


class Strangers:
    """A flood of a bounded rate: initiations that cost the server a handshake's first half, and
    garbage of all types and lengths."""

    def __init__(self, net, server_public):
        unknown = [wgmodel.Handshake(wgmodel.new_private(), raw(server_public)).initiation()
                   for _ in range(64)]
        self._garbage = [kind.to_bytes(4, "little") + os.urandom(random.randrange(1400))
                         for kind in (0, 1, 2, 3, 4, 5) for _ in range(8)]
        for kind, size in wgmodel.SIZE.items():
            self._garbage += [kind.to_bytes(4, "little") + os.urandom(size - 4) for _ in range(8)]
        self._garbage += unknown + [b"", b"\1", bytes(65000)]
        self._there = [(net.outer("b", family), PORT) for family in (4, 6)]
        self._sockets = [Stranger(net.r, net.outer("r", family, 2), there, bytes(32), bytes(32))
                         for family, there in zip((4, 6), self._there)]
        self.sent = 0

    def flood(self):
        for _ in range(FLOOD // FLOOD_BURST):
            for _ in range(FLOOD_BURST):
                random.choice(self._sockets).send(random.choice(self._garbage))
            self.sent += FLOOD_BURST
            time.sleep(FLOOD_PAUSE_S)

    def close(self):
        for stranger in self._sockets:
            stranger.socket.close()


class Soaked:
    """The ends, running, and all that is done to them."""

    def __init__(self, lab):
        self.lab, self.net = lab, lab.net(router=True)
        self.rng = random.Random(1)
        self.reloads = self.roams = 0
        keys = {name: new_key() for name in ("server", *CLIENTS, "visitor")}
        self.server = lab.convoy(self.net.b, self._server(keys))
        self.clients = [self._client(number, name, keys) for number, name in enumerate(CLIENTS)]
        self.visitor = Visitor(self.net, keys["visitor"][0], keys["server"][1])
        self.strangers = Strangers(self.net, keys["server"][1])
        self.server.start()
        for client in self.clients:
            client.start()
        self.pings = [Pings(self.net.a, number) for number in range(len(CLIENTS))]
        self.daemons = {"server": self.server, **dict(zip(CLIENTS, self.clients))}
        for name in ("server", "one", "two"):
            self.daemons[f"{name}'s keeper"] = Child(self.daemons[name].pid)

    def _server(self, keys):
        peers = [Peer(keys[name][1], hosts("client", number))
                 for number, name in enumerate((*CLIENTS, "visitor"))]
        inside = [each for number in range(len(peers)) for each in addresses("server", number)]
        return Tunnel(keys["server"][0], inside, peers, PORT, MTU, f"{self.net.label}s")

    def _client(self, number, name, keys):
        server = Peer(keys["server"][1], hosts("server", number), self._endpoint(4))
        tunnel = Tunnel(keys[name][0], addresses("client", number), [server], None, MTU,
                        f"{self.net.label}{number}", {"Workers": 2} if name == "two" else {})
        if name == "go":
            return self.lab.wireguard_go(self.net.a, tunnel)
        return self.lab.convoy(self.net.a, tunnel, env=FAST if name == "one" else None)

    def _endpoint(self, family):
        return endpoint(self.net.outer("b", family))

    def work(self, size, family):
        """Move `size` bytes there and back for each client in turn; returns {name: seconds}."""
        spent = {}
        for number, name in enumerate(CLIENTS):
            begun = time.monotonic()
            stream = Stream(self.net.a, self.net.b, address("server", number, family))
            stream.transfer(size)
            spent[name] = time.monotonic() - begun
        return spent

    def datagrams(self, count, seed):
        """Small and large, both families, each client."""
        for number, name in enumerate(CLIENTS):
            for family, largest in ((4, 100), (6, 1372)):
                datagrams(self.net.a, self.net.b, address("server", number, family), count,
                          largest, seed, ordered=name != "two")

    def visits(self, count):
        for _ in range(count):
            self.visitor.visit()
            time.sleep(VISIT_S)

    def turmoil(self):
        """Reloads, roams and a flood, while each client's stream goes on."""
        enough, running = threading.Event(), Workers()
        for number in range(len(CLIENTS)):
            there = address("server", number, self.rng.choice((4, 6)))
            stream = Stream(self.net.a, self.net.b, there)
            running.go(stream.move, lambda _: not enough.wait(PACE_S))
        running.go(self.strangers.flood)
        try:
            for number, client in enumerate(self.clients):
                self._reload()
                self._roam(client, "listen-port", 20000 + 10000 * number + self.rng.randrange(9999))
                self._roam(client, "peer", client.tunnel.peers[0].public, "endpoint",
                           self._endpoint(4 if self.reloads % 2 else 6))
        finally:
            enough.set()
        running.join()
        self.server.reload()

    def _reload(self):
        """A file with other strangers in it, and the visitor changed."""
        added = [Peer(new_key()[1], [f"10.78.0.{i}/32", f"fd78::{i}/128"],
                      psk=new_psk() if i % 2 else None, keepalive=i or None)
                 for i in range(self.rng.randrange(MOST_ADDED))]
        changed = dict(keepalive=self.rng.choice((None, 20)))
        visitor = Peer(**{**vars(self.server.tunnel.peers[VISITOR]), **changed})
        text = "\n".join(peer.text() for peer in (visitor, *added))
        self.server.reload(self._without_visitor() + "\n" + text)
        self.reloads += 1
        self._go_on()

    def _without_visitor(self):
        tunnel = self.server.tunnel
        return Tunnel(**{**vars(tunnel), "peers": tunnel.peers[:VISITOR]}).text()

    def _roam(self, client, *change):
        client.namespace.run("wg", "set", client.name, *change)
        self.roams += 1
        self._go_on()

    def _received(self):
        text = self.net.b.run("wg", "show", self.server.name, "transfer").stdout
        bytes_of = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()}
        return [bytes_of[peer.public] for peer in self.server.tunnel.peers[:VISITOR]]

    def _go_on(self):
        """Each client's bytes come on."""
        before, deadline = self._received(), time.monotonic() + PATIENCE_S
        while any(now < then + STRETCH for now, then in zip(self._received(), before)):
            assert time.monotonic() < deadline, "a stream does not go on"
            time.sleep(PACE_S)

    def look(self):
        """Ask it all that one may ask; returns sessions so far by name."""
        self.net.b.run(self.server.binary, "show", self.server.name, "--json")
        return {name: self.daemons[name].stats()["handshake.sessions"]
                for name in ("server", "one", "two")}

    def latency(self):
        """(median, 99th percentile) in ms since the last call, of our clients."""
        times = sorted(time for pings in self.pings[:2] for time in pings.times())
        return statistics.median(times), times[len(times) * 99 // 100]

    def close(self):
        self.visitor.close()
        self.strangers.close()
