"""What the benches share: a measured run through two tunnel ends, and the machine's facts."""
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

CALLS = ("udp.send_calls", "udp.receive_calls", "tun.read_calls", "tun.write_calls", "loop.turns")
GIB = 1 << 30
# How a sender's TCP says that segments were not lost but late (Linux, TcpExt in netstat).
REORDERED = ("TCPSACKReorder", "TCPRenoReorder", "TCPTSReorder")


def progress(text):
    print(text, file=sys.stderr, flush=True)


def need_packages(*packages):
    """Install those of the named Debian packages that are missing."""
    script = '. tests/support/packages.sh && need_packages "${NET_PACKAGES[@]}" "$@" >&2'
    subprocess.run(["bash", "-c", script, "bash", *packages], cwd=ROOT, check=True)


def ratio(over, under):
    return over / under if under else None


def tcp_counts(namespaces):
    """What TCP of these namespaces did so far: (segments sent again, reorderings seen)."""
    counts = {}
    for namespace in namespaces:
        with namespace.entered():
            text = "".join(pathlib.Path("/proc/thread-self/net", name).read_text()
                           for name in ("snmp", "netstat"))
        lines = text.splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            for name, value in zip(names.split()[1:], values.split()[1:]):
                counts[name] = counts.get(name, 0) + int(value)
    return counts["RetransSegs"], sum(counts.get(name, 0) for name in REORDERED)


def measured(iperf, client, server, address, seconds, *args):
    """One run of `iperf` from client to server (with -R: back) and what it cost both ends.

    mbit_s: received payload. cpu_s_gib: CPU seconds of both ends per GiB of it, None of ends
    without processes. retransmits and
    reordered: of TCP in both namespaces, of UDP reordered are datagrams. Of ends that count
    (stats() is not None) as well: segments per UDP send at the sender, packets per TUN write at
    the receiver, system calls per datagram over both ends.
    """
    ends = (client, server)
    namespaces = [end.namespace for end in ends]
    before = [end.stats() for end in ends]
    again, late = tcp_counts(namespaces)
    cpu = sum(end.cpu_s() for end in ends)
    result = iperf.run(client.namespace, address, seconds, *args)
    cpu = sum(end.cpu_s() for end in ends) - cpu
    result["cpu_s_gib"] = ratio(cpu * GIB, result["bytes"]) or None
    result["retransmits"], result["reordered"] = (
        now - then for now, then in zip(tcp_counts(namespaces), (again, late)))
    result["reordered"] += result.pop("out_of_order", 0)
    if None not in before:
        near, far = (end.stats() - then for end, then in zip(ends, before))
        result |= trains(near, far, "-R" in args)
    return result


def trains(near, far, backward):
    """From the counters of both ends: how well packets travelled together."""
    sender, receiver = (far, near) if backward else (near, far)
    datagrams = sum(end["udp.send_datagrams"] + end["udp.receive_datagrams"]
                    for end in (near, far))
    calls = sum(end[name] for end in (near, far) for name in CALLS)
    return {"segments_per_send": ratio(sender["udp.send_datagrams"], sender["udp.send_trains"]),
            "packets_per_write": ratio(receiver["tun.write_pkts"], receiver["tun.write_supers"]),
            "calls_per_datagram": ratio(calls, datagrams)}


def number(value, digits=0):
    """A cell of a table."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    """Lines of text: the first column to the left, numbers to the right."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        yield "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths)))


FLOW_COLUMNS = (("mbit_s", "Mbit/s", 0), ("kpps", "1000 packets/s", 1),
                ("lost_percent", "lost %", 2), ("cpu_s_gib", "CPU s/GiB", 2),
                ("retransmits", "sent again", 0), ("reordered", "reordered", 0),
                ("segments_per_send", "segments/UDP send", 1),
                ("packets_per_write", "packets/TUN write", 1),
                ("calls_per_datagram", "syscalls/datagram", 3))


def flow_table(rows):
    """Lines for [(label, result of measured())]; columns that nothing has are left out."""
    columns = [column for column in FLOW_COLUMNS
               if any(result.get(column[0]) is not None for _, result in rows)]
    return table(("", *(label for _, label, _ in columns)), [
        (label, *(number(result.get(name), digits) for name, _, digits in columns))
        for label, result in rows])


def machine():
    """The facts that a figure means nothing without."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    commit = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe",
                             "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {"kernel": platform.release(), "cpu": model[1] if model else platform.machine(),
            "cores": len(re.findall(r"^processor", cpuinfo, re.M)), "commit": commit,
            "command": " ".join(sys.argv)}
