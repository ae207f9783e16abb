"""The soak works: some seconds are flat, a leak is told from noise, and nothing is left behind."""
import itertools
import pathlib
import random
import re
import signal
import subprocess
import sys

import flat
import net
import pytest
from ends import Lines
from flat import Rule, Series

ROOT = pathlib.Path(__file__).resolve().parents[2]
NO_MORE = Rule("no more", lambda first, last: last <= first)
LITTLE_MORE = Rule("at most 3 more", lambda first, last: last <= first + 3)


@pytest.fixture
def soak(plain):
    """tests/soak with arguments, running."""
    started = []

    def start(*args):
        started.append(subprocess.Popen([sys.executable, ROOT / "tests/soak", "--convoy", plain,
                                         *args], text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT))
        return started[-1], Lines(started[-1].stdout)
    yield start
    for process in started:
        process.terminate()
        process.wait()
        net.sweep(process.pid)


def test_some_seconds_are_flat(soak):
    process, lines = soak("--seconds", "6")
    assert process.wait() == 0, lines.text()
    lines.drain()
    for daemon, what in itertools.product(("server", "one", "two", "go"),
                                          ("MiB", "descriptors", "threads", "MB/s both ways")):
        assert (daemon, what) == ("server", "MB/s both ways") or f"{daemon}: {what}" in lines.text()
    assert not re.search(r"Traceback|\bNO\b", lines.text())
    assert not net.left_by(process.pid)


def test_an_interrupted_soak_leaves_nothing_behind(soak):
    process, lines = soak("60")
    lines.wait("minute")
    assert net.left_by(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT, lines.text()
    assert not net.left_by(process.pid)


def verdict(values, rule):
    series = Series()
    for number, value in enumerate(values):
        series.add(60 * number, {"figure": (value, rule)})
    (_, _, first, last, growth, holds), = series.rows()
    return holds, first, last, growth


@pytest.mark.parametrize("values, rule, holds", [
    ([9] * 12, NO_MORE, True),
    ([1] + [9] * 12, NO_MORE, True),  # warm-up
    ([9, 9, 9, 9, 9, 9, 12, 9, 9, 9], NO_MORE, True),  # once
    ([9 + number // 3 for number in range(12)], NO_MORE, False),
    ([20 + number / 2 for number in range(12)], LITTLE_MORE, False),
    ([20 + number / 9 for number in range(12)], LITTLE_MORE, True),
])
def test_a_leak_is_told_from_noise(values, rule, holds):
    assert verdict(values, rule)[0] == holds


def test_a_slope_does_not_see_single_points():
    rng = random.Random(1)
    values = [10 + minute / 60 + 5 * (rng.random() < 0.1) for minute in range(61)]
    assert verdict(values, LITTLE_MORE)[3] == pytest.approx(1, abs=0.3)


def test_few_samples_are_no_proof():
    with pytest.raises(RuntimeError, match="too few"):
        verdict([1] * flat.LEAST, NO_MORE)
