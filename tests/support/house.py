"""A host as its owner sees it: an /etc of its own over a network namespace, and `convoy up`."""
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from ends import PATIENCE_S, SANITIZER, STOP_S, Usage, poll
from net import run


# What programs look for in /etc.
NEEDED = ("alternatives", "gai.conf", "group", "host.conf", "hosts", "iproute2", "ld.so.cache",
          "nsswitch.conf", "passwd", "protocols", "services")


class House:
    """A small /etc in a mount namespace that lies over a network namespace."""

    def __init__(self, namespace):
        self.namespace = namespace
        self._folder = tempfile.mkdtemp(prefix=f"{namespace.name.partition('-')[0]}-")
        self.etc = pathlib.Path(self._folder, "etc")
        self.etc.mkdir()
        run("cp", "-a", *filter(os.path.exists, (f"/etc/{name}" for name in NEEDED)), self.etc)
        (self.etc / "resolv.conf").write_text("nameserver 192.0.2.53\n")
        self._holder = namespace.popen(
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            f"mount --bind {self.etc} /etc && echo ready && exec sleep infinity",
            stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == "ready\n"

    def argv(self, *argv):
        """The command line that runs `argv` in here, as the process that it is."""
        return ["nsenter", "-t", str(self._holder.pid), "--mount", "--net", "--",
                *map(str, argv)]

    def run(self, *argv, **kwargs):
        return run(*self.argv(*argv), **kwargs)

    def popen(self, *argv, **kwargs):
        return subprocess.Popen(self.argv(*argv), **kwargs)

    def write(self, name, text, mode=0o600):
        """A file under /etc, rewritten in place."""
        path = self.etc / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=mode)
        path.write_text(text)
        return pathlib.Path("/etc", name)

    def state(self):
        """All that a tunnel may change, as text: {"what": "..."}."""
        ask = {"addresses": ("ip", "-o", "addr"), "firewall": ("nft", "list", "ruleset"),
               "marks": ("cat", "/proc/sys/net/ipv4/conf/all/src_valid_mark"),
               "dns": ("cat", "/etc/resolv.conf"),
               "dns file": ("stat", "-c%A %U", "/etc/resolv.conf")}
        for family in ("-4", "-6"):
            ask[f"routes {family}"] = ("ip", family, "route", "show", "table", "all")
            ask[f"rules {family}"] = ("ip", family, "rule")
        said = {what: self.run(*argv, check=False).stdout for what, argv in ask.items()}
        # The kernel's own: lifetimes, and link-local addresses that settle in their time.
        said["addresses"] = re.sub(r"valid_lft \S+ preferred_lft \S+", "", said["addresses"])
        return {what: "\n".join(line for line in text.splitlines()
                                if not re.search(r"\bfe80::|\bff00::", line))
                for what, text in said.items()}

    def close(self):
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Background(Usage):
    """A tunnel as /etc/convoy/NAME.conf of a house, and the commands on it. Its log is a file,
    which it keeps: a pipe it would let go of."""

    def __init__(self, binary, house, tunnel, env=None):
        self.binary, self.house, self.tunnel, self.name = binary, house, tunnel, tunnel.name
        self.log = house.etc / f"{self.name}.log"
        self._env = [f"{key}={value}" for key, value in (env or {}).items()]
        self.write()

    def write(self, text=None):
        return self.house.write(f"convoy/{self.name}.conf", text or self.tunnel.text())

    def command(self, *words, check=True):
        """`convoy WORDS...`; what it and the tunnel said on stderr from then on is .said."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            done = subprocess.run(self.house.argv("env", *self._env, self.binary, *words),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                  text=True, timeout=2 * PATIENCE_S)
        done.said = self.log.read_bytes()[before:].decode(errors="replace")
        assert not check or done.returncode == 0, f"{words}: exit {done.returncode}\n{done.said}"
        return done

    def up(self, **kwargs):
        return self.command("up", self.name, **kwargs)

    def down(self, **kwargs):
        return self.command("down", self.name, **kwargs)

    def reload(self, text=None, **kwargs):
        """Rewrite the file from the tunnel, or as this text, and apply it."""
        self.write(text)
        return self.command("reload", self.name, **kwargs)

    def show(self):
        return json.loads(self.command("show", self.name, "--json").stdout)[self.name]

    def peer(self, public):
        return self.show()["peers"][public]

    @property
    def pid(self):
        """Who listens at the tunnel's door; None when nobody does."""
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(f"/run/convoy/{self.name}.sock")
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            return struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                                       12))[0]

    def running(self):
        return self.pid is not None

    def kill(self, how=signal.SIGKILL):
        """End it without a chance to clean up; its keeper and the kernel may still be at it."""
        end_of(self.pid, how)

    def until(self, holds, what):
        def holds_or_died():
            assert self.running(), f"{self.name} ended while we waited: {what}\n{self.text()}"
            return holds()
        poll(holds_or_died, what)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_said(self, pattern):
        poll(lambda: re.search(pattern, self.text()), f"{pattern!r} in\n{self.text()}")

    def check_sane(self):
        """No sanitizer complained, no assertion failed, no secret was printed."""
        assert not SANITIZER.search(self.text()), self.text()
        secrets = [self.tunnel.private, *(peer.psk for peer in self.tunnel.peers if peer.psk)]
        assert not any(secret in self.text() for secret in secrets), "a secret was printed"

    def close(self, failed=False):
        try:
            if self.running():
                self.command("down", self.name, check=not failed)
        finally:
            with contextlib.suppress(TypeError):
                self.kill()
            print(f"--- {self.house.namespace.name} convoy up\n{self.text()}")
        if not failed:
            self.check_sane()


def end_of(pid, how):
    """Signal a process that is no child of ours, and wait for its end."""
    fd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(fd, how)
        poller = select.poll()
        poller.register(fd)
        assert poller.poll(STOP_S * 1000), f"process {pid} did not end"
    finally:
        os.close(fd)
