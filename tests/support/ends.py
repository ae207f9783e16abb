"""The two kinds of tunnel end that tests and benches start: Convoy, and wireguard-go."""
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time

from net import run

# Generous: nothing here is a bar, a test that reaches it has failed. Sanitizers are slow.
PATIENCE_S = 30
STOP_S = 10
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                       r"Assertion .* failed")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def poll(holds, what):
    """Ask until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def new_key():
    """(private, public), base64."""
    private = run("wg", "genkey").stdout.strip()
    return private, public_key(private)


def public_key(private):
    return run("wg", "pubkey", input=private + "\n").stdout.strip()


def new_psk():
    return run("wg", "genpsk").stdout.strip()


@dataclasses.dataclass
class Peer:
    """One [Peer] section. Endpoint "1.2.3.4:5" or "[v6]:5"."""
    public: str
    allowed: list
    endpoint: str = None
    psk: str = None
    keepalive: int = None

    def text(self):
        lines = ["[Peer]", f"PublicKey = {self.public}"]
        if self.allowed:
            lines.append(f"AllowedIPs = {', '.join(self.allowed)}")
        for key, value in (("PresharedKey", self.psk), ("Endpoint", self.endpoint),
                           ("PersistentKeepalive", self.keepalive)):
            if value is not None:
                lines.append(f"{key} = {value}")
        return "\n".join(lines) + "\n"


@dataclasses.dataclass
class Tunnel:
    """What a config file says; `extra` are further keys of [Interface], as in Workers = 2."""
    private: str
    addresses: list
    peers: list
    port: int = None
    mtu: int = None
    name: str = "convoy0"
    extra: dict = dataclasses.field(default_factory=dict)

    @property
    def public(self):
        return public_key(self.private)

    def text(self, quick=True):
        """The file in wg-quick's format, or with quick=False in that of `wg setconf`."""
        keys = {"PrivateKey": self.private, "ListenPort": self.port}
        if quick:
            keys |= {"Address": ", ".join(self.addresses), "MTU": self.mtu, **self.extra}
        lines = [f"{key} = {value}" for key, value in keys.items() if value not in (None, "")]
        return "\n".join(["[Interface]", *lines, ""] + [peer.text() for peer in self.peers])


class Lines:
    """The lines of a pipe as they come; wait() for one without sleeping."""

    def __init__(self, pipe):
        self._lines, self._ended, self._news = [], False, threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(pipe,), daemon=True)
        self._thread.start()

    def _follow(self, pipe):
        with pipe:
            for line in pipe:
                with self._news:
                    self._lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def count(self):
        with self._news:
            return len(self._lines)

    def text(self):
        with self._news:
            return "\n".join(self._lines)

    def since(self, start):
        with self._news:
            return self._lines[start:]

    def wait(self, pattern, start=0, patience_s=PATIENCE_S):
        """The first match in a line from number `start` on, and the number after that line."""
        pattern, deadline = re.compile(pattern), time.monotonic() + patience_s
        with self._news:
            while True:
                while start < len(self._lines):
                    start += 1
                    if match := pattern.search(self._lines[start - 1]):
                        return match, start
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "ended" if self._ended else f"was silent for {patience_s} s"
                    shown = "\n".join(self._lines[-40:])
                    raise AssertionError(f"no line with {pattern.pattern!r}: it {why}\n{shown}")
                self._news.wait(left)

    def drain(self):
        """Wait for the end of the pipe."""
        self._thread.join(STOP_S)


class Usage:
    """What the process with our `pid` uses: CPU, memory and wake-ups."""

    def cpu_s(self):
        """CPU seconds so far, user and system, of all threads."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss(self):
        """Resident memory in bytes."""
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def waits(self):
        """How often any of its threads gave up the CPU to wait: each wake-up from idle is one."""
        total = 0
        for status in pathlib.Path(f"/proc/{self.pid}/task").glob("*/status"):
            total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(),
                                   re.M)[1])
        return total


class End(Usage):
    """A running tunnel end: a process and its interface in a namespace."""

    def __init__(self, namespace, tunnel):
        self.namespace, self.tunnel, self.name = namespace, tunnel, tunnel.name
        self.process, self.lines, self.ended = None, None, False

    def _start(self, argv, env):
        self.process = self.namespace.popen(*argv, env={**os.environ, **env}, text=True,
                                            errors="replace", stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.lines = Lines(self.process.stderr)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_exit(self, patience_s=STOP_S):
        """The exit code; the process must be on its way out."""
        code = self.process.wait(patience_s)
        self.ended = True
        self.lines.drain()
        return code

    def kill(self):
        self.process.kill()
        self.wait_exit()

    def said(self):
        """What it printed, without the counters that are 0."""
        return re.sub(r"(?m)^.*\bstat \S+ 0\n", "", self.lines.text() + "\n")

    def last_words(self):
        """Let it tell how it stands, before it is killed in a test that failed."""

    def until(self, holds, what):
        """Ask again and again whether something holds, as long as the process lives."""
        def holds_or_died():
            assert self.running(), f"{self.name} ended while we waited: {what}"
            return holds()
        poll(holds_or_died, what)


class Convoy(End):
    """`convoy run FILE` in a namespace."""

    READY = r"\b{name}: running\b"

    def __init__(self, binary, namespace, tunnel, env=None):
        super().__init__(namespace, tunnel)
        self.binary, self.env = binary, env or {}
        self._before = None

    def start(self, ready=True):
        """Start it, and unless told otherwise wait until it says that it runs."""
        self._before = self._rules()
        self._folder = tempfile.TemporaryDirectory(prefix=f"cv{os.getpid()}-")
        self._file = pathlib.Path(self._folder.name, f"{self.name}.conf")
        self._file.touch(mode=0o600)
        self._file.write_text(self.tunnel.text())
        self._start([self.binary, "run", self._file], self.env)
        if ready:
            self.lines.wait(self.READY.format(name=re.escape(self.name)))
        return self

    def reload(self, text=None):
        """Rewrite the file from the tunnel, or as this text, and apply it."""
        self._file.write_text(text or self.tunnel.text())
        self.namespace.run(self.binary, "reload", self.name)

    def wait_exit(self, patience_s=STOP_S):
        code = super().wait_exit(patience_s)
        self._folder.cleanup()
        return code

    def kill(self):
        """End it without a chance to clean up, and wait until the kernel has done so.

        The files of a ring are let go some time after the process is gone: the interface and the
        port may be in use until then.
        """
        super().kill()
        poll(lambda: not self._lingers(), "interface and port are free again")

    def _lingers(self):
        if self.name in self.namespace.ip("link"):
            return True
        with self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", self.tunnel.port or 0))
            except OSError:
                return True
        return False

    def refused(self):
        """Started in vain: wait for its end and return what it said."""
        code = self.wait_exit(PATIENCE_S)
        self.check_sane()
        assert code not in (0, None) and code > 0, f"exit {code}, wanted an error"
        return self.lines.text()

    def capabilities(self):
        """{"loop": "io_uring", "tso": "yes", ...} of the line it prints at start."""
        match, _ = self.lines.wait(rf"\b{re.escape(self.name)}: capabilities (.*)")
        return dict(word.split("=", 1) for word in match[1].split())

    def stats(self):
        """Its counters, now: {"drop.replay": 0, ...}; a name never counted reads 0."""
        seen = self.lines.count()
        self.process.send_signal(signal.SIGUSR2)
        _, end = self.lines.wait(r"\bstat end$", seen)
        return self._parse(self.lines.since(seen)[:end - seen])

    def final_stats(self):
        """The counters it printed on its way out."""
        lines = self.lines.since(0)
        last = max(i for i, line in enumerate(lines) if line.endswith("stat begin"))
        return self._parse(lines[last:])

    @staticmethod
    def _parse(lines):
        found = (re.search(r"\bstat (\S+) (\d+)$", line) for line in lines)
        return collections.Counter({match[1]: int(match[2]) for match in found if match})

    def peer_stat(self, what, number=0):
        return self.stats()[f"peer.{self.tunnel.peers[number].public}.{what}"]

    def wait_stat(self, name, at_least):
        """Ask until counter `name` has come that far; returns all of them."""
        self.until(lambda: self.stats()[name] >= at_least, f"{name} >= {at_least}")
        return self.stats()

    def stop(self, how=signal.SIGTERM):
        """End it as a service manager would; nothing may be left of it."""
        self.process.send_signal(how)
        code = self.wait_exit()
        self.check_sane()
        assert code == 0, f"exit {code}\n{self.lines.text()}"
        self.check_gone()

    def last_words(self):
        with contextlib.suppress(AssertionError, ProcessLookupError):
            self.stats()

    def check_sane(self):
        """No sanitizer complained, no assertion failed, no secret was printed."""
        text = self.lines.text()
        assert not SANITIZER.search(text), text
        secrets = [self.tunnel.private, *(peer.psk for peer in self.tunnel.peers if peer.psk)]
        assert not any(secret in text for secret in secrets), "a secret was printed"

    def check_gone(self):
        """No link, route or rule of ours is left in the namespace."""
        links = [link["ifname"] for link in self.namespace.ip_json("link")]
        assert self.name not in links, links
        for family in ("-4", "-6"):
            routes = self.namespace.ip(family, "route", "show", "table", "all")
            assert f" dev {self.name} " not in f"{routes} ", routes
        assert self._rules() == self._before

    def _rules(self):
        return [self.namespace.ip(family, "rule") for family in ("-4", "-6")]


class WireguardGo(End):
    """wireguard-go in the foreground, set up with wg(8) and ip(8)."""

    def __init__(self, binary, namespace, tunnel):
        super().__init__(namespace, tunnel)
        self.binary = binary

    def start(self, log="verbose"):
        self._start([self.binary, "-f", self.name],
                    {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": log})
        self.until(self._answers, "its control socket answers")
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
            conf.write(self.tunnel.text(quick=False))
            conf.flush()
            self.namespace.run("wg", "setconf", self.name, conf.name)
        for address in self.tunnel.addresses:
            self.namespace.ip("addr", "add", address, "dev", self.name)
        self.namespace.ip("link", "set", self.name, "mtu", self.tunnel.mtu or 1420, "up")
        for peer in self.tunnel.peers:
            for prefix in peer.allowed:
                self.namespace.ip("route", "replace", prefix, "dev", self.name)
        return self

    def _answers(self):
        return self.namespace.run("wg", "show", self.name, check=False).returncode == 0

    def show(self):
        """(seconds since the epoch of the last handshake, rx bytes, tx bytes) of the first peer."""
        dump = self.namespace.run("wg", "show", self.name, "dump").stdout.splitlines()[1]
        return tuple(map(int, dump.split("\t")[4:7]))

    def stop(self):
        self.process.terminate()
        self.wait_exit()


def peer_of(end, number=0):
    """What `convoy show --json` says of a peer of that end."""
    done = subprocess.run([end.binary, "show", end.name, "--json"], text=True, check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)[end.name]["peers"][end.tunnel.peers[number].public]
