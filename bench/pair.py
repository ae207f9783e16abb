"""A pair of ends of one kind, as the scripts in bench/peers/ start and end it."""
import collections
import os
import pathlib
import shutil
import subprocess
import tempfile

from measure import ROOT, progress

from ends import Usage, poll
from net import Net

PEERS = ROOT / "bench/peers"
MTU = 1420
UNSUPPORTED = 77


class Unsupported(Exception):
    """This kind of peer cannot do what was asked."""


def names():
    return sorted(path.parent.name for path in PEERS.glob("*/up"))


class Kind:
    """What to start: "convoy", or with options "convoy:Workers=1,AeadProvider=openssl"."""

    def __init__(self, text, programs):
        self.text = text
        self.name, _, options = text.partition(":")
        self.options = [option for option in options.split(",") if option]
        self.folder = PEERS / self.name
        wanted = programs.get(self.name, "")
        self.program = os.path.abspath(shutil.which(wanted) or "") if wanted else ""
        if self.name not in names() or not all("=" in option for option in self.options):
            raise ValueError(f"{text}: wanted NAME[:KEY=VALUE,...], NAME out of "
                             + ", ".join(names()))
        if wanted and not os.path.isfile(self.program):
            raise ValueError(f"{wanted}: no such program")

    def packages(self):
        """Debian packages that it takes, unless its program was named."""
        listed = self.folder / "packages"
        return listed.read_text().split() if listed.exists() and not self.program else []


class Side:
    """All processes of one side of a pair, seen as one end."""

    def __init__(self, namespace, files, counters):
        self.namespace, self._counters = namespace, counters
        self.processes = []
        for file in files:
            process = Usage()
            process.name, process.pid = file.stem, int(file.read_text())
            self.processes.append(process)

    def cpu_s(self):
        return sum(process.cpu_s() for process in self.processes)

    def rss(self):
        """Of the largest process."""
        return max(process.rss() for process in self.processes)

    def waits(self):
        return sum(process.waits() for process in self.processes)

    def stats(self):
        """The sum of their counters, or None where they have none."""
        if self._counters is None:
            return None
        total = collections.Counter()
        for process in self.processes:
            for line in self._counters(process.name).splitlines():
                name, value = line.split()
                total[name] += int(value)
        return total


class Pair:
    """`clients` clients in net.a and one server in net.b that knows `peers` of them, running."""

    def __init__(self, kind, peers=1, clients=1):
        self.kind, self.clients = kind, clients
        self.net = Net()
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="cv-bench-")
            self.folder = pathlib.Path(self._folder.name)
            self._environment = os.environ | {
                "BENCH_A": self.net.a.name, "BENCH_B": self.net.b.name,
                "BENCH_OUTER_A": self.net.outer("a", 4), "BENCH_OUTER_B": self.net.outer("b", 4),
                "BENCH_LABEL": self.net.label, "BENCH_MTU": str(MTU),
                "BENCH_DIR": str(self.folder), "BENCH_PROGRAM": kind.program,
                "BENCH_OPTIONS": "\n".join(kind.options), "BENCH_PEERS": str(peers),
                "BENCH_CLIENTS": str(clients)}
            self._start()
        except BaseException:
            self.close(failed=True)
            raise

    def _script(self, name, *args):
        done = subprocess.run([self.kind.folder / name, *args], env=self._environment, cwd=ROOT,
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if done.returncode == UNSUPPORTED:
            raise Unsupported(self.kind.text)
        if done.returncode != 0:
            raise RuntimeError(f"peers/{self.kind.name}/{name}: exit {done.returncode}")
        return done.stdout

    def _start(self):
        self.version = self._script("up").strip()
        counters = self.kind.folder / "counters"
        ask = (lambda name: self._script("counters", name)) if counters.exists() else None
        self.client, self.server = (
            Side(namespace, sorted(self.folder.glob(pattern)), ask)
            for namespace, pattern in ((self.net.a, "client.*.pid"), (self.net.b, "server.pid")))
        for number in range(self.clients):
            for family in (4, 6):
                poll(lambda: self._answers(self.inner("b", family, number)),
                     f"client {number} reaches the server, v{family}")

    def _answers(self, address):
        return self.net.a.run("ping", "-c", 1, "-W", 1, address, check=False).returncode == 0

    @staticmethod
    def inner(side, family=4, number=0):
        """The address inside of client `number` ("a"), or that of the server ("b") for it."""
        last = {"a": 1, "b": 2}[side]
        return f"10.77.{number}.{last}" if family == 4 else f"fd77:0:0:{number}::{last}"

    def close(self, failed=False):
        try:
            if failed and hasattr(self, "folder"):
                for log in sorted(self.folder.glob("*.log"))[:4]:
                    progress(f"--- {log.stem}\n{log.read_text(errors='replace')[-2000:]}")
            if hasattr(self, "_environment"):
                self._script("down")
        finally:
            self.net.close()
            if hasattr(self, "_folder"):
                self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(failed=kind is not None and issubclass(kind, (Exception,)))
