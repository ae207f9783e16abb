"""What is measured of a pair of ends: each measure gives a dict of figures."""
import contextlib
import dataclasses
import json
import math
import subprocess
import time

from measure import GIB, machine, measured, progress, ratio

from pair import Pair, Unsupported
from traffic import Iperf, Workers, ping_text, ping_times

MIB = 1 << 20
MOST_LOST_PERCENT = 1
# iperf3 lets ten datagrams go at once, and its sockets hold 4 MiB: it must not be the limit.
UDP = ("-u", "-w", "4M")
UDP_BURST = 10
RANGE = 32  # the bisection starts between what iperf3 can send and that much less


@dataclasses.dataclass
class Settings:
    """How long and how large."""
    seconds: int = 5       # of each TCP run
    step_s: int = 2        # of each step of the UDP bisection
    steps: int = 6
    pings: int = 1000
    ping_s: float = 0.002  # between two of them
    idle_s: float = 5
    peers: int = 1000
    live: int = 20


QUICK = Settings(seconds=1, step_s=1, steps=1, pings=100, idle_s=0.5, peers=20, live=2)


def flow(*args, family=4):
    """A measure: one run of iperf3 over TCP."""
    def measure(pair, settings):
        with Iperf(pair.net.b) as iperf:
            return measured(iperf, pair.client, pair.server, pair.inner("b", family),
                            settings.seconds, *args)
    return measure


def datagrams(size):
    """A measure: the highest rate of datagrams of `size` bytes that loses under 1 %."""
    def measure(pair, settings):
        def attempt(rate):
            bits = f"{int(rate * size * 8)}/{UDP_BURST}" if rate else "0"
            with Iperf(pair.net.b) as iperf:
                result = measured(iperf, pair.client, pair.server, pair.inner("b"),
                                  settings.step_s, *UDP, "-l", str(size), "-b", bits)
            result["sent_kpps"] = result.pop("sent") / result["seconds"] / 1000
            result["kpps"] = result.pop("received") / result.pop("seconds") / 1000
            return result
        return bisect(attempt, settings.steps)
    return measure


def bisect(attempt, steps):
    """The best result of attempt(datagrams a second) that keeps to the bar, after `steps` rates.

    The first attempt sends as fast as it can. If that is within the bar, the sender is the limit
    and not the tunnel, which `sender_bound` tells. What arrives of too much is a good first guess.
    Loss comes in bursts on a busy machine, and more to some peers than to others: a rate is too
    high when it was so twice.
    """
    best = attempt(None)
    best["sender_bound"] = best["lost_percent"] < MOST_LOST_PERCENT
    if best["sender_bound"]:
        return best
    low, high = best["sent_kpps"] * 1000 / RANGE, best["sent_kpps"] * 1000
    rate, best = best["kpps"] * 1000, {"kpps": None, "sender_bound": False}
    for _ in range(steps):
        result = attempt(rate)
        if result["lost_percent"] >= MOST_LOST_PERCENT:
            result = attempt(rate)
        if result["lost_percent"] < MOST_LOST_PERCENT:
            low = rate
            if best["kpps"] is None or result["kpps"] > best["kpps"]:
                best = result | {"sender_bound": False}
        else:
            high = rate
        rate = math.sqrt(low * high)
    return best


def latency(pair, settings):
    """Round trips, of what `ping` sees: percentiles in ms, and how many were lost."""
    text = ping_text(pair.net.a, pair.inner("b"), count=settings.pings, interval=settings.ping_s,
                     wait_s=1)
    times = ping_times(text)
    if not times:
        raise RuntimeError("no ping came back")
    return {"p50_ms": times[len(times) // 2], "p99_ms": times[len(times) * 99 // 100],
            "pings_lost": settings.pings - len(times)}


def latency_under_load(pair, settings):
    """The same while one TCP flow runs as fast as it can."""
    result = {}
    brief = dataclasses.replace(settings, pings=int(0.7 * settings.seconds / settings.ping_s))

    def ping():
        time.sleep(0.2 * settings.seconds)  # the flow has found its rate by then
        result.update(latency(pair, brief))

    with Iperf(pair.net.b) as iperf:
        threads = Workers()
        threads.go(ping)
        load = iperf.run(pair.net.a, pair.inner("b"), settings.seconds)
        threads.join()
    return result | {"mbit_s": load["mbit_s"]}


def memory(pair, _):
    """Resident memory of either end, after what came before in the list."""
    if not pair.server.processes:
        raise Unsupported
    return {"client_mib": pair.client.rss() / MIB, "server_mib": pair.server.rss() / MIB}


def idle(pair, settings):
    """CPU and wake-ups of both ends while nothing is sent."""
    if not pair.server.processes:
        raise Unsupported
    sides = (pair.client, pair.server)

    def used():
        return [sum(getattr(side, what)() for side in sides) for what in ("cpu_s", "waits")]

    before, then = used(), time.monotonic()
    time.sleep(settings.idle_s)
    passed = time.monotonic() - then
    cpu, waits = ((now - was) / passed for now, was in zip(used(), before))
    return {"cpu_percent": 100 * cpu, "wakeups_s": waits}


class Together:
    """As many iperf3 as there are live clients, at once, as if they were one.

    Run i goes to the server's address for client i, from that client: `spread`; or all go through
    client 0.
    """

    def __init__(self, pair, live, spread):
        self._stack = contextlib.ExitStack()
        self._ways = [(self._stack.enter_context(Iperf(pair.net.b, 5201 + i)),
                       *(pair.inner(side, 4, i if spread else 0) for side in "ab"))
                      for i in range(live)]

    def run(self, namespace, _, seconds):
        results, threads = [], Workers()

        def one(iperf, source, address):
            results.append(iperf.run(namespace, address, seconds, "-B", source))

        for way in self._ways:
            threads.go(one, *way)
        threads.join()
        return {name: sum(result[name] for result in results) for name in ("mbit_s", "bytes")}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()


def together(pair, settings, spread):
    with Together(pair, settings.live, spread) as flows:
        server = pair.server.cpu_s()
        result = measured(flows, pair.client, pair.server, None, settings.seconds)
        server = pair.server.cpu_s() - server
    return result | {"server_cpu_s_gib": ratio(server * GIB, result["bytes"]) or None}


def one_of_many(kind, settings):
    """The base of the next: as many flows as there would be live clients, all of one client."""
    with Pair(kind) as pair:
        return together(pair, settings, spread=False)


def many(kind, settings):
    """The server knows `peers` clients; `live` of them, each a daemon, carry a flow each."""
    with Pair(kind, settings.peers, settings.live) as pair:
        return together(pair, settings, spread=True) | {
            "server_mib": pair.server.rss() / MIB}


def bisection_s(settings):
    """About half of the rates need their second attempt."""
    return (1 + 1.5 * settings.steps) * settings.step_s


# Those of one pair, in order: (name, label, function, seconds that it takes).
OF_A_PAIR = (
    ("ping", "ping, idle", latency, lambda s: s.pings * s.ping_s),
    ("tcp", "TCP, one flow", flow(), lambda s: s.seconds),
    ("tcp4", "TCP, four flows", flow("-P", "4"), lambda s: s.seconds),
    ("reverse", "TCP, reverse", flow("-R"), lambda s: s.seconds),
    ("both", "TCP, both directions at once", flow("--bidir"), lambda s: s.seconds),
    ("tcp_v6", "TCP in IPv6", flow(family=6), lambda s: s.seconds),
    ("udp64", "UDP, 64 bytes", datagrams(64), bisection_s),
    ("udp1392", "UDP, 1392 bytes", datagrams(1392), bisection_s),
    ("loaded", "ping, beside a TCP flow", latency_under_load, lambda s: s.seconds),
    ("memory", "memory after that", memory, lambda s: 0),
    ("idle", "idle", idle, lambda s: s.idle_s),
)
# Those that start pairs of their own.
OF_MANY = (
    ("flows", "TCP, a flow for each live client, one peer", one_of_many, lambda s: s.seconds + 1),
    ("peers", "TCP, many peers", many, lambda s: s.seconds + 1 + 0.2 * s.live),
)
LABELS = {name: label for name, label, _, _ in OF_A_PAIR + OF_MANY}
FLOWS = ("tcp", "tcp4", "reverse", "both", "tcp_v6", "udp64", "udp1392", "flows", "peers")


def expected_s(settings, chosen):
    """About how long one pair takes; to begin and to end takes time as well."""
    return 3 + sum(0.5 + takes(settings) for name, _, _, takes in OF_A_PAIR + OF_MANY
                   if name in chosen)


def attempted(name, function, *args):
    """A measure's figures; {"unsupported": true} or {"error": ...} instead if there are none."""
    progress(f"  {LABELS[name]}")
    try:
        return function(*args)
    except Unsupported:
        return {"unsupported": True}
    except (RuntimeError, AssertionError, OSError, json.JSONDecodeError,
            subprocess.TimeoutExpired) as failure:
        progress(f"  failed: {failure}")
        return {"error": str(failure)}


def run(kind, settings, chosen):
    """All chosen measures of one kind: a record for the JSON lines."""
    results = {}
    with Pair(kind) as pair:
        version = pair.version
        if any(name in FLOWS for name in chosen):
            with Iperf(pair.net.b) as iperf:  # caches, windows and pools at their size
                iperf.run(pair.net.a, pair.inner("b"), 1)
        for name, _, function, _ in OF_A_PAIR:
            if name in chosen:
                results[name] = attempted(name, function, pair, settings)
    for name, _, function, _ in OF_MANY:
        if name in chosen:
            results[name] = attempted(name, function, kind, settings)
    return {"peer": kind.text, "version": version, "settings": dataclasses.asdict(settings),
            "measures": results, "facts": machine()}
