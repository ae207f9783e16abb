"""Ends that are set up by wg(8) alone, and the UAPI as a test speaks it."""
import base64
import os
import re
import socket

from ends import SANITIZER, WireguardGo

FOLDER = "/var/run/wireguard"


def path_of(name):
    return f"{FOLDER}/{name}.sock"


def hex_of(key):
    """Of a key in base64."""
    return base64.b64decode(key).hex()


class Bare(WireguardGo):
    """`PROGRAM -f IFNAME`; PROGRAM is convoy or wireguard-go. What is set up is up to the test."""

    def start(self, log="verbose", **env):
        self._start([self.binary, "-f", self.name], {"LOG_LEVEL": log, **env})
        self.until(self._answers, "its control socket answers")
        return self

    def set_up(self, **kwargs):
        """Start it and set it up as the tunnel says."""
        return super().start(**kwargs)

    def wg(self, *args, **kwargs):
        return self.namespace.run("wg", *args, **kwargs)

    def uapi(self):
        return Uapi(self.name)

    def stop(self):
        if self.running():
            self.process.terminate()
        self.check_end()

    def check_end(self):
        """It ended of its own accord, in order, and left nothing."""
        code = self.wait_exit()
        text = self.lines.text()
        assert not SANITIZER.search(text), text
        assert code == 0, f"exit {code}\n{text}"
        assert not os.path.lexists(path_of(self.name)) or "wireguard-go" in self.binary
        assert self.name not in [link["ifname"] for link in self.namespace.ip_json("link")]


class Uapi:
    """A connection to a control socket."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(path_of(name))
        self._read = b""

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def reply(self):
        """The next reply without its empty line; None at the end of the connection."""
        while b"\n\n" not in self._read:
            more = self.socket.recv(1 << 16)
            if not more:
                return None
            self._read += more
        reply, _, self._read = self._read.partition(b"\n\n")
        return reply.decode()

    def ask(self, text):
        self.send(text)
        return self.reply()

    def errno(self, text):
        return int(re.fullmatch(r"errno=(-?\d+)", self.ask(text))[1])

    def get(self):
        """(keys of the device, {public key: its keys}); allowed-IPs as a sorted list."""
        device, peers = {}, {}
        into = device
        lines = self.ask("get=1\n\n").split("\n")
        assert lines.pop() == "errno=0"
        for line in lines:
            key, _, value = line.partition("=")
            if key == "public_key":
                into = peers.setdefault(value, {"allowed_ip": []})
            elif key == "allowed_ip":
                into[key] = sorted([*into[key], value])
            else:
                assert key not in into, line
                into[key] = value
        return device, peers

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
