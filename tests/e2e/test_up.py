"""convoy up and down: a tunnel in the background, and a host that is as before when it ends."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess

import conftest
import ends
import pytest
import traffic
from house import Background, House, end_of
from lab import PORT, inner


def failed(request):
    result = request.node.stash.get(conftest.RESULT, None)
    return result is None or result.failed


@pytest.fixture
def pair(request, lab):
    """A server that runs, and a client that is only a file."""
    net = lab.net()
    a, b = lab.tunnels(net)
    lab.convoy(net.b, b).start()
    with contextlib.closing(House(net.a)) as house:
        client = Background(lab.binary, house, a)
        yield net, client
        client.close(failed=failed(request))


def full(client):
    """All that a tunnel may do to a host."""
    client.tunnel.peers[0].allowed = ["0.0.0.0/0", "::/0"]
    client.tunnel.extra |= {"DNS": "10.77.0.2, example.com"}
    client.write()
    return client


def test_up_returns_when_the_tunnel_works(pair):
    net, client = pair
    client.up()
    assert traffic.reaches(net.a, inner("b", 4))


def test_up_lets_go_of_terminal_and_pipes(pair, lab):
    net, client = pair
    # The end of a pipe comes when nobody holds it any more.
    done = client.house.run(lab.binary, "up", client.name)
    assert f"{client.name}: capabilities" in done.stderr
    (session,) = pathlib.Path(f"/proc/{client.pid}/stat").read_text().split()[5:6]
    assert int(session) == client.pid
    for fd, target in enumerate(("/dev/null", "/dev/null")):
        assert os.readlink(f"/proc/{client.pid}/fd/{fd}") == target
    assert os.readlink(f"/proc/{client.pid}/cwd") == "/"


def test_up_by_path_and_down_by_path(pair):
    net, client = pair
    path = client.write()
    client.command("up", path)
    client.command("down", path)
    assert not client.running()


def test_down_returns_when_nothing_is_left(pair):
    net, client = pair
    before = client.house.state()
    client.up()
    pid = client.pid
    client.down()
    with contextlib.suppress(FileNotFoundError):  # or nobody asked yet how it ended
        assert pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    assert client.house.state() == before
    for door in ("/run/convoy", "/var/run/wireguard"):
        assert not list(pathlib.Path(door).glob(f"{client.name}*"))


def test_a_tunnel_that_runs_is_not_started_again(pair):
    net, client = pair
    client.up()
    done = client.up(check=False)
    assert done.returncode == 1 and "running already" in done.said
    assert traffic.reaches(net.a, inner("b", 4))


def test_a_file_with_errors_is_told_and_nothing_starts(pair):
    net, client = pair
    client.tunnel.extra["MTU"] = "seventy"
    client.write()
    done = client.up(check=False)
    assert done.returncode == 1 and f"{client.name}.conf:" in done.said
    assert not client.running()


def test_a_failure_is_told_and_nothing_is_left(pair):
    net, client = pair
    before = client.house.state()
    client.tunnel.port = PORT
    client.write()
    with net.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", PORT))
        done = client.up(check=False)
    assert done.returncode == 1 and str(PORT) in done.said
    assert client.house.state() == before
    client.up()


@pytest.mark.parametrize("hook", ["PreUp", "PostUp"])
def test_a_hook_that_fails_is_told_and_nothing_is_left(pair, hook):
    net, client = pair
    full(client).tunnel.extra[hook] = "echo it does not like it >&2; false"
    client.write()
    before = client.house.state()
    done = client.up(check=False)
    assert done.returncode == 1 and "it does not like it" in done.said
    assert client.house.state() == before


@pytest.mark.parametrize("hook", ["PreUp", "PostUp"])
def test_an_interrupt_ends_the_start(pair, lab, hook):
    net, client = pair
    fifo = client.house.etc / "fifo"
    os.mkfifo(fifo)
    full(client).tunnel.extra[hook] = "echo waiting > /etc/fifo; sleep 600"
    client.write()
    before = client.house.state()
    started = client.house.popen(lab.binary, "up", client.name, stderr=subprocess.DEVNULL)
    assert fifo.read_text() == "waiting\n"
    started.send_signal(signal.SIGINT)
    assert started.wait(ends.PATIENCE_S) == 1
    assert client.house.state() == before
    assert not client.running()


def test_all_that_up_does_to_a_host_is_undone_by_down(pair):
    net, client = pair
    before = full(client).house.state()
    client.up()
    between = client.house.state()
    for what in before:
        if what not in ("dns file",):
            assert between[what] != before[what], what
    client.down()
    assert client.house.state() == before


def test_a_killed_tunnel_is_cleaned_up_by_down(pair):
    net, client = pair
    before = full(client).house.state()
    client.up()
    client.kill()
    done = client.down()
    assert "was killed" in done.said
    assert client.house.state() == before
    assert client.down(check=False).returncode == 1


def test_a_killed_tunnel_is_cleaned_up_by_the_next(pair):
    net, client = pair
    before = full(client).house.state()
    client.up()
    between = client.house.state()
    client.kill()
    client.up()
    again = client.house.state()
    for what in ("firewall", "rules -4", "rules -6", "dns", "marks"):
        assert again[what] == between[what], what
    client.down()
    assert client.house.state() == before


def test_it_starts_again_at_once_after_it_was_killed(pair):
    net, client = pair
    client.tunnel.port = 51900  # what it had may be in use for a moment
    client.write()
    for _ in range(5):
        client.up()
        client.kill()
    client.up()
    assert traffic.reaches(net.a, inner("b", 4))


def test_it_starts_again_at_once_after_it_was_killed_and_cleaned_up(pair):
    net, client = pair
    client.tunnel.port = 51900
    client.write()
    for _ in range(5):
        client.up()
        client.kill()
        client.down()
    client.up()


def test_what_does_not_run_cannot_be_ended(pair):
    net, client = pair
    done = client.down(check=False)
    assert done.returncode == 1 and f"no tunnel {client.name} is running" in done.said
    done = client.command("down", "/no/such.txt", check=False)
    assert done.returncode == 1 and "neither" in done.said


def test_a_hang_up_of_the_terminal_is_a_reload_and_no_end(pair):
    net, client = pair
    client.up()
    os.kill(client.pid, signal.SIGHUP)
    client.wait_said(f"{client.name}: reloaded")
    assert traffic.reaches(net.a, inner("b", 4))


def test_the_interface_goes_and_so_does_the_tunnel(pair):
    net, client = pair
    before = full(client).house.state()
    client.up()
    net.a.ip("link", "del", client.name)
    ends.poll(lambda: not client.running(), "it ends")
    ends.poll(lambda: client.house.state() == before, "the host is as before")


def test_an_end_that_nobody_asked_for_leaves_the_kill_switch(pair):
    net, client = pair
    full(client).tunnel.extra["KillSwitch"] = "yes"
    client.write()
    before = client.house.state()
    client.up()
    net.a.ip("link", "del", client.name)
    ends.poll(lambda: not client.running(), "it ends")
    ends.poll(lambda: client.house.state()["dns"] == before["dns"], "the rest is as before")
    assert client.house.state()["firewall"] != before["firewall"]
    assert not traffic.reaches(net.a, net.outer("b", 4), count=1, wait_s=1)
    client.down()
    assert client.house.state() == before
    assert traffic.reaches(net.a, net.outer("b", 4))


class Journal:
    """What systemd's journal would hear, in a /run of the house's own."""

    def __init__(self, house):
        folder = house.etc / "run"
        house.run("sh", "-ec", f"""
            mkdir -p /run/convoy /run/wireguard {folder}/systemd/journal
            for shared in convoy wireguard; do
                mkdir {folder}/$shared
                mount --bind /run/$shared {folder}/$shared
            done
            mount --rbind {folder} /run""")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(folder / "systemd/journal/stdout"))
        self._socket.listen()

    def stream(self):
        """The next one, as lines."""
        self._socket.settimeout(ends.PATIENCE_S)
        connection, _ = self._socket.accept()
        connection.settimeout(ends.PATIENCE_S)
        return connection.makefile()


def test_where_there_is_a_journal_the_log_goes_there(pair):
    net, client = pair
    journal = Journal(client.house)
    client.up()
    stream = journal.stream()
    assert [stream.readline() for _ in range(7)] == ["convoy\n", "\n", "6\n", "1\n", "0\n", "0\n",
                                                    "0\n"]
    assert "running" in stream.readline()
    client.down()
    assert f"<6>{client.name}: ending" in stream.read()
    assert "ending" not in client.text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_as_down_does(pair, how):
    net, client = pair
    before = full(client).house.state()
    client.up()
    end_of(client.pid, how)
    assert client.house.state() == before


def test_what_hooks_say_comes_to_the_caller_and_then_to_the_log(pair):
    net, client = pair
    client.tunnel.extra |= {"PostUp": "echo came up as %i >&2", "PreDown": "echo goes >&2"}
    client.write()
    assert f"came up as {client.name}" in client.up().said
    client.down()
    client.wait_said("goes")
