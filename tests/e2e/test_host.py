"""What a tunnel does to its host beside the interface, and that the host is as before afterwards."""
import os
import pathlib
import signal
import stat

import pytest
import traffic
from lab import inner

BEFORE = "# of the host\nnameserver 192.0.2.53\n"
EVERYTHING = ["0.0.0.0/0", "::/0"]
SRC_VALID_MARK = "net/ipv4/conf/all/src_valid_mark"


class Host:
    """A client whose /etc/resolv.conf is a mount of its own, in a namespace that is looked at."""

    def __init__(self, lab, tmp_path, allowed=None, router=False, **keys):
        self.net, self.path = lab.net(router=router), tmp_path / "resolv.conf"
        self.path.write_text(BEFORE)
        client, server = lab.tunnels(self.net, a=keys)
        client.peers[0].allowed = allowed or client.peers[0].allowed
        self.client, self.server = lab.convoy(self.net.a, client), lab.convoy(self.net.b, server)
        self.before = None
        start = self.client._start

        def start_with_mount(argv, env):
            self.before = self.before or self.looks()
            start(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                   'mount --bind "$0" /etc/resolv.conf && exec "$@"', self.path, *argv], env)
        self.client._start = start_with_mount

    def up(self):
        self.server.start()
        self.client.start()
        return self

    def resolv_conf(self):
        return self.path.read_text()

    def looks(self):
        """All that may have changed."""
        with self.net.a.entered():
            mark = pathlib.Path("/proc/sys", SRC_VALID_MARK).read_text()
        return {"tables": self.net.a.run("nft", "list", "ruleset").stdout,
                "rules": [self.net.a.ip(family, "rule") for family in ("-4", "-6")],
                "src_valid_mark": mark, "resolv.conf": self.resolv_conf()}

    def keeper(self):
        """Its pid."""
        children = pathlib.Path(f"/proc/{self.client.pid}/task/{self.client.pid}/children")
        for pid in map(int, children.read_text().split()):
            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "convoy-keeper\n":
                return pid
        raise AssertionError("no keeper")


@pytest.fixture
def host(lab, tmp_path):
    return lambda **kwargs: Host(lab, tmp_path, **kwargs)


def test_hooks_run_around_the_tunnel_in_order(host, tmp_path):
    said = tmp_path / "said"
    on = host(PreUp=f"echo PreUp $(ip -br link show %i 2>&1) >> {said}\n"
                    f"PreUp = echo second | cat >> {said}",
              PostUp=f"echo $CONVOY_HOOK $INTERFACE $(wg show %i peers) >> {said}; [[ -e /proc ]]",
              PreDown=f"echo PreDown $(ip link show %i | grep -o 'mtu [0-9]*') >> {said}; echo to the log",
              PostDown=f"echo PostDown $(ip -br link show %i 2>&1) >> {said}").up()
    name, peer = on.client.name, on.client.tunnel.peers[0].public
    gone = f'Device "{name}" does not exist.'
    assert said.read_text() == f"PreUp {gone}\nsecond\nPostUp {name} {peer}\n"
    on.client.stop()
    assert said.read_text().splitlines()[3:] == ["PreDown mtu 1420", f"PostDown {gone}"]
    assert f": {name}: PreDown (line 8): to the log" in on.client.lines.text()


def test_hooks_may_use_the_tunnel(host):
    on = host(PostUp=f"ping -c 1 {inner('b', 4)}", PreDown=f"ping -c 1 {inner('b', 6)}").up()
    on.client.stop()
    assert on.client.lines.text().count("1 packets transmitted, 1 received") == 2


@pytest.mark.parametrize("hook", ["PreUp", "PostUp"])
def test_a_hook_that_fails_undoes_everything(host, hook):
    on = host(allowed=EVERYTHING, DNS="10.77.0.2", **{hook: "echo no luck >&2; exit 3"})
    said = on.client.start(ready=False).refused()
    assert f"{hook} (line 6): no luck" in said and "exit status 3" in said, said
    on.client.check_gone()
    assert on.looks() == on.before


def test_a_signal_ends_a_hook_that_does_not_end(host, tmp_path):
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    on = host(PreUp=f"echo > {ready}; sleep 1000")
    on.client.start(ready=False)
    ready.read_text()
    on.client.process.send_signal(signal.SIGTERM)
    on.client.wait_exit()
    on.client.check_sane()
    on.client.check_gone()


def test_a_signal_ends_a_hook_while_the_tunnel_works(host, tmp_path):
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    on = host(PostUp=f"echo > {ready}; sleep 1000")
    on.client.start(ready=False)
    ready.read_text()
    on.client.process.send_signal(signal.SIGTERM)
    on.client.wait_exit()
    on.client.check_sane()
    on.client.check_gone()


def test_hooks_of_a_file_that_others_may_write_are_refused(host, tmp_path):
    on = host(PostUp=f"touch {tmp_path}/ran")
    tunnel, folder = on.client.tunnel, tmp_path / "open"
    folder.mkdir()
    path = folder / f"{tunnel.name}.conf"
    path.write_text(tunnel.text())
    for mode, culprit in ((0o622, path), (0o600, folder)):
        path.chmod(mode)
        folder.chmod(0o777 if culprit == folder else 0o700)
        done = on.net.a.run(on.client.binary, "run", path, check=False)
        assert done.returncode > 0
        assert f"others than root may write to {culprit}; run chmod go-w {culprit}" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_dns_is_the_tunnels_while_it_is_up(host):
    on = host(DNS="10.77.0.2, corp.example").up()
    assert on.resolv_conf().splitlines()[1:] == ["nameserver 10.77.0.2", "search corp.example"]
    on.client.stop()
    assert on.resolv_conf() == BEFORE


def test_dns_goes_through_resolved_where_it_runs(host, tmp_path):
    calls, fakes = tmp_path / "calls", tmp_path / "fakes"
    fakes.mkdir()
    fake = fakes / "resolvectl"
    fake.write_text(f"#!/bin/sh\necho \"$@\" >> {calls}\n")
    fake.chmod(0o755)
    on = host(DNS="10.77.0.2")
    on.client.env["PATH"] = f"{fakes}:{os.environ['PATH']}"
    start = on.client._start
    on.client._start = lambda argv, env: start(
        ["sh", "-c", "mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/resolve && "
                     'exec "$0" "$@"', *argv], env)
    on.up()
    name = on.client.name
    assert calls.read_text().splitlines() == [f"-- dns {name} 10.77.0.2", f"-- domain {name} ~.",
                                              f"-- default-route {name} yes"]
    on.client.stop()
    assert calls.read_text().splitlines()[3:] == [f"-- revert {name}"]
    assert on.resolv_conf() == BEFORE


def test_a_default_route_and_dns_leave_the_host_as_it_was(host):
    on = host(allowed=EVERYTHING, DNS="10.77.0.2").up()
    looks = on.looks()
    assert all(looks[what] != on.before[what] for what in looks)
    on.client.stop()
    assert on.looks() == on.before


def test_a_killed_daemon_leaves_the_host_as_it_was(host, tmp_path):
    said = tmp_path / "said"
    on = host(allowed=EVERYTHING, DNS="10.77.0.2", PostDown=f"echo down >> {said}").up()
    on.client.kill()
    assert said.read_text() == "down\n"
    assert on.looks() == on.before


def test_what_a_killed_keeper_left_the_next_up_undoes(host):
    on = host(allowed=EVERYTHING, DNS="10.77.0.2").up()
    keeper = on.keeper()
    os.kill(keeper, signal.SIGKILL)
    on.client.kill()
    assert on.looks() != on.before
    on.client.tunnel.peers[0].allowed = [inner("b", 4)]
    on.client.tunnel.extra = {}
    on.client.start()
    assert on.looks() == on.before
    on.client._before = on.before["rules"]


def test_what_a_killed_keeper_left_down_undoes(host):
    on = host(allowed=EVERYTHING).up()
    os.kill(on.keeper(), signal.SIGKILL)
    on.client.kill()
    assert on.looks() != on.before
    on.net.a.run(on.client.binary, "down", on.client.name)
    assert on.looks() == on.before


def test_a_neighbour_cannot_speak_to_the_tunnels_address(host):
    """CVE-2019-14899: whether the address answers tells what it is, and lets guess at connections.
    """
    on = host(allowed=EVERYTHING)
    for spy, far in ((4, f"{inner('a', 4)}/32"), (6, f"{inner('a', 6)}/128")):
        on.net.b.ip("route", "add", far, "via", on.net.outer("a", spy))
    on.client.start()
    assert traffic.reaches(on.net.b, on.net.outer("a", 4))
    for family in (4, 6):
        assert traffic.ping(on.net.b, inner("a", family), count=1, wait_s=1)[0] == 1
    # But we may speak to ourselves.
    assert traffic.reaches(on.net.a, inner("a", 4))
    on.client.stop()


def test_a_strict_reverse_path_filter_lets_the_peer_through(host):
    """The way back to the peer is a default route, which leads everybody else into the tunnel."""
    on = host(allowed=EVERYTHING, router=True)
    on.net.a.ip("route", "flush", "198.51.100.0/24")
    on.net.a.ip("route", "add", "default", "via", on.net.outer("r", 4, 1))
    on.net.a.sysctl("net.ipv4.conf.all.rp_filter", 1)
    on.up()
    assert traffic.reaches(on.net.a, inner("b", 4))


def test_the_note_is_roots_and_goes(host):
    on = host(DNS="10.77.0.2").up()
    note = pathlib.Path(f"/run/convoy/{on.client.name}.state")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    on.client.stop()
    assert not note.exists()
