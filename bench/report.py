"""Records of the suite as text, as a Markdown table, and as a chart."""
import statistics
import subprocess

from measure import flow_table, number
from suite import FLOWS, LABELS

# (measure, field, label, digits): the rows of a comparison.
FIGURES = (
    ("tcp", "mbit_s", "TCP, one flow, Mbit/s", 0),
    ("tcp", "cpu_s_gib", "the same, CPU s/GiB", 2),
    ("tcp", "segments_per_send", "the same, segments/UDP send", 1),
    ("tcp4", "mbit_s", "TCP, four flows, Mbit/s", 0),
    ("reverse", "mbit_s", "TCP, reverse, Mbit/s", 0),
    ("both", "mbit_s", "TCP, both directions at once, sum, Mbit/s", 0),
    ("both", "cpu_s_gib", "the same, CPU s/GiB", 2),
    ("tcp_v6", "mbit_s", "TCP in IPv6, Mbit/s", 0),
    ("udp64", "kpps", "UDP 64 B under 1 % loss, 1000 packets/s", 1),
    ("udp1392", "kpps", "UDP 1392 B under 1 % loss, 1000 packets/s", 1),
    ("udp1392", "mbit_s", "the same, Mbit/s", 0),
    ("ping", "p50_ms", "ping idle, p50 ms", 3),
    ("ping", "p99_ms", "ping idle, p99 ms", 3),
    ("loaded", "p50_ms", "ping beside a TCP flow, p50 ms", 3),
    ("loaded", "p99_ms", "ping beside a TCP flow, p99 ms", 3),
    ("loaded", "mbit_s", "that TCP flow, Mbit/s", 0),
    ("memory", "server_mib", "memory of the server after that, MiB", 1),
    ("memory", "client_mib", "memory of the client after that, MiB", 1),
    ("idle", "cpu_percent", "idle CPU of both ends, %", 1),
    ("idle", "wakeups_s", "idle wake-ups of both ends, 1/s", 1),
    ("flows", "mbit_s", "TCP, a flow for each live client, one peer, Mbit/s", 0),
    ("peers", "mbit_s", "TCP, the same over many peers, Mbit/s", 0),
    ("flows", "server_cpu_s_gib", "one peer: CPU s/GiB of the server", 2),
    ("peers", "server_cpu_s_gib", "many peers: CPU s/GiB of the server", 2),
    ("peers", "server_mib", "many peers: memory of the server, MiB", 1),
)
PANELS = (
    ("tcp", "mbit_s", "TCP, one flow, Mbit/s"),
    ("both", "mbit_s", "TCP, both directions, Mbit/s"),
    ("tcp", "cpu_s_gib", "CPU seconds per GiB"),
    ("udp64", "kpps", "UDP 64 B, 1000 packets/s"),
    ("udp1392", "kpps", "UDP 1392 B, 1000 packets/s"),
    ("loaded", "p50_ms", "ping beside a TCP flow, ms"),
)


def failures(records):
    return [f"{record['peer']}, {LABELS[name]}: {result['error']}" for record in records
            for name, result in record["measures"].items() if "error" in result]


def described(facts):
    return (f"{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}, "
            f"{facts['commit']}; both ends and iperf3 on this machine")


def versions(records):
    return {record["peer"]: record["version"] for record in records}


def text(record):
    """One record, in lines."""
    measures = record["measures"]
    yield f"{record['peer']}: {record['version']}"
    yield described(record["facts"])
    yield ""
    rows = [(LABELS[name], measures[name]) for name in FLOWS if "mbit_s" in measures.get(name, {})]
    if rows:
        yield from flow_table(rows)
        yield ""
    if any(result.get("sender_bound") for _, result in rows):
        yield "UDP without loss at iperf3's highest rate: " + ", ".join(
            label for label, result in rows if result.get("sender_bound"))
    for name, field, label, digits in FIGURES:
        if name in measures and (name not in FLOWS or field.startswith("server")):
            yield f"{label}: {number(measures[name].get(field), digits)}"


class Values:
    """The rounds' values of a figure, by peer."""

    def __init__(self, records, name, field):
        self._values = {}
        for record in records:
            value = record["measures"].get(name, {}).get(field)
            values = self._values.setdefault(record["peer"], [])
            if value is not None:
                values.append(value)

    def any(self):
        return any(self._values.values())

    def spread(self, peer):
        """(median, least, most), or None."""
        values = self._values[peer]
        return (statistics.median(values), min(values), max(values)) if values else None

    def times(self, peer, base):
        """The median in times that of the base, or None."""
        own, other = self.spread(peer), self.spread(base)
        return own[0] / other[0] if own and other and other[0] else None


def markdown(records, base):
    """The comparison as lines of a Markdown table."""
    peers = list(versions(records))
    rounds = max(record["round"] for record in records)
    yield described(records[0]["facts"]) + "."
    yield (f"Medians of {rounds} interleaved round{'s' * (rounds > 1)} (least–most), and times "
           f"`{base}`. `{records[0]['facts']['command']}`")
    yield ""
    yield from (f"- `{peer}`: {version}" for peer, version in versions(records).items())
    yield ""
    yield "| | " + " | ".join(f"`{peer}`" for peer in peers) + " |"
    yield "|---|" + "---:|" * len(peers)
    for name, field, label, digits in FIGURES:
        values = Values(records, name, field)
        if values.any():
            cells = (cell(values, peer, base, digits) for peer in peers)
            yield f"| {label} | " + " | ".join(cells) + " |"
    late = {peer: sum(result.get("reordered") or 0 for record in records if record["peer"] == peer
                      for result in record["measures"].values()) for peer in peers}
    yield "| reordered segments and datagrams, sum | " + " | ".join(map(str, late.values())) + " |"


def cell(values, peer, base, digits):
    found = values.spread(peer)
    if found is None:
        return "–"
    middle, least, most = (number(value, digits) for value in found)
    times = values.times(peer, base)
    text_of = middle if least == most else f"{middle} ({least}–{most})"
    return text_of if peer == base or times is None else f"{text_of} **{times:.2f}×**"


BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def around_marks(path):
    """What stands before and after the results in a file that has a place for them."""
    before, mark, rest = path.read_text().partition(BEGIN)
    _, other, after = rest.partition(END)
    if not mark or not other:
        raise SystemExit(f"{path}: wanted lines {BEGIN} and {END}")
    return before, after


def put_between(path, content):
    """Replace the results in a file."""
    before, after = around_marks(path)
    path.write_text("\n".join([before + BEGIN, *content, END]) + after)


def chart(records, path):
    """One panel a headline figure: bars of medians, with the spread."""
    peers = list(versions(records))
    panels = [(title, values) for name, field, title in PANELS
              for values in [Values(records, name, field)] if values.any()]
    columns = min(3, len(panels))
    size = f"{340 * columns},{330 * -(-len(panels) // columns)}"
    script = [f"set terminal svg size {size} font 'sans,11' background 'white'",
              f"set output {quoted(path)}",
              f"set multiplot layout {-(-len(panels) // columns)},{columns}",
              "set style fill solid 0.8", "set boxwidth 0.7", "unset key", "set yrange [0:*]",
              "set xtics rotate by -35 scale 0 noenhanced", "set grid ytics",
              f"set xrange [-0.6:{len(peers) - 0.4}]"]
    for title, values in panels:
        rows = [f"{i} {' '.join(map(str, values.spread(peer)))} {quoted(short(peer))}"
                for i, peer in enumerate(peers) if values.spread(peer)]
        script += ["$data << EOD", *rows, "EOD", f"set title {quoted(title)}",
                   "plot $data using 1:2:($1+1):xtic(5) with boxes lc variable, "
                   "$data using 1:2:3:4 with yerrorbars lc black ps 0"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def short(peer):
    """A peer's name and the values of its options."""
    name, _, options = peer.partition(":")
    return " ".join([name, *(option.partition("=")[2] for option in options.split(",") if option)])


def quoted(value):
    """As a string of gnuplot."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
