"""Watching a tunnel: its door, show, top, metrics, the dashboard, and what the log tells."""
import base64
import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import pty
import re
import resource
import select
import signal
import socket
import stat
import struct
import subprocess
import termios

import ends
import pytest
import traffic
from conftest import ROOT
from lab import PORT, inner
from net import run
from stranger import Stranger, meet

DASHBOARD = ROOT / "conf/grafana-dashboard.json"
METRICS_PORT = 9586
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


def door_of(name):
    return pathlib.Path("/run/convoy", f"{name}.sock")


class Connection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, sock):
        super().__init__("localhost", timeout=ends.PATIENCE_S)
        self.sock = sock


def knock(name):
    """A connection to the door of a tunnel."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(ends.PATIENCE_S)
    sock.connect(str(door_of(name)))
    return sock


def ask(sock, method, path):
    """(status, text) of a request."""
    with contextlib.closing(Connection(sock)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def get(name, path):
    status, text = ask(knock(name), "GET", path)
    assert status == 200, text
    return text


def samples(text):
    """{(name, ((label, value), ...)): number}; fails where the text is not in the format."""
    found, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} comes twice"
            types[name] = kind
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        stem = re.sub("_(bucket|sum|count)$", "", match[1])
        assert match[1] in types or types.get(stem) == "histogram", f"{line}: no type"
        labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")
        key = match[1], tuple(sorted(labels))
        assert key not in found, line
        found[key] = float(match[3])
    return found


def value(metrics, name, **labels):
    """The one sample of this name that has these labels."""
    hits = [number for (other, have), number in metrics.items()
            if other == name and labels.items() <= dict(have).items()]
    assert len(hits) == 1, f"{len(hits)} samples {name}{labels}"
    return hits[0]


def convoy(lab, *words, code=0):
    """What a command prints, (stdout, stderr)."""
    done = run(lab.binary, *words, check=False)
    assert not ends.SANITIZER.search(done.stderr), done.stderr
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def assert_no_secret(end, text):
    for secret in (end.tunnel.private, *(peer.psk for peer in end.tunnel.peers)):
        for form in (secret, base64.b64decode(secret).hex()):
            assert form not in text, "a secret was told"


def test_show_agrees_with_wg(lab):
    net = lab.net()
    a, b = lab.pair(net, psk=True)
    assert traffic.reaches(net.a, inner("b", 4))
    said = json.loads(convoy(lab, "show", b.name, "--json")[0])
    dump = [line.split("\t") for line in run("wg", "show", b.name, "dump").stdout.splitlines()]
    tunnel = said[b.name]
    assert [tunnel["publicKey"], str(tunnel["listenPort"])] == dump[0][1:3]
    assert tunnel["privateKey"] == "(hidden)"
    assert tunnel["up"] and tunnel["mtu"] == 1420 and not any(tunnel["drops"].values())
    assert tunnel["capabilities"] == b.capabilities()
    for key, _, endpoint, allowed, handshake, rx, tx, _ in dump[1:]:
        peer = tunnel["peers"][key]
        assert peer["presharedKey"] == "(hidden)"
        assert peer["endpoint"] == endpoint
        assert set(peer["allowedIps"]) == set(allowed.split(","))
        assert peer["latestHandshake"] == int(handshake)
        assert 0 < peer["transferRx"] <= int(rx) and 0 < peer["transferTx"] <= int(tx)
        assert peer["source"] == net.outer("b", 4) and peer["sessionAge"] >= 0
    assert len(tunnel["peers"]) == 1


def test_show_speaks_to_people(lab):
    net = lab.net()
    a, b = lab.pair(net, psk=True)
    assert traffic.reaches(net.a, inner("b", 4))
    said, _ = convoy(lab, "show", b.name)
    for words in (f"interface: {b.name}\n", f"  public key: {b.tunnel.public}\n",
                  "  private key: (hidden)\n", f"  listening port: {PORT}\n",
                  f"\npeer: {a.tunnel.public}\n", "  preshared key: (hidden)\n",
                  f"  endpoint: {net.outer('a', 4)}:", f"  our address: {net.outer('b', 4)}\n",
                  "  allowed ips: 10.77.0.1/32, fd77::1/128\n", "  session: ", "  transfer: "):
        assert words in said, said
    assert "dropped" not in said and "\x1b" not in said
    both, _ = convoy(lab, "show", "all")
    assert f"interface: {a.name}\n" in both and f"interface: {b.name}\n" in both


def test_show_says_what_was_dropped_and_why(lab):
    net = lab.net()
    _, b = lab.pair(net)
    with net.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"\x07" * 40, (net.outer("b", 4), PORT))
    b.wait_stat("drop.malformed", 1)
    said, _ = convoy(lab, "show", b.name)
    assert "  dropped: 1: datagram is no WireGuard message (type or length) (malformed)\n" in said
    metrics = samples(get(b.name, "/metrics"))
    assert value(metrics, "convoy_drops_total", reason="malformed", interface=b.name) == 1


@pytest.mark.parametrize("name, words", [
    ("cvnone", "no tunnel cvnone is running; `convoy up cvnone` starts it"),
    ("a/b", "a/b is not the name of a tunnel"),
    ("sixteencharacter", "sixteencharacter is not the name of a tunnel"),
])
@pytest.mark.parametrize("command", ["show", "top"])
def test_a_tunnel_that_does_not_run_is_a_clear_error(lab, command, name, words):
    assert words in convoy(lab, command, name, code=1)[1]


def test_a_name_that_is_nearly_right_is_suggested(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    assert f"did you mean {a.name}?" in convoy(lab, "show", f"{a.name[:-1]}x", code=1)[1]


@pytest.mark.parametrize("words", [("show", "--yaml"), ("show", "a", "b"), ("top", "--json")])
def test_wrong_words_get_the_usage(lab, words):
    assert "usage: convoy" in convoy(lab, *words, code=2)[1]


def test_a_user_that_is_not_root_learns_who_may(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", lab.binary, "show",
               a.name, check=False)
    assert done.returncode == 1 and "only root may speak to" in done.stderr, done.stderr


def test_the_door_is_roots_alone_and_goes_with_the_daemon(lab):
    net = lab.net()
    a, b = lab.pair(net)
    status = door_of(a.name).stat()
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(door_of(a.name).parent.stat().st_mode) == 0o755
    a.stop()
    assert not door_of(a.name).exists()
    b.kill()
    assert door_of(b.name).exists()
    assert f"the daemon of {b.name} was killed" in convoy(lab, "show", b.name, code=1)[1]
    b.start()
    assert b.name in json.loads(get(b.name, "/show"))


def test_counters_of_metrics_are_those_of_the_daemon(lab, workers):
    net = lab.net()
    a, b = lab.pair(net, a=workers, b=workers)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(8 << 20)
    before, metrics, after = b.stats(), samples(get(b.name, "/metrics")), b.stats()
    assert before["udp.receive_datagrams"] > 1000
    for name, low in before.items():
        high = after[name]
        if name.startswith("peer."):
            continue
        if name.startswith("drop."):
            seen = value(metrics, "convoy_drops_total", reason=name[5:])
        elif name.startswith("hist."):
            continue
        else:
            seen = value(metrics, f"convoy_{name.replace('.', '_')}_total", interface=b.name)
        assert low <= seen <= high, name
    labels = {"interface": b.name, "public_key": a.tunnel.public,
              "allowed_ips": "10.77.0.1/32,fd77::1/128", "friendly_name": ""}
    for metric, stat_name in (("wireguard_received_bytes_total", "rx_bytes"),
                              ("wireguard_sent_bytes_total", "tx_bytes"),
                              ("wireguard_latest_handshake_seconds", "last_handshake")):
        name = f"peer.{a.tunnel.public}.{stat_name}"
        assert 0 < before[name] <= value(metrics, metric, **labels) <= after[name]
    info = next(dict(have) for (name, have) in metrics if name == "convoy_info")
    assert b.capabilities().items() <= info.items() and info["version"]
    assert value(metrics, "convoy_up") == 1 and value(metrics, "convoy_peers") == 1
    assert value(metrics, "process_resident_memory_bytes") > 1 << 20


def test_metrics_by_tcp_and_nothing_else(lab):
    net = lab.net()
    a, b = lab.pair(net, b={"MetricsListen": f"{net.outer('b', 4)}:{METRICS_PORT}"})

    def stranger():
        sock = net.a.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(ends.PATIENCE_S)
        sock.connect((net.outer("b", 4), METRICS_PORT))
        return sock

    status, text = ask(stranger(), "GET", "/metrics")
    assert status == 200 and value(samples(text), "convoy_up", interface=b.name) == 1
    for method, path, code in (("GET", "/show", 404), ("POST", "/down", 404),
                               ("POST", "/reload", 404), ("POST", "/metrics", 405)):
        assert ask(stranger(), method, path)[0] == code
    assert traffic.reaches(net.a, inner("b", 4))


def test_metrics_by_tcp_at_the_tunnels_own_address(lab):
    net = lab.net()
    lab.pair(net, b={"MetricsListen": f"[{inner('b', 6)}]:{METRICS_PORT}"})
    assert traffic.reaches(net.a, inner("b", 6))
    with net.a.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.settimeout(ends.PATIENCE_S)
        sock.connect((inner("b", 6), METRICS_PORT))
        assert ask(sock, "GET", "/metrics")[0] == 200


def test_metrics_where_the_port_is_taken_is_a_warning(lab):
    net = lab.net()
    with net.b.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", METRICS_PORT))
        taken.listen()
        _, b = lab.pair(net, b={"MetricsListen": f"127.0.0.1:{METRICS_PORT}"})
        b.lines.wait(rf"no metrics at 127\.0\.0\.1:{METRICS_PORT}: .*, ignoring")
    assert traffic.reaches(net.a, inner("b", 4))


def test_down_by_http_ends_the_daemon_in_order(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    assert ask(knock(a.name), "POST", "/down") == (202, "ending\n")
    assert a.wait_exit() == 0
    a.check_sane()
    a.check_gone()
    assert not door_of(a.name).exists()


def test_ten_thousand_peers_are_told_and_lazy_readers_hold_nobody(lab):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, b={"Table": "off"})))
    for number in range(10_000):
        key = base64.b64encode(os.urandom(32)).decode()
        b.tunnel.peers.append(ends.Peer(key, [f"10.{128 + number // 65536}."
                                              f"{number // 256 % 256}.{number % 256}/32"]))
    b.start()
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    lazy = [knock(b.name) for _ in range(8)]
    for number, sock in enumerate(lazy):
        sock.sendall(f"GET /{('metrics', 'show')[number % 2]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert traffic.reaches(net.a, inner("b", 4))
    metrics = samples(get(b.name, "/metrics"))
    assert sum(name == "wireguard_sent_bytes_total" for name, _ in metrics) == 10_001
    assert len(json.loads(get(b.name, "/show"))[b.name]["peers"]) == 10_001
    assert len(re.findall("^peer: ", convoy(lab, "show", b.name)[0], re.M)) == 10_001
    for sock in lazy:
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert len(response.read()) == int(response.headers["Content-Length"]) > 500_000
        sock.close()


@contextlib.contextmanager
def no_descriptors(pid):
    """A process that gets none any more, for the length of the block."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def doors_with_a_queue(end):
    """How many of a tunnel's sockets have somebody who was not let in yet."""
    listening = (line.split() for line in end.namespace.run("ss", "-xlnH").stdout.splitlines())
    return sum(queue != "0" for _, _, queue, _, where, *_ in listening if end.name in where)


def test_who_comes_while_there_are_no_descriptors_is_served_when_there_are(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    with no_descriptors(a.pid):
        asking = [net.a.popen(*words, "show", a.name, stdout=subprocess.PIPE, text=True)
                  for words in (["wg"], [lab.binary])]
        a.until(lambda: doors_with_a_queue(a) == 2, "both wait")
        a.lines.wait("no connection of the UAPI: Too many open files, trying again")
    for one in asking:
        assert a.tunnel.peers[0].public in one.communicate(timeout=ends.PATIENCE_S)[0]
        assert one.returncode == 0


def test_every_metric_of_the_dashboard_is_one_that_metrics_gives(lab):
    net = lab.net()
    _, b = lab.pair(net)
    given = {name for name, _ in samples(get(b.name, "/metrics"))}
    dashboard = json.loads(DASHBOARD.read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    texts += [variable["definition"] for variable in dashboard["templating"]["list"]
              if variable["type"] == "query"]
    used = {name for text in texts
            for name in re.findall(r"\b(?:convoy|wireguard|process)_\w+", text)}
    assert len(used) > 15
    assert used <= given, used - given
    grouped = {label for text in texts for group in re.findall(r"by \(([\w, ]+)\)", text)
               for label in group.split(", ")}
    assert grouped <= {label for _, have in samples(get(b.name, "/metrics")) for label, _ in have}


def test_dashboard_has_what_grafana_wants():
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 39 and dashboard["title"] == "Convoy"
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert "datasource" in variables
    assert set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) - {"__rate_interval", "__all"} \
        <= variables
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def numbers_of(line):
    return [float(word) for word in line.split()[1:]]


def test_top_tells_rates_while_traffic_flows(lab):
    net = lab.net()
    a, b = lab.pair(net)
    stream = traffic.Stream(net.a, net.b, inner("b", 4))
    running = traffic.Workers()
    running.go(stream.move, lambda sent: True)
    try:
        def flows():
            said, _ = convoy(lab, "top", b.name, "--once")
            title, _, inward, outward, drops, _, peer, *path = said.splitlines()
            assert title.startswith(f"{b.name}: up, mtu 1420, 1 peer, ") and drops == "drops/s: none"
            assert peer.startswith(a.tunnel.public[:23])
            mbits, pkts, a_write, a_train, a_call = numbers_of(inward)
            back = float(peer.split()[-2])
            return min(mbits, pkts, back, numbers_of(outward)[0]) > 0 and a_write > 1 \
                and a_train > 1 and a_call >= a_train and " ms, jitter " in "".join(path)
        b.until(flows, "rates are told")
        b.until(lambda: " Mbit/s received, " in convoy(lab, "show", b.name)[0], "show tells a rate")
    finally:
        b.stop()
        for sock in (stream.left, stream.right):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError):
        running.join()


class Terminal:
    """A program in a terminal of 80x24."""

    def __init__(self, *argv):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.slave, self.before, self.text = slave, termios.tcgetattr(slave), ""
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY))

    def read(self):
        assert select.select([self.master], [], [], ends.PATIENCE_S)[0], self.text[-3000:]
        self.text += os.read(self.master, 65536).decode()

    def until(self, words, times=1):
        while self.text.count(words) < times:
            self.read()

    def type(self, keys):
        os.write(self.master, keys.encode())

    def finish(self):
        """The exit code; all that came is in text."""
        code = self.process.wait(ends.STOP_S)
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


BORROWED, RETURNED = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@pytest.mark.parametrize("how", ["q", "\x03", signal.SIGTERM, signal.SIGHUP, signal.SIGINT],
                         ids=["q", "ctrl-c", "term", "hup", "int"])
def test_top_lives_in_the_terminal_and_gives_it_back(lab, how):
    net = lab.net()
    a, _ = lab.pair(net)
    screen = Terminal(lab.binary, "top", a.name)
    try:
        screen.until("\x1b[J", times=2)
        assert screen.text.startswith(BORROWED)
        frame = screen.text.split("\x1b[H")[1]
        lines = re.sub(r"\x1b\[[JK]", "", frame).split("\r\n")
        assert lines[0].startswith(f"{a.name}: up, ") and len(lines) <= 24
        assert all(len(line) <= 80 for line in lines)
        assert not termios.tcgetattr(screen.slave)[3] & termios.ECHO
        if isinstance(how, str):
            screen.type(how)
        else:
            screen.process.send_signal(how)
        assert screen.finish() == 0
        assert screen.text.endswith(RETURNED), screen.text[-300:]
        assert termios.tcgetattr(screen.slave) == screen.before
    finally:
        screen.close()


def test_top_ends_with_its_tunnel(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    screen = Terminal(lab.binary, "top", a.name)
    try:
        screen.until("\x1b[J")
        a.stop()
        assert screen.finish() == 1
        assert f"{RETURNED}convoy: {a.name} gives no answer any more" in screen.text
    finally:
        screen.close()


def test_what_strangers_do_fills_no_log(lab):
    stranger, b = meet(lab, lab.net(), LogLevel="debug")
    before, seen = b.stats()["path.in_datagrams"], b.lines.count()
    unknown = Stranger(stranger.host, stranger.here, stranger.there, os.urandom(32),
                       stranger.their_public)
    kinds = (struct.pack("<I", 1).ljust(148, b"\x5a"), struct.pack("<I", 2).ljust(92, b"\x5a"),
             struct.pack("<I", 3).ljust(64, b"\x5a"), struct.pack("<I", 4).ljust(80, b"\x5a"),
             unknown.handshake().initiation(), b"", b"\x5a" * 1400)
    for _ in range(200):
        for datagram in kinds:
            stranger.send(datagram)
    b.until(lambda: b.stats()["path.in_datagrams"] - before > 700, "most of them came")
    lines = [line for line in b.lines.since(seen) if "stat " not in line]
    assert len(lines) < 60, "\n".join(lines)


def test_a_peer_that_begins_sessions_without_end_fills_no_log(lab):
    stranger, b = meet(lab, lab.net(), LogLevel="debug")

    def begun():
        stranger.send(stranger.handshake().initiation())
        return b.stats()["handshake.responses_sent"] >= 40
    b.until(begun, "sessions were begun")
    assert 0 < b.lines.text().count("new session") < 25


class InJournal(ends.Convoy):
    """A Convoy whose stderr is, as far as it can tell, the journal, which listens at `sock`."""

    def __init__(self, folder, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._journal = folder
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(ends.PATIENCE_S)
        self.sock.bind(str(folder / "socket"))

    def _start(self, argv, env):
        script = ('mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && '
                  f'mount --bind {self._journal} /run/systemd/journal && '
                  'JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec "$@"')
        super()._start(["unshare", "-m", "sh", "-ec", script, "sh", *argv], env)

    def record(self, message):
        """The fields of the next record whose message ends in this."""
        while True:
            fields = dict(line.split("=", 1) for line in
                          self.sock.recv(65536).decode().removesuffix("\n").split("\n"))
            if fields["MESSAGE"].endswith(message):
                return fields


def test_the_journal_gets_fields(lab, tmp_path):
    pathlib.Path("/run/systemd").mkdir(exist_ok=True)
    net = lab.net()
    tunnel, _ = lab.tunnels(net)
    end = lab._own(InJournal(tmp_path, lab.binary, net.a, tunnel))
    end.start(ready=False)
    record = end.record(f"{end.name}: running")
    assert record["PRIORITY"] == "6" and record["SYSLOG_IDENTIFIER"] == "convoy"
    assert record["CONVOY_INTERFACE"] == end.name
    end.stop()
    assert "running" not in end.lines.text()
    end.sock.close()


def test_no_secret_is_told_by_any_door(lab):
    net = lab.net()
    ends_ = lab.pair(net, psk=True, a={"LogLevel": "debug"}, b={"LogLevel": "debug"})
    assert traffic.reaches(net.a, inner("b", 4))
    for end in ends_:
        told = [get(end.name, "/metrics"), get(end.name, "/show"), end.lines.text(),
                *convoy(lab, "show", end.name), *convoy(lab, "show", end.name, "--json"),
                *convoy(lab, "top", end.name, "--once")]
        for text in told:
            assert_no_secret(end, text)
