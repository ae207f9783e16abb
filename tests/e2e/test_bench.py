"""The bench works, shows trains, and leaves nothing behind; no figure of it is a bar."""
import json
import os
import pathlib
import signal
import subprocess
import sys

import net
import pytest
from ends import Lines

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOW = {"mbit_s", "bytes", "cpu_s_gib", "retransmits", "reordered", "segments_per_send",
        "packets_per_write", "calls_per_datagram"}
UDP = {"kpps", "sender_bound"}
PING = {"p50_ms", "p99_ms", "pings_lost"}
FIELDS = {
    "tcp": FLOW, "tcp4": FLOW, "reverse": FLOW, "both": FLOW, "tcp_v6": FLOW,
    "udp64": UDP, "udp1392": UDP,
    "ping": PING, "loaded": PING | {"mbit_s"},
    "memory": {"client_mib", "server_mib"}, "idle": {"cpu_percent", "wakeups_s"},
    "flows": FLOW | {"server_cpu_s_gib"}, "peers": FLOW | {"server_cpu_s_gib", "server_mib"},
}


@pytest.fixture
def bench(plain, tmp_path):
    """bench/tunnel with arguments, running, its temporary files in `tmp_path`."""
    started = []

    def start(*args):
        started.append(subprocess.Popen(
            [sys.executable, ROOT / "bench/tunnel", "--quick", "--program", f"convoy={plain}",
             *args], text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(tmp_path)}))
        return started[-1], Lines(started[-1].stderr)
    yield start
    for process in started:
        process.terminate()
        process.wait()
        net.sweep(process.pid)


def leftovers(process, folder):
    return [*net.left_by(process.pid), *folder.glob("cv-bench-*")]


def test_a_quick_bench_measures_everything_and_shows_trains(bench, tmp_path):
    process, lines = bench("--json", tmp_path / "result.json")
    assert process.wait() == 0, lines.text()
    record, = map(json.loads, (tmp_path / "result.json").read_text().splitlines())
    assert {"peer", "version", "settings", "facts"} <= set(record)
    assert {"kernel", "cpu", "cores", "commit", "command"} <= set(record["facts"])
    measures = record["measures"]
    assert set(measures) == set(FIELDS)
    for name, fields in FIELDS.items():
        assert fields <= set(measures[name]), f"{name}: {fields - set(measures[name])}"
    for name in ("tcp", "tcp4", "reverse", "both", "tcp_v6", "peers"):
        assert measures[name]["segments_per_send"] > 1, name
        assert measures[name]["packets_per_write"] > 1, name
    assert not leftovers(process, tmp_path)


def test_an_interrupted_bench_leaves_nothing_behind(bench, tmp_path):
    process, lines = bench()
    lines.wait("TCP, one flow")
    assert leftovers(process, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT, lines.text()
    assert not leftovers(process, tmp_path)


@pytest.mark.parametrize("command,option,rows", [
    ("helpers", "--seconds=1 --program={}", ("1", "2")),
    ("startup", "--program=convoy={}", ("the network inside", "a default route"))])
def test_a_round_of_a_small_bench_fills_its_table(command, option, rows, plain):
    done = subprocess.run([sys.executable, ROOT / "bench" / command, "--rounds=1",
                           *option.format(plain).split()],
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for row in rows:
        assert f"\n| {row} |" in done.stdout, done.stdout
