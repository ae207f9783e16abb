"""A third host beside those of a network, which floods host b from addresses that are not its own.

Its programs, flood.c and sink.c, are built beside the daemon.
"""
import json
import pathlib
import re

import net as networks
from ends import PATIENCE_S

NAME = "to-x"
LINK = {4: ("203.0.113.1", "203.0.113.2", 24), 6: ("2001:db8:3::1", "2001:db8:3::2", 64)}
NOBODY = {4: "203.0.113.3", 6: "2001:db8:3::3"}
# Where the flood says that it comes from: (first, as a route, how many there are).
SOURCES = {4: ("198.18.0.1", "198.18.0.0/15", 1 << 17),
           6: ("2001:db8:8000::1", "2001:db8:8000::/33", 1 << 31)}
SOME = 100_000  # of them, unless told otherwise


class Flooder:
    """Host x of `net`; `builds` is the build directory, `key` the public key that is flooded."""

    def __init__(self, net, builds, key=None):
        self._folder, self._key = pathlib.Path(builds, "tests/support"), key or "A" * 43 + "="
        self.host, self.victim = net.host("x"), net.b
        networks.run("ip", "link", "add", "to-b", "netns", self.host.name, "type", "veth",
                     "peer", "name", NAME, "netns", self.victim.name)
        for family, (ours, theirs, bits) in LINK.items():
            nodad = ("nodad",) if family == 6 else ()
            self.host.ip("addr", "add", f"{ours}/{bits}", "dev", "to-b", *nodad)
            self.victim.ip("addr", "add", f"{theirs}/{bits}", "dev", NAME, *nodad)
        self.host.ip("link", "set", "to-b", "up")
        self.victim.ip("link", "set", NAME, "up")
        self._open_ways()

    def _open_ways(self):
        """Answers find their way out of b, and end where nobody looks at them."""
        for family, (_, route, _) in SOURCES.items():
            self.victim.ip("neigh", "add", NOBODY[family], "lladdr", "02:00:00:00:00:01",
                           "dev", NAME, "nud", "permanent")
            self.victim.ip("route", "add", route, "via", NOBODY[family], "dev", NAME)
        for which in ("all", NAME):
            self.victim.sysctl(f"net.ipv4.conf.{which}.rp_filter", 0)
        # Neighbours are known before the first of a hundred thousand asks for them.
        for family in LINK:
            self.host.run("ping", "-c", 1, "-W", PATIENCE_S, LINK[family][1])

    def start(self, port, what="initiations", rate=100_000, count=100_000, sources=SOME,
              family=4, first=None):
        """A flood, as a process that ends when all is sent; then see sent()."""
        mac = json.loads(self.victim.ip("-j", "link", "show", NAME))[0]["address"]
        return self.host.popen(self._folder / "flood", "to-b", mac, first or SOURCES[family][0],
                               sources, LINK[family][1], port, self._key, what, rate, count,
                               stdout=-1, text=True)

    def run(self, *args, **kwargs):
        """A whole flood: (datagrams, seconds)."""
        return self.sent(self.start(*args, **kwargs))

    @staticmethod
    def sent(process):
        """Of a flood that was started: wait for its end; (datagrams, seconds)."""
        text, _ = process.communicate()
        count, seconds = re.fullmatch(r"sent (\d+) in ([\d.]+) s\n", text).groups()
        return int(count), float(seconds)

    def sink(self, port):
        """Someone in b who takes all that comes to a port, and nothing else."""
        return self.victim.popen(self._folder / "sink", port)
