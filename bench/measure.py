"""What the benches share: a measured run through two tunnel ends, and the machine's facts."""
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

from ends import Convoy  # noqa: E402

CALLS = ("udp.send_calls", "udp.receive_calls", "tun.read_calls", "tun.write_calls", "loop.turns")
GIB = 1 << 30


def progress(text):
    print(text, file=sys.stderr, flush=True)


def ratio(over, under):
    return over / under if under else None


def measured(iperf, client, server, address, seconds, *args):
    """One iperf3 run from client to server (with -R: back) and what it cost both ends.

    mbit_s: received payload. cpu_s_gib: CPU seconds of both daemons per GiB of it. Of a Convoy
    as well, from its own counters: segments per UDP send at the sender, packets per TUN write at
    the receiver, system calls per datagram over both ends.
    """
    ends = (client, server)
    counted = all(isinstance(end, Convoy) for end in ends)
    before = [end.stats() if counted else None for end in ends]
    cpu = sum(end.cpu_s() for end in ends)
    result = iperf.run(client.namespace, address, seconds, *args)
    cpu = sum(end.cpu_s() for end in ends) - cpu
    result["cpu_s_gib"] = ratio(cpu * GIB, result["bytes"])
    if counted:
        near, far = (end.stats() - then for end, then in zip(ends, before))
        sender, receiver = (far, near) if "-R" in args else (near, far)
        result["segments_per_send"] = ratio(sender["udp.send_datagrams"],
                                            sender["udp.send_trains"])
        result["packets_per_write"] = ratio(receiver["tun.write_pkts"],
                                            receiver["tun.write_calls"])
        datagrams = sum(end["udp.send_datagrams"] + end["udp.receive_datagrams"]
                        for end in (near, far))
        result["calls_per_datagram"] = ratio(sum(end[name] for end in (near, far)
                                                 for name in CALLS), datagrams)
    return result


def number(value, digits=0):
    """A cell of a table."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    """Lines of text: the first column to the left, numbers to the right."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        yield "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths)))


def machine():
    """The facts that a figure means nothing without."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    commit = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe",
                             "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {"kernel": platform.release(), "cpu": model[1] if model else platform.machine(),
            "cores": len(re.findall(r"^processor", cpuinfo, re.M)), "commit": commit,
            "command": " ".join(sys.argv)}
