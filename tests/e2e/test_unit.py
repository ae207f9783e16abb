"""The unit: what systemd thinks of it, and that a tunnel lives within what it grants."""
import pathlib
import re
import shlex
import shutil
import subprocess

import ends
import pytest
import traffic
from lab import inner
from net import run

EXPOSURE_MAX = 2.0


@pytest.fixture
def unit(plain, tmp_path):
    """convoy@.service as the build made it, for the program that was built."""
    made = pathlib.Path(plain).parents[1] / "conf/convoy@.service"
    text = re.sub(r"(?m)^(Exec\w+=)\S+", rf"\g<1>{plain}", made.read_text())
    path = tmp_path / made.name
    path.write_text(text)
    return path


def settings(unit, name):
    """The values of a setting, in the order in which they stand."""
    return re.findall(rf"(?m)^{name}=(.*)$", unit.read_text())


def analyze(*argv):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    return subprocess.run(["systemd-analyze", *map(str, argv)], text=True, capture_output=True)


def test_systemd_finds_nothing_wrong_with_it(unit):
    said = analyze("verify", "--man=no", unit)
    assert (said.returncode, said.stderr) == (0, "")


def test_its_exposure_is_low(unit):
    said = analyze("security", "--offline=yes", f"--threshold={EXPOSURE_MAX * 10:.0f}", unit)
    level = re.search(r"Overall exposure level for \S+: (\S+)", said.stdout)
    assert said.returncode == 0 and float(level[1]) <= EXPOSURE_MAX, said.stdout


def test_it_waits_for_the_tunnel_and_watches_it(unit):
    assert settings(unit, "Type") == ["notify"]
    assert int(settings(unit, "WatchdogSec")[0]) > 0
    for setting, command in (("ExecStart", "run"), ("ExecReload", "reload")):
        (value,) = settings(unit, setting)
        assert shlex.split(value)[1:] == [command, "%i"]


def members(group):
    """The system calls of a group such as @system-service."""
    said = analyze("syscall-filter", group)
    assert said.returncode == 0, said.stderr
    for word in re.findall(r"^ +([@\w-]+)$", said.stdout, re.M):
        yield from members(word) if word.startswith("@") else (word,)


def granted(unit):
    """The system calls that its filter lets through."""
    calls = set()
    for line in settings(unit, "SystemCallFilter"):
        named = set()
        for word in line.lstrip("~").split():
            named |= set(members(word)) if word.startswith("@") else {word}
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def test_a_tunnel_lives_within_its_capabilities_and_calls(lab, unit, plain, tmp_path):
    """As far as it goes without a booted systemd: capabilities, no-new-privileges, and which
    calls tunnel and keeper make, from first to last."""
    allowed = granted(unit)
    (kept,) = settings(unit, "CapabilityBoundingSet")
    kept = ",".join("+" + name.removeprefix("CAP_").lower() for name in kept.split())
    script, trace = tmp_path / "convoy", tmp_path / "trace"
    script.write_text(f'#!/bin/sh\nexec strace -D -f -qq -o {trace} setpriv --inh-caps=-all '
                      f'--bounding-set=-all,{kept} --no-new-privs {plain} "$@"\n')
    script.chmod(0o755)
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(
        net, a={"PostUp": "true", "MetricsListen": "127.0.0.1:9586"})))
    a.binary = str(script)
    a.tunnel.peers.append(ends.Peer(ends.new_key()[1], ["10.77.0.9/32"], "localhost:1"))
    b.start()
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    run("wg", "show", a.name)
    run(plain, "reload", a.name)
    net.a.ip("link", "set", a.name, "down")
    a.lines.wait("the link went down")
    net.a.ip("link", "set", a.name, "up")
    a.until(lambda: traffic.reaches(net.a, inner("b", 4), count=1, wait_s=1), "it answers")
    a.stop()
    _, _, lived = trace.read_text().partition(f"execve(\"{plain}\"")
    calls = set(re.findall(r"^\d+ +(\w+)\(", lived, re.M))
    assert len(calls) > 50
    assert calls - allowed == set()
