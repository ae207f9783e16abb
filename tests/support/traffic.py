"""Traffic through a tunnel: pings, datagrams and streams whose bytes are compared, and iperf3."""
import hashlib
import json
import os
import random
import re
import socket
import subprocess
import threading
import time

STALL_S = 30  # a transfer that moves nothing for so long has failed; not a bar
UDP_SEGMENT = 103  # linux/udp.h
CHUNK = 1 << 18


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ping_text(namespace, address, count=10, interval=0.01, size=56, wait_s=10):
    return namespace.run("ping", "-n", "-c", count, "-i", interval, "-s", size, "-W", wait_s,
                         address, check=False).stdout


def ping(*args, **kwargs):
    """Returns (lost, median rtt in ms or None)."""
    return ping_result(ping_text(*args, **kwargs))


def ping_result(text):
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+)", text).groups())
    times = ping_times(text)
    return sent - received, times[len(times) // 2] if times else None


def ping_times(text):
    """The round trips in ms, from the shortest."""
    return sorted(float(t) for t in re.findall(r"time=([\d.]+) ms", text))


def reaches(namespace, address, **kwargs):
    """Whether every ping came back, at the second try at the latest: ping(8) waits for the last one
    twice as long as the slowest before it took, which is too short on a busy machine."""
    return any(ping(namespace, address, **kwargs)[0] == 0 for _ in range(2))


class Workers:
    """Threads whose first failure is raised where they are joined."""

    def __init__(self):
        self._threads, self._failures = [], []

    def go(self, function, *args):
        def body():
            try:
                function(*args)
            except BaseException as failure:
                self._failures.append(failure)
        self._threads.append(threading.Thread(target=body, daemon=True))
        self._threads[-1].start()

    def join(self):
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]


class Stream:
    """Random bytes over TCP both ways at once on one connection, hashed at both ends.

    The connection is made at once; transfer() moves the bytes. `client` connects to `address`
    in `server`. The buffers are a page of random bytes sent over and over behind a counter, so
    that a repeated, lost or moved block changes the hash. `came[way]` is what arrived so far,
    `stall_s` the longest time in which nothing did on a way that was to be heard of.
    """

    def __init__(self, client, server, address, port=5001):
        family = family_of(address)
        with server.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(1)
            listener.settimeout(STALL_S)
            self.left = client.socket(family, socket.SOCK_STREAM)
            self.left.settimeout(STALL_S)
            self.left.connect((address, port))
            self.right, _ = listener.accept()
            self.right.settimeout(STALL_S)
        self._noise = os.urandom(CHUNK)
        self.came, self.stall_s = {}, 0

    def transfer(self, size, both=True):
        """Move `size` bytes from left to right, and back at the same time; compare the hashes."""
        self.move(lambda sent: sent < size, both)

    def move(self, more, both=True):
        """Send while more(bytes sent) is true, then compare the hashes."""
        workers, hashes = Workers(), {}
        ways = [(self.left, self.right, "out")] + [(self.right, self.left, "home")] * both
        for source, sink, way in ways:
            workers.go(self._send, source, more, hashes, way)
            workers.go(self._receive, sink, hashes, way)
        workers.join()
        for _, _, way in ways:
            assert hashes[way, "sent"] == hashes[way, "received"], f"bytes differ on the way {way}"
        self.left.close()
        self.right.close()

    def _send(self, sock, more, hashes, way):
        digest, sent = hashlib.sha256(), 0
        while more(sent):
            block = sent.to_bytes(8, "big") + self._noise
            digest.update(block)
            sock.sendall(block)
            sent += len(block)
        sock.shutdown(socket.SHUT_WR)
        hashes[way, "sent"] = digest.digest()

    def _receive(self, sock, hashes, way):
        digest, buffer, heard = hashlib.sha256(), bytearray(CHUNK), time.monotonic()
        while count := sock.recv_into(buffer):
            digest.update(memoryview(buffer)[:count])
            self.came[way] = self.came.get(way, 0) + count
            now = time.monotonic()
            self.stall_s, heard = max(self.stall_s, now - heard), now
        hashes[way, "received"] = digest.digest()


def datagrams(client, server, address, count, largest, seed, ordered=True, window=32, port=5002):
    """`count` UDP datagrams of random sizes each way, every one compared byte by byte, in order.

    (Not in order: `ordered` False, for a multi-queue TUN, which may move a flow to another queue.)
    A window is sent, then all of it is received: never more is under way than socket buffers
    hold. Every fourth window is one send with UDP_SEGMENT, which reaches the TUN as one
    super-packet where it was granted USO.
    """
    family, rng = family_of(address), random.Random(seed)
    with server.socket(family, socket.SOCK_DGRAM) as far, \
            client.socket(family, socket.SOCK_DGRAM) as near:
        for sock in (far, near):
            sock.settimeout(STALL_S)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        far.bind((address, port))
        near.connect((address, port))
        near.send(b"hello")
        hello, where = far.recvfrom(64)
        assert hello == b"hello"
        far.connect(where)
        done = 0
        while done < count:
            for source, sink in ((near, far), (far, near)):
                if done // window % 4 == 3:
                    batch = _segments(source, rng, min(window, count - done), largest)
                else:
                    batch = [rng.randbytes(rng.randint(0, largest))
                             for _ in range(min(window, count - done))]
                    for data in batch:
                        source.send(data)
                _compare(batch, sink, largest, ordered)
            done += len(batch)


def _segments(sock, rng, count, largest):
    """Send equal datagrams and a shorter last one in one call; returns them."""
    size = rng.randint(1, min(largest, 1200))
    batch = [rng.randbytes(size) for _ in range(count - 1)] + [rng.randbytes(rng.randint(1, size))]
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    sock.send(b"".join(batch))
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
    return batch


def _compare(batch, sink, largest, ordered):
    got = [sink.recv(largest + 1) for _ in batch]
    if not ordered:
        batch, got = sorted(batch), sorted(got)
    for number, (wanted, data) in enumerate(zip(batch, got)):
        assert wanted == data, f"datagram {number} of a window: {len(wanted)} B, got {len(data)} B"


class Iperf:
    """One iperf3 server in a namespace; run() measures from a client in another."""

    def __init__(self, server, port=5201):
        self.port = port
        self._process = server.popen("iperf3", "-s", "-p", port, "--forceflush",
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self._process.stdout:
            if "listening" in line:
                break
        self._drain = threading.Thread(target=self._process.stdout.read, daemon=True)
        self._drain.start()

    def run(self, client, address, seconds, *args):
        """What arrived: {"mbit_s", "bytes"}; with --bidir the sum of both ways.

        Of UDP also "lost_percent", "out_of_order", "sent" and "received" datagrams, "seconds".
        """
        done = client.run("iperf3", "-J", "-c", address, "-p", self.port, "-t", seconds, *args,
                          check=False, timeout=seconds + STALL_S)
        report = json.loads(done.stdout)
        if "error" in report:
            raise RuntimeError(f"iperf3: {report['error']}")
        end = report["end"]
        if report["start"]["test_start"]["protocol"] == "UDP":
            return self._datagrams(end)
        ways = [end[name] for name in ("sum_received", "sum_received_bidir_reverse") if name in end]
        return {"mbit_s": sum(way["bytes"] * 8 / way["seconds"] / 1e6 for way in ways),
                "bytes": sum(way["bytes"] for way in ways)}

    @staticmethod
    def _datagrams(end):
        total = end["sum"]
        received = total["bytes"] * (1 - total["lost_percent"] / 100)
        return {"mbit_s": received * 8 / total["seconds"] / 1e6, "bytes": int(received),
                "lost_percent": total["lost_percent"],
                "sent": total["packets"], "received": total["packets"] - total["lost_packets"],
                "seconds": total["seconds"],
                "out_of_order": sum(each["udp"]["out_of_order"] for each in end["streams"])}

    def close(self):
        self._process.terminate()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
