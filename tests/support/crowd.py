"""A server with many peers, and those peers: crowd.c speaks for all of them.

crowd.c is built beside the daemon.
"""
import ipaddress
import pathlib
import re

import net as networks
from ends import Peer, Tunnel, new_key
from lab import PORT

INNER = ipaddress.ip_address("10.64.0.0")   # of client 0; the next one has the next
OUTER = ipaddress.ip_address("198.18.0.0")  # likewise
OUTER_NET = "198.18.0.0/15"
SERVER = "10.127.255.254"


class Crowd:
    """`n` peers of a Convoy in net.b; host a has all of their addresses."""

    def __init__(self, net, builds, n):
        self._program, self._net, self.n = pathlib.Path(builds, "tests/support/crowd"), net, n
        keys = networks.run(self._program, "keys", n).stdout.split()
        self.peers = [Peer(key, [f"{INNER + i}/32"]) for i, key in enumerate(keys)]
        self.tunnel = Tunnel(new_key()[0], [f"{SERVER}/10"], self.peers, port=PORT,
                             name=f"{net.label}b")
        net.a.ip("route", "add", "local", OUTER_NET, "dev", "lo")
        net.b.ip("route", "add", OUTER_NET, "via", net.outer("a", 4))

    def echo(self, n=None, rounds=1, timeout=None):
        """`n` of them make sessions and ping in turn: (sessions, seconds, echoes, seconds)."""
        text = self._net.a.run(
            self._program, "echo", self._net.outer("b", 4), PORT, self.tunnel.public, OUTER,
            n or self.n, SERVER, INNER, rounds, timeout=timeout).stdout
        sessions, took, echoes, after = re.fullmatch(
            r"sessions (\d+) in ([\d.]+) s echoes (\d+) in ([\d.]+) s\n", text).groups()
        return int(sessions), float(took), int(echoes), float(after)
