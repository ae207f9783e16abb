"""The real wg-quick(8) brings Convoy up and down, as it does wireguard-go."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess

import ends
import pytest
import traffic
from bare import path_of
from lab import PORT, inner
from net import run

# Before the kernel's own: says what one without WireGuard says.
IP = """#!/bin/sh
case "$*" in *"type wireguard"*) echo "Error: Unknown device type." >&2; exit 2 ;; esac
exec {folder}/ip "$@"
"""


class Mounts:
    """A mount namespace in which no kernel WireGuard is to be seen, and config files of its own.

    wg-quick puts its own folder first in PATH, so ip(8) is replaced where it lies.
    """

    def __init__(self, folder):
        self._folder = folder
        program = pathlib.Path(shutil.which("ip")).resolve()
        shutil.copy(program, folder / "ip")
        wrapper = folder / "ip.sh"
        wrapper.write_text(IP.format(folder=folder))
        wrapper.chmod(0o755)
        (folder / "bin").mkdir()
        (folder / "etc").mkdir(mode=0o700)
        script = (f"mount --bind {wrapper} {program} && mkdir -p /etc/wireguard && "
                  f"mount --bind {folder / 'etc'} /etc/wireguard && "
                  f"mount -t tmpfs none /sys/module && echo ready && exec cat")
        self._holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh",
                                         "-c", script], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout.readline() == "ready\n"

    def write(self, name, text):
        path = self._folder / "etc" / f"{name}.conf"
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def run(self, namespace, *argv, check=True, **env):
        return run("nsenter", f"--net=/run/netns/{namespace.name}",
                   f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", *argv, check=check,
                   env={**os.environ, "PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}",
                        **env}, stdin=subprocess.DEVNULL, timeout=60)

    def close(self):
        self._holder.communicate()


class Quick:
    """wg-quick with one implementation."""

    def __init__(self, mounts, folder, binary, word):
        self._mounts, self.word = mounts, word
        (folder / "bin" / word).symlink_to(binary)

    def __call__(self, namespace, *args, **kwargs):
        return self._mounts.run(namespace, "wg-quick", *args,
                                WG_QUICK_USERSPACE_IMPLEMENTATION=self.word, **kwargs)


@pytest.fixture
def mounts(tmp_path):
    with contextlib.closing(Mounts(tmp_path)) as mounts:
        yield mounts


@pytest.fixture
def quick(lab, mounts, tmp_path):
    return Quick(mounts, tmp_path, lab.binary, "convoy")


@pytest.fixture
def theirs(lab, mounts, tmp_path):
    return Quick(mounts, tmp_path, lab.wireguard_go_binary, "wireguard-go")


def is_left(namespace, name):
    links = [link["ifname"] for link in namespace.ip_json("link")]
    pids = run("ip", "netns", "pids", namespace.name).stdout.split()
    return name in links or os.path.lexists(path_of(name)) or bool(pids)


def comes_down(quick, namespace, name):
    quick(namespace, "down", name)
    ends.poll(lambda: not is_left(namespace, name), f"nothing is left of {name}")


def host(namespace):
    """What ip(8) tells of a host, in lines; not the numbers of links, how packets queue in them,
    and IPv6's own link-local addresses, which wireguard-go has and the kernel's WireGuard not."""
    text = "".join(namespace.ip(*args) for args in (
        ("-4", "rule"), ("-6", "rule"), ("-4", "route", "show", "table", "all"),
        ("-6", "route", "show", "table", "all"), ("addr", "show", "scope", "global")))
    text = re.sub(r"(?m)^\d+: (?=\S+: <)|@if\d+|qlen \d+|qdisc \w+", "", text)
    return [line for line in text.splitlines() if "fe80:" not in line and "ff00:" not in line]


def test_up_traffic_and_down(lab, mounts, quick):
    net = lab.net()
    a, b = lab.tunnels(net, psk=True)
    lab.convoy(net.b, b).start()
    mounts.write(a.name, a.text())
    for _ in range(2):
        done = quick(net.a, "up", a.name)
        assert "Missing WireGuard kernel module" in done.stderr
        assert f"convoy {a.name}" in done.stderr
        for family in (4, 6):
            assert traffic.reaches(net.a, inner("b", family))
        traffic.Stream(net.a, net.b, inner("b", 4)).transfer(16 << 20)
        comes_down(quick, net.a, a.name)


def test_both_ends_by_wg_quick_and_a_file_by_its_path(lab, mounts, quick):
    net = lab.net()
    tunnels = lab.tunnels(net)
    for namespace, tunnel in zip((net.b, net.a), reversed(tunnels)):
        quick(namespace, "up", mounts.write(tunnel.name, tunnel.text()))
    assert traffic.reaches(net.a, inner("b", 4))
    assert traffic.reaches(net.b, inner("a", 6))
    for namespace, tunnel in zip((net.a, net.b), tunnels):
        comes_down(quick, namespace, tunnel.name)


@pytest.mark.parametrize("extra", [{}, {"Table": "off"}, {"Table": "4711"}, {"FwMark": "0x77"}],
                         ids=["plain", "no_routes", "table", "mark"])
def test_the_host_looks_as_with_wireguard_go(lab, mounts, quick, theirs, extra):
    net = lab.net()
    tunnel, _ = lab.tunnels(net)
    tunnel.extra, tunnel.mtu = extra, None
    tunnel.peers[0].allowed.append("10.88.0.0/16")
    tunnel.peers.append(ends.Peer(ends.new_key()[1], ["fd88::/16"], psk=ends.new_psk()))
    mounts.write(tunnel.name, tunnel.text())
    before, seen = host(net.a), []
    for one in (quick, theirs):
        one(net.a, "up", tunnel.name)
        seen.append((host(net.a), sorted(net.a.run("wg", "show", tunnel.name, "allowed-ips")
                                         .stdout.splitlines())))
        comes_down(one, net.a, tunnel.name)
        assert host(net.a) == before
    assert seen[0] == seen[1]


def test_a_default_route_goes_through_the_tunnel_and_not_into_itself(lab, mounts, quick):
    net = lab.net(router=True)
    beyond = "203.0.113.9"
    for namespace, link in ((net.a, 1), (net.b, 2)):
        namespace.ip("route", "add", "default", "via", net.outer("r", 4, link))
    net.b.ip("addr", "add", f"{beyond}/32", "dev", "lo")
    a, b = lab.tunnels(net)
    a.peers[0].allowed = ["0.0.0.0/0"]
    lab.convoy(net.b, b).start()
    mounts.write(a.name, a.text())
    before = host(net.a)
    quick(net.a, "up", a.name)
    assert net.a.run("wg", "show", a.name, "fwmark").stdout.strip() == "0xca6c"
    assert traffic.reaches(net.a, beyond)
    assert traffic.reaches(net.a, net.outer("r", 4, 1))
    comes_down(quick, net.a, a.name)
    assert host(net.a) == before


def test_save_writes_what_the_peer_became(lab, mounts, quick):
    net = lab.net()
    a, b = lab.tunnels(net)
    lab.convoy(net.b, b).start()
    a.extra = {"SaveConfig": "true"}
    path = mounts.write(a.name, a.text())
    quick(net.a, "up", a.name)
    new = ends.new_key()[1]
    net.a.run("wg", "set", a.name, "peer", new, "allowed-ips", "10.99.0.0/24")
    quick(net.a, "save", a.name)
    text = path.read_text()
    assert new in text and "10.99.0.0/24" in text and a.private in text
    assert f"Endpoint = {net.outer('b', 4)}:{PORT}" in text
    comes_down(quick, net.a, a.name)
    quick(net.a, "up", a.name)
    assert traffic.reaches(net.a, inner("b", 4))
    assert new in net.a.run("wg", "show", a.name, "peers").stdout
    comes_down(quick, net.a, a.name)


def test_strip_and_syncconf_change_what_runs(lab, mounts, quick):
    net = lab.net()
    a, b = lab.tunnels(net)
    lab.convoy(net.b, b).start()
    mounts.write(a.name, a.text())
    quick(net.a, "up", a.name)
    assert traffic.reaches(net.a, inner("b", 4))
    a.peers.append(ends.Peer(ends.new_key()[1], ["10.98.0.0/24"]))
    mounts.write(a.name, a.text())
    # As wg-quick@.service reloads.
    mounts.run(net.a, "bash", "-c", f"wg syncconf {a.name} <(wg-quick strip {a.name})")
    assert a.peers[1].public in net.a.run("wg", "show", a.name, "peers").stdout
    assert traffic.reaches(net.a, inner("b", 4))
    comes_down(quick, net.a, a.name)


def test_an_up_that_fails_leaves_nothing(lab, mounts, quick):
    net = lab.net()
    a, _ = lab.tunnels(net)
    a.extra = {"PostUp": "false"}
    mounts.write(a.name, a.text())
    assert quick(net.a, "up", a.name, check=False).returncode != 0
    ends.poll(lambda: not is_left(net.a, a.name), "nothing is left")
    # And one that we refuse: the name is taken.
    a.extra = {}
    mounts.write(a.name, a.text())
    quick(net.a, "up", a.name)
    elsewhere = net.host("c")
    done = quick(elsewhere, "up", a.name, check=False)
    assert done.returncode != 0 and "running already" in done.stderr, done.stderr
    assert [link["ifname"] for link in elsewhere.ip_json("link")] == ["lo"]
    comes_down(quick, net.a, a.name)


@pytest.mark.parametrize("name", ["run0", "shows", "dwon"])
def test_names_that_are_nearly_commands_are_names(lab, mounts, quick, name):
    net = lab.net()
    tunnel, _ = lab.tunnels(net)
    tunnel.name = name
    mounts.write(name, tunnel.text())
    quick(net.a, "up", name)
    assert net.a.run("wg", "show", name, "public-key").stdout.strip() == tunnel.public
    comes_down(quick, net.a, name)
