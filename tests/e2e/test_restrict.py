"""What a running tunnel gave up, that nothing it does needs it, and a life without capabilities."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import urllib.request

import ends
import pytest
import traffic
from ends import poll
from lab import inner
from net import run

NET_ADMIN, NET_BIND_SERVICE = 1 << 12, 1 << 10
NOBODY = 65534


def statuses(pid):
    """What the kernel says of each thread: {"CapEff": ..., "NoNewPrivs": ...}."""
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        yield dict(re.findall(r"^(\w+):\s*(\S+)", path.read_text(), re.M))


def assert_restricted(end, capabilities):
    threads = list(statuses(end.pid))
    assert len(threads) >= 2
    for thread in threads:
        got = {name: int(thread[name], 16) for name in thread if name.startswith("Cap")}
        assert got == {"CapPrm": capabilities, "CapEff": capabilities,
                       "CapInh": 0, "CapBnd": 0, "CapAmb": 0}, thread["Name"]
        assert (thread["NoNewPrivs"], thread["Seccomp"]) == ("1", "2"), thread["Name"]


def restricted(end):
    """{"caps": "net_admin", "landlock": "yes", ...} of the line that tells."""
    match, _ = end.lines.wait(rf"\b{re.escape(end.name)}: restricted (.*)")
    return dict(word.split("=", 1) for word in match[1].split())


@pytest.fixture
def folder(tmp_path_factory):
    """A folder that everyone may enter."""
    path = tmp_path_factory.mktemp("open")
    for part in (path, path.parent):
        part.chmod(0o755)
    path.parent.parent.chmod(0o755)
    return path


def wrapped(folder, binary, *argv, before=""):
    """A program that runs the daemon behind other words: strace, setpriv."""
    script = folder / "convoy"
    script.write_text(f'#!/bin/sh\n{before}\nexec {" ".join(map(str, argv))} {binary} "$@"\n')
    script.chmod(0o755)
    return str(script)


def traced(folder, plain, *argv):
    # -D: the daemon keeps its pid, and who traces it is somebody else.
    return wrapped(folder, plain, "strace", "-D", "-f", "-qq", "-o", folder / "trace", *argv)


def test_every_thread_gave_up_all_but_net_admin(lab, plain):
    lab.binary = plain
    a, b = lab.pair(lab.net(), a={"Workers": 2}, b={"Workers": 2})
    for end in (a, b):
        assert restricted(end) == {"caps": "net_admin", "landlock": "yes", "seccomp": "yes"}
        assert_restricted(end, NET_ADMIN)


def test_a_port_below_1024_is_bound_again_when_the_link_comes_back(lab, plain):
    lab.binary = plain
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    a.tunnel.port = 443
    b.start()
    a.start()
    assert_restricted(a, NET_ADMIN | NET_BIND_SERVICE)
    assert traffic.reaches(net.a, inner("b", 4))
    net.a.ip("link", "set", a.name, "down")
    a.lines.wait("the link went down")
    net.a.ip("link", "set", a.name, "up")
    a.until(lambda: traffic.reaches(net.a, inner("b", 4), count=1, wait_s=1), "it answers")


def refused(trace):
    """The system calls that the fence refused, but for clone3: libc has another one for that."""
    _, _, fenced = trace.read_text().partition("landlock_restrict_self(")
    return {call for call in re.findall(r"^\d+ +((?:<\.\.\. )?\w+.* = -1 (?:ENOSYS|EACCES|EPERM))",
                                        fenced, re.M)
            if not re.match(r"(<\.\.\. )?clone3\b", call)}


@pytest.mark.parametrize("loop", ["io_uring", "epoll"])
def test_nothing_that_a_tunnel_does_in_its_life_is_refused(lab, plain, folder, loop):
    net = lab.net()
    lab.binary = plain
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(
        net, a={"Loop": loop, "Workers": 2, "MetricsListen": "127.0.0.1:9586"})))
    a.binary = traced(folder, plain)
    a.tunnel.peers.append(ends.Peer(ends.new_key()[1], ["10.77.0.9/32"], "localhost:1"))
    b.start()
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(1 << 20)
    run(plain, "show", a.name)
    with net.a.entered():
        urllib.request.urlopen("http://127.0.0.1:9586/metrics", timeout=ends.STOP_S).close()
    run("wg", "show", a.name)
    run("wg", "set", a.name, "peer", a.tunnel.peers[1].public, "persistent-keepalive", "30")
    reload_with(a, plain)
    a.stats()
    net.a.ip("link", "set", a.name, "down")
    a.lines.wait("the link went down")
    net.a.ip("link", "set", a.name, "up")
    a.until(lambda: traffic.reaches(net.a, inner("b", 4), count=1, wait_s=1), "it answers")
    a.stop()
    assert refused(folder / "trace") == set()


def reload_with(end, plain):
    """Put another file in the place of its own, as editors do, and reload."""
    path = pathlib.Path(end.process.args[-1])
    other = path.with_suffix(".new")
    other.touch(mode=0o600)
    other.write_text(end.tunnel.text().replace(":1\n", ":2\n") + "# changed\n")
    other.rename(path)
    run(plain, "reload", end.name)


@pytest.mark.parametrize("absent, fence", [("landlock_create_ruleset", "Landlock"),
                                           ("seccomp", "seccomp")])
def test_a_kernel_without_a_fence_runs_the_tunnel_and_says_so(lab, plain, folder, absent, fence):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    a.binary = traced(folder, plain, "-e", f"inject={absent}:error=ENOSYS")
    b.start()
    a.start()
    assert restricted(a)[fence.lower()] == "no"
    a.lines.wait(rf"{fence} cannot be had from this kernel: .*, ignoring$")
    assert traffic.reaches(net.a, inner("b", 4))


def with_open_tun(folder):
    """Words before a command: it sees a /dev/net/tun that every user may open, as udev makes it."""
    script = folder / "with-open-tun"
    script.write_text(f'#!/bin/sh\nmknod -m 666 {folder}/tun c 10 200 &&\n'
                      f'mount --bind {folder}/tun /dev/net/tun && exec "$@"\n')
    script.chmod(0o755)
    return "unshare", "--mount", "--propagation", "private", script


def unprivileged(lab, host, tunnel, folder, plain, *kind):
    """A tunnel that user nobody runs, on a TUN that was made for this user."""
    host.ip("tuntap", "add", "mode", "tun", "user", NOBODY, "name", tunnel.name, *kind)
    for address in tunnel.addresses:
        host.ip("addr", "add", address, "dev", tunnel.name)
    host.ip("link", "set", tunnel.name, "mtu", tunnel.mtu, "up")
    program = folder / "daemon"
    shutil.copy(plain, program)
    program.chmod(0o755)
    end = lab.convoy(host, tunnel)
    end.binary = wrapped(folder, program, *with_open_tun(folder), "setpriv", f"--reuid={NOBODY}",
                         f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all",
                         "--inh-caps=-all", "--no-new-privs", before=f'chown {NOBODY} "$2" "${{2%/*}}"')
    return end


@pytest.mark.parametrize("workers, kind", [(1, ()), (1, ("multi_queue",)), (2, ("multi_queue",))],
                         ids=["1w", "1w-multi", "2w-multi"])
def test_without_any_capability_it_runs_on_a_tun_made_for_its_user(lab, plain, folder, workers,
                                                                   kind):
    net = lab.net()
    tunnel, server = lab.tunnels(net, a={"Workers": workers})
    lab.convoy(net.b, server).start()
    a = unprivileged(lab, net.a, tunnel, folder, plain, *kind)
    a.start()
    assert restricted(a)["caps"] == "none"
    assert_restricted(a, 0)
    for lacking in ("addresses, MTU, routes", "socket buffers"):
        a.lines.wait(f"no CAP_NET_ADMIN: .*{lacking}.*, ignoring")
    assert traffic.reaches(net.a, inner("b", 4))
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(16 << 20)
    a.process.terminate()
    assert a.wait_exit() == 0
    # What was made for the user stays.
    assert tunnel.name in net.a.ip("link")


@contextlib.contextmanager
def program_of_nobody(*argv):
    """Running, with a stdin that stays open; gives a function that tells what cat(1) of the same
    user says when it looks into its memory."""
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    with subprocess.Popen([*user, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        try:
            poll(lambda: os.path.samefile(f"/proc/{one.pid}/exe", argv[0]), "it is this program")
            yield lambda: [run(*user, "cat", f"/proc/{one.pid}/{what}", check=False).stderr
                           for what in ("maps", "environ")]
        finally:
            one.kill()


def test_nobody_of_the_same_user_looks_into_its_memory(plain, folder):
    program = folder / "convoy"
    shutil.copy(plain, program)
    program.chmod(0o755)
    with program_of_nobody(shutil.which("sleep"), "60") as look:
        assert not any(look())
    with program_of_nobody(program, "pubkey") as look:
        poll(lambda: all("Permission denied" in said for said in look()), "it is not dumpable")


def test_without_capability_it_says_how_to_make_the_tun(lab, plain, folder):
    net = lab.net()
    tunnel, _ = lab.tunnels(net)
    a = unprivileged(lab, net.a, tunnel, folder, plain)
    net.a.ip("link", "del", tunnel.name)
    said = a.start(ready=False).refused()
    assert f"ip tuntap add mode tun user USER name {tunnel.name}" in said, said


def test_the_tun_of_another_user_is_refused(lab, plain, folder):
    net = lab.net()
    tunnel, _ = lab.tunnels(net)
    a = unprivileged(lab, net.a, tunnel, folder, plain)
    net.a.ip("link", "del", tunnel.name)
    net.a.ip("tuntap", "add", "mode", "tun", "user", "daemon", "name", tunnel.name)
    said = a.start(ready=False).refused()
    assert "made for another user" in said, said


def test_keys_come_from_files_of_their_own(lab, plain, tmp_path):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, psk=True)))
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name, key in (("private.key", a.tunnel.private), ("shared.key", a.tunnel.peers[0].psk)):
        (credentials / name).touch(mode=0o600)
        (credentials / name).write_text(key + "\n")
    a.tunnel = FileTunnel(**vars(a.tunnel))
    a.env = {"CREDENTIALS_DIRECTORY": str(credentials)}
    b.start()
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    reload_with(a, plain)
    assert traffic.reaches(net.a, inner("b", 4))


class FileTunnel(ends.Tunnel):
    """A tunnel whose file names the files of its keys."""

    def text(self, quick=True):
        text = re.sub(r"(?m)^PrivateKey = .*$", "# convoy: PrivateKeyFile = private.key",
                      super().text(quick))
        return re.sub(r"(?m)^PresharedKey = .*$", "PresharedKeyFile = shared.key", text)
