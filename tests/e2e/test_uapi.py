"""wg(8) and its protocol drive Convoy as they drive wireguard-go, and nobody can wedge it."""
import contextlib
import fcntl
import os
import pathlib
import re
import signal
import socket
import stat
import struct
import subprocess
import tempfile

import bare
import ends
import pytest
import traffic
from bare import Bare, hex_of, path_of
from lab import PORT, endpoint, inner

TUNSETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 1, 2, 0x1000, 0x4000
ZEROS = "0" * 64


def named(net, suffix, **kwargs):
    return ends.Tunnel(ends.new_key()[0], [], [], name=net.label + suffix, **kwargs)


@pytest.fixture
def end(lab):
    """Convoy, started and not set up."""
    net = lab.net()
    return lab._own(Bare(lab.binary, net.a, named(net, "a"))).start()


@pytest.fixture
def both(lab):
    """Convoy and wireguard-go, started and not set up, each with a network of its own."""
    net = lab.net()
    return [lab._own(Bare(binary, host, named(net, suffix))).start()
            for binary, host, suffix in ((lab.binary, net.a, "a"),
                                         (lab.wireguard_go_binary, net.b, "b"))]


@pytest.fixture
def keys():
    """Six pairs (private, public), base64."""
    return [ends.new_key() for _ in range(6)]


def in_files(folder, **texts):
    paths = {}
    for name, text in texts.items():
        paths[name] = folder / name
        paths[name].write_text(text + "\n")
    return paths


def same_state(both):
    """What get tells of both is the same; but for what was sent, since wireguard-go thinks a link
    is up that is down."""
    states = []
    for one in both:
        with one.uapi() as uapi:
            device, peers = uapi.get()
        for peer in peers.values():
            del peer["tx_bytes"]
        states.append((device, peers))
    (device, peers), (their_device, their_peers) = states
    assert device == their_device
    assert set(peers) == set(their_peers)
    for key, peer in peers.items():
        assert peer == their_peers[key], key
    return states[0]


def both_do(both, *args):
    """The same wg command on both, with @ for the interface: the same is said, the same is so."""
    said = []
    for one in both:
        argv = [str(arg).replace("@", one.name) if arg == "@" else str(arg) for arg in args]
        done = one.wg(*argv, check=False)
        said.append((done.returncode, (done.stdout + done.stderr).replace(one.name, "@")))
    assert said[0] == said[1]
    same_state(both)
    return said[0]


def sections(text):
    """A config file's sections, each as sorted lines, sorted: their order means nothing."""
    return sorted(sorted(", ".join(sorted(line.split(", "))) for line in part.splitlines())
                  for part in text.split("\n\n"))


# wg(8) ----------------------------------------------------------------------------------------

def test_every_option_of_wg_set_does_what_wireguard_go_does(both, keys, tmp_path):
    files = in_files(tmp_path, key=keys[0][0], other=keys[1][0], psk=ends.new_psk())
    peer, second = keys[2][1], keys[3][1]
    for options in (["listen-port", 51821],
                    ["private-key", files["key"]],
                    ["fwmark", "0x1234"],
                    ["peer", peer],
                    ["peer", peer, "preshared-key", files["psk"]],
                    ["peer", peer, "endpoint", "192.0.2.7:1234"],
                    ["peer", peer, "persistent-keepalive", 25],
                    ["peer", peer, "allowed-ips", "10.1.0.0/16,fd01::/64,10.2.3.4/8"],
                    ["peer", peer, "allowed-ips", "10.1.0.0/24,0.0.0.0/0,::/0"],
                    ["peer", second, "allowed-ips", "10.1.0.0/24,fd02::1/128", "peer", peer,
                     "endpoint", "[2001:db8::7]:5"],
                    ["peer", peer, "persistent-keepalive", "off", "preshared-key", "/dev/null"],
                    ["peer", peer, "allowed-ips", ""],
                    ["peer", second, "remove"],
                    ["peer", second, "remove"],
                    ["fwmark", "off"],
                    ["private-key", files["other"]],
                    ["peer", keys[1][1], "allowed-ips", "10.9.0.0/24"],  # itself: passed over
                    ["peer", keys[0][1], "allowed-ips", "10.9.0.0/24"],
                    ["private-key", files["key"]],  # becomes its peer: that one goes
                    ["private-key", "/dev/null"],
                    ["private-key", "/dev/null", "peer", keys[0][1]]):
        assert both_do(both, "set", "@", *options)[0] == 0, options


def test_wg_show_prints_the_same_whatever_is_asked(both, keys, tmp_path):
    files = in_files(tmp_path, key=keys[0][0], psk=ends.new_psk())
    both_do(both, "set", "@", "private-key", files["key"], "listen-port", 51821, "fwmark", 77,
            "peer", keys[1][1], "preshared-key", files["psk"], "persistent-keepalive", 25,
            "allowed-ips", "10.1.0.0/16")
    for field in ("public-key", "private-key", "listen-port", "fwmark", "peers", "preshared-keys",
                  "endpoints", "allowed-ips", "latest-handshakes", "transfer",
                  "persistent-keepalive", "dump"):
        code, text = both_do(both, "show", "@", field)
        assert code == 0 and text, field
    assert both_do(both, "show", "@")[0] == 0
    both_do(both, "set", "@", "peer", keys[1][1], "persistent-keepalive", 0, "endpoint",
            "192.0.2.7:1234")
    assert "192.0.2.7:1234" in both_do(both, "show", "@", "endpoints")[1]
    ours = both[0]
    dump = ours.wg("show", ours.name, "dump").stdout
    assert [f"{ours.name}\t{line}" for line in dump.splitlines()] == [
        line for line in ours.wg("show", "all", "dump").stdout.splitlines()
        if line.startswith(f"{ours.name}\t")]
    assert ours.name in ours.wg("show", "interfaces").stdout.split()


def test_setconf_addconf_syncconf_and_showconf_do_what_they_do_there(both, keys, tmp_path):
    first = ends.Tunnel(keys[0][0], [], port=51821, peers=[
        ends.Peer(keys[1][1], ["10.1.0.0/16", "fd01::/64"], "192.0.2.7:1234", ends.new_psk(), 25),
        ends.Peer(keys[2][1], ["10.2.0.0/16"]),
        ends.Peer(keys[3][1], [])])
    more = ends.Tunnel(keys[0][0], [], port=51821, peers=[ends.Peer(keys[4][1], ["10.2.0.0/17"])])
    other = ends.Tunnel(keys[0][0], [], port=51822, peers=[
        ends.Peer(keys[1][1], ["10.1.0.0/16"], "192.0.2.7:1234"),
        ends.Peer(keys[5][1], ["10.5.0.0/16"], "[2001:db8::1]:9")])
    path = tmp_path / "wg.conf"
    for command, text in (("setconf", first.text(quick=False)),
                          ("syncconf", first.text(quick=False)),
                          ("addconf", more.text(quick=False)),
                          ("syncconf", other.text(quick=False)),
                          ("setconf", "[Interface]\nListenPort = 51823\n"),
                          ("setconf", more.text(quick=False))):
        path.write_text(text)
        assert both_do(both, command, "@", path)[0] == 0
        shown = [sections(one.wg("showconf", one.name).stdout) for one in both]
        assert shown[0] == shown[1]
    path.write_text(both[0].wg("showconf", both[0].name).stdout)
    before = same_state(both)
    both_do(both, "setconf", "@", path)
    assert same_state(both) == before


def test_wg_carries_a_tunnel_and_syncconf_leaves_its_session_alone(lab):
    net = lab.net()
    a, b = (lab._own(Bare(lab.binary, host, tunnel)) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, psk=True)))
    b.set_up()
    a.set_up()
    assert traffic.reaches(net.a, inner("b", 4))
    before = b.show()
    assert before[0] > 0 and before[1] > 0 and before[2] > 0
    a.tunnel.peers.append(ends.Peer(ends.new_key()[1], ["10.78.0.0/24"]))
    a.wg("syncconf", a.name, "/dev/stdin", input=a.tunnel.text(quick=False))
    assert traffic.reaches(net.a, inner("b", 4))
    after = b.show()
    assert after[0] == before[0] and after[1] > before[1] and after[2] > before[2]
    assert len(a.wg("show", a.name, "peers").stdout.split()) == 2


def test_an_endpoint_on_a_link_keeps_its_scope(end, keys):
    # wireguard-go forgets it.
    end.wg("set", end.name, "peer", keys[0][1], "endpoint", "[fe80::1%to-b]:65535")
    assert end.wg("show", end.name, "endpoints").stdout.split() == [
        keys[0][1], "[fe80::1%to-b]:65535"]
    with end.uapi() as uapi:
        section = f"set=1\npublic_key={hex_of(keys[0][1])}\n"
        assert uapi.errno(f"{section}endpoint=[fe80::1%1]:7\n\n") == 0
        assert uapi.errno(f"{section}endpoint=[fe80::1%no-such-link]:8\n\n") == -22
    assert end.wg("show", end.name, "endpoints").stdout.split()[1] == "[fe80::1%lo]:7"


def test_counters_and_endpoints_are_what_was_sent_from_where(lab):
    net = lab.net()
    a, b = (lab._own(Bare(binary, host, tunnel)) for binary, host, tunnel
            in zip((lab.binary, lab.wireguard_go_binary), (net.a, net.b), lab.tunnels(net)))
    b.set_up()
    a.set_up()
    assert traffic.reaches(net.a, inner("b", 4), count=3)
    with a.uapi() as ours, b.uapi() as theirs:
        mine, its = (next(iter(uapi.get()[1].values())) for uapi in (ours, theirs))
    assert mine["tx_bytes"] == its["rx_bytes"] and mine["rx_bytes"] == its["tx_bytes"]
    port = a.wg("show", a.name, "listen-port").stdout.strip()
    assert its["endpoint"] == endpoint(net.outer("a", 4), port)
    assert mine["endpoint"] == endpoint(net.outer("b", 4), PORT)
    assert abs(int(mine["last_handshake_time_sec"]) - int(its["last_handshake_time_sec"])) <= 1


def test_a_port_that_is_taken_is_refused_and_the_old_one_stays(both):
    for one in both:
        one.wg("set", one.name, "listen-port", 51821)
        one.namespace.ip("link", "set", one.name, "up")
    with contextlib.ExitStack() as stack:
        for one in both:
            taken = stack.enter_context(one.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM))
            taken.bind(("0.0.0.0", 51899))
            with one.uapi() as uapi:
                one.until(lambda: uapi.get()[0].get("listen_port") == "51821", "it listens")
                assert uapi.errno("set=1\nlisten_port=51899\n\n") == -98
        said = both[0].wg("set", both[0].name, "listen-port", 51899, check=False).stderr
        assert "Address already in use" in said
        with both[0].uapi() as uapi:
            assert uapi.get()[0]["listen_port"] == "51821"


# The protocol ---------------------------------------------------------------------------------

def test_requests_get_the_errno_that_wireguard_go_gives(both, keys):
    me, peer, other = (hex_of(key) for key in (keys[0][0], keys[1][1], keys[2][1]))
    section = f"public_key={peer}"
    for lines in (
            [f"private_key={me}", "listen_port=51821", "fwmark=5"],
            [],
            ["replace_peers=true"],
            ["replace_peers=false"],
            ["fwmark=7", "listen_port=65536", "fwmark=8"],
            ["fwmark=9", "listen_port"],
            ["listen_port=-1"],
            ["fwmark=4294967295"],
            ["fwmark=4294967296"],
            ["fwmark=0x10"],
            ["private_key=1234"],
            [f"private_key={me.upper()}"],
            ["no_such_key=1"],
            ["endpoint=1.2.3.4:5"],
            [f"public_key={peer[:-1]}"],
            [section, "preshared_key=" + ZEROS, "protocol_version=1"],
            [section, "protocol_version=2"],
            [section, "listen_port=1"],
            [section, "endpoint=1.2.3.4:5", "endpoint=1.2.3.4", "persistent_keepalive_interval=3"],
            [section, "endpoint=example.org:5"],
            [section, "persistent_keepalive_interval=65535"],
            [section, "persistent_keepalive_interval=65536"],
            [section, "allowed_ip=10.0.0.0/8", "allowed_ip=10.0.0.0"],
            [section, "allowed_ip=10.0.0.0/33"],
            [section, "allowed_ip=11.0.0.0/8", "replace_allowed_ips=true",
             "allowed_ip=12.0.0.0/8"],
            [section, "replace_allowed_ips=1"],
            [section, "remove=no"],
            [f"public_key={other}", "update_only=true", "allowed_ip=13.0.0.0/8"],
            [f"public_key={other}", "allowed_ip=13.0.0.0/8", section, "allowed_ip=13.0.0.0/8",
             f"public_key={other}", "allowed_ip=14.0.0.0/8"],
            [section, "remove=true", "endpoint=1.2.3.4:5"],
            [section, "allowed_ip=15.0.0.0/8", "nonsense", "allowed_ip=16.0.0.0/8"],
            [f"private_key={ZEROS}"]):
        replies = []
        for one in both:
            with one.uapi() as uapi:
                replies.append(uapi.ask("set=1\n" + "".join(f"{line}\n" for line in lines) + "\n"))
        assert replies[0] == replies[1], lines
        same_state(both)


def test_a_connection_takes_one_request_after_another(end):
    with end.uapi() as uapi:
        for port in range(1, 20):
            assert uapi.errno(f"set=1\nlisten_port={port}\n\n") == 0
            assert uapi.get()[0]["listen_port"] == str(port)
        # All at once, good and bad: the replies come in order.
        uapi.send("set=1\nlisten_port=5\n\nget=1\n\nset=1\nbad\n\nset=1\nfwmark=x\n\nget=1\n\n")
        replies = [uapi.reply() for _ in range(5)]
        assert replies == ["errno=0", "listen_port=5\nerrno=0", "errno=-71", "errno=-22",
                           "listen_port=5\nerrno=0"]
        # By the byte.
        for byte in b"set=1\nfwmark=6\n\nget=1\n\n":
            uapi.send(bytes([byte]))
        assert uapi.reply() == "errno=0"
        assert uapi.reply() == "listen_port=5\nfwmark=6\nerrno=0"


def test_what_is_no_request_ends_the_connection_and_no_other(end):
    with end.uapi() as good:
        for text in ("set=2\n\n", "get\n\n", "\n\n", "GET / HTTP/1.1\r\n\r\n", "\0\n",
                     "x" * 10000):
            with end.uapi() as uapi, contextlib.suppress(ConnectionError):
                uapi.send(text)
                assert uapi.reply() is None
        assert good.ask("get=1\n\n") == "errno=0"


def test_lines_before_an_error_stay_and_the_rest_is_read_before_the_answer(end, keys):
    peers = [hex_of(public) for _, public in keys]
    tail = "allowed_ip=10.0.0.0/8\n" * 200_000  # far more than a socket holds
    with end.uapi() as uapi:
        uapi.send(f"set=1\nlisten_port=7\npublic_key={peers[0]}\nallowed_ip=10.1.0.0/16\n"
                  f"public_key={peers[1]}\nallowed_ip=10.2.0.0/16\noops=1\n"
                  f"public_key={peers[2]}\n{tail}\n")
        assert uapi.reply() == "errno=-22"
        device, known = uapi.get()
    assert device["listen_port"] == "7"
    assert {key: peer["allowed_ip"] for key, peer in known.items()} == {
        peers[0]: ["10.1.0.0/16"], peers[1]: ["10.2.0.0/16"]}


def test_lines_without_end_are_refused_and_read(end):
    with end.uapi() as uapi:
        assert uapi.errno("set=1\nfwmark=3\nfwmark=" + "0" * 1_000_000 + "5\nfwmark=4\n\n") == -22
        assert uapi.errno("set=1\n" + "x" * 1_000_000 + "\nfwmark=4\n\n") == -71
        for size in range(4096 - 8, 4 * 4096, 8):  # whatever the size of a buffer is
            line = "fwmark=".ljust(size, "x")
            assert uapi.errno(f"set=1\n{line}\nfwmark=4\n\n") == -22
        assert uapi.get()[0] == {"fwmark": "3"}


def test_an_allowed_ip_with_a_minus_is_taken_away_if_it_is_the_peers(end, keys):
    first, second = (hex_of(public) for _, public in keys[:2])
    with end.uapi() as uapi:
        assert uapi.errno(f"set=1\npublic_key={first}\nallowed_ip=10.1.0.0/16\n"
                          f"allowed_ip=fd01::/64\nallowed_ip=10.2.0.0/16\n"
                          f"public_key={second}\nallowed_ip=10.3.0.0/16\n\n") == 0
        assert uapi.errno(f"set=1\npublic_key={first}\nallowed_ip=-10.1.0.0/16\n"
                          "allowed_ip=-10.3.0.0/16\nallowed_ip=-10.2.0.0/17\n\n") == 0
        assert {key: peer["allowed_ip"] for key, peer in uapi.get()[1].items()} == {
            first: ["10.2.0.0/16", "fd01::/64"], second: ["10.3.0.0/16"]}


def test_a_connection_cut_in_a_set_keeps_whole_lines_only(end, keys):
    public = hex_of(keys[0][1])
    with end.uapi() as uapi:
        uapi.send(f"set=1\npublic_key={public}\nallowed_ip=10.1.0.0/16\nallowed_ip=10.2.0.0/1")
        uapi.socket.shutdown(socket.SHUT_WR)
        assert uapi.reply() == "errno=-71"
        assert uapi.reply() is None
    with end.uapi() as uapi:
        uapi.send("set=1\nfwmark=9\n")
        uapi.socket.shutdown(socket.SHUT_WR)
        assert uapi.reply() == "errno=0"
    with end.uapi() as uapi:
        device, peers = uapi.get()
        assert device["fwmark"] == "9"
        assert peers[public]["allowed_ip"] == ["10.1.0.0/16"]


def many_peers(n, each):
    """({public key: allowed-IPs}, the set that makes them)."""
    peers = {os.urandom(32).hex(): sorted(f"10.{i >> 8}.{i & 255}.{j}/32" for j in range(each))
             for i in range(n)}
    text = "".join(f"public_key={key}\nreplace_allowed_ips=true\n"
                   + "".join(f"allowed_ip={ip}\n" for ip in ips) for key, ips in peers.items())
    return peers, f"set=1\nreplace_peers=true\n{text}\n"


def test_ten_thousand_peers_are_set_and_told(end):
    peers, text = many_peers(10_000, 3)
    with end.uapi() as uapi:
        assert uapi.errno(text) == 0
        assert {key: peer["allowed_ip"] for key, peer in uapi.get()[1].items()} == peers
    shown = end.wg("show", end.name, "allowed-ips").stdout.splitlines()
    assert len(shown) == len(peers)
    with end.uapi() as uapi:
        assert uapi.errno("set=1\nreplace_peers=true\n\n") == 0
        assert uapi.get()[1] == {}


def test_one_peer_may_have_more_allowed_ips_than_are_kept(end, keys):
    public = hex_of(keys[0][1])
    ips = sorted(f"10.{i >> 8}.{i & 255}.0/24" for i in range(3000))
    lines = "".join(f"allowed_ip={ip}\n" for ip in ips)
    with end.uapi() as uapi:
        assert uapi.errno(f"set=1\npublic_key={public}\nallowed_ip=99.0.0.0/8\n\n") == 0
        assert uapi.errno(f"set=1\npublic_key={public}\nupdate_only=true\n"
                          f"replace_allowed_ips=true\n{lines}\n") == 0
        assert uapi.get()[1][public]["allowed_ip"] == ips
        assert uapi.errno(f"set=1\npublic_key={public}\nremove=true\n{lines}\n") == 0
        assert uapi.get()[1] == {}
        assert uapi.errno(f"set=1\npublic_key={public}\nupdate_only=true\n{lines}\n") == 0
        assert uapi.get()[1] == {}


def test_who_does_not_read_costs_little_and_holds_nobody_up(lab, plain):
    net = lab.net()
    end = lab._own(Bare(plain, net.a, named(net, "a"))).start()
    peers, text = many_peers(10_000, 3)
    with contextlib.ExitStack() as stack, end.uapi() as uapi:
        assert uapi.errno(text) == 0
        assert len(uapi.get()[1]) == len(peers)
        before = end.rss()
        lazy = [stack.enter_context(end.uapi()) for _ in range(20)]
        for one in lazy:
            one.send("get=1\n\n" * 100)
        assert len(uapi.get()[1]) == len(peers)
        assert uapi.errno("set=1\nfwmark=3\n\n") == 0
        # A whole reply takes 4 MB.
        assert end.rss() - before < 8 << 20
        # The one that reads at last gets all of it, unharmed.
        assert len(lazy[-1].get()[1]) == len(peers)


def test_connections_that_say_nothing_lock_nobody_out(end):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(end.uapi()) for _ in range(200)]
        assert end.wg("show", end.name, check=False).returncode == 0
        with end.uapi() as uapi:
            assert uapi.get()[0] == {}
        # The last ones are still there.
        assert silent[-1].ask("get=1\n\n") == "errno=0"
    assert end.wg("show", end.name, check=False).returncode == 0


# The socket -----------------------------------------------------------------------------------

def test_the_socket_is_roots_and_lies_where_wg_looks(end):
    status = os.lstat(path_of(end.name))
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == 0
    assert stat.S_IMODE(os.stat(bare.FOLDER).st_mode) == 0o755
    end.stop()
    assert not os.path.lexists(path_of(end.name))


def test_a_socket_that_nobody_answers_is_replaced(lab):
    # wg(8) would delete it, too: so nobody but us looks at it.
    net = lab.net()
    name = net.label + "a"
    pathlib.Path(bare.FOLDER).mkdir(mode=0o755, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path_of(name))
    with in_background(lab, net.a, name), bare.Uapi(name) as uapi:
        assert uapi.ask("get=1\n\n") == "errno=0"


def test_a_daemon_that_was_killed_is_followed_at_once(lab):
    net = lab.net()
    name = net.label + "a"
    for host in [net.a, net.b] * 5:
        done = run_bare(lab, host, name)
        assert done.returncode == 0, done.stderr
        with bare.Uapi(name) as uapi:
            assert uapi.ask("get=1\n\n") == "errno=0"
        os.kill(int(namespace_pids(host)[0]), signal.SIGKILL)
        ends.poll(lambda: not namespace_pids(host), "it is dead")
    os.unlink(path_of(name))


def test_a_socket_that_is_answered_is_left_alone(lab):
    net = lab.net()
    first = lab._own(Bare(lab.wireguard_go_binary, net.a, named(net, "a"))).start()
    done = run_bare(lab, net.b, "-f", first.name)
    assert done.returncode == 1
    assert "another daemon answers" in done.stderr and path_of(first.name) in done.stderr
    assert len(net.b.ip_json("link")) == 2
    assert first.wg("show", first.name, check=False).returncode == 0


def test_a_name_that_runs_is_refused_in_another_namespace(end):
    elsewhere = end.namespace.name + "x"
    subprocess.run(["ip", "netns", "add", elsewhere], check=True)
    try:
        done = subprocess.run(["ip", "netns", "exec", elsewhere, end.binary, "-f", end.name],
                              capture_output=True, text=True, timeout=60)
    finally:
        subprocess.run(["ip", "netns", "del", elsewhere], check=True)
    assert done.returncode == 1 and end.name in done.stderr
    with end.uapi() as uapi:
        assert uapi.ask("get=1\n\n") == "errno=0"


def test_who_deletes_the_socket_ends_the_daemon(end):
    os.unlink(path_of(end.name))
    end.check_end()


def test_who_deletes_the_interface_ends_the_daemon(end):
    end.namespace.ip("link", "del", end.name)
    end.check_end()


def test_what_took_the_sockets_place_is_not_ours_to_delete(end):
    path = path_of(end.name)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{path}.new")
        os.rename(f"{path}.new", path)
        assert end.wait_exit() == 0
        assert os.path.lexists(path)
    os.unlink(path)


def test_touching_the_socket_ends_nothing(end):
    os.chmod(path_of(end.name), 0o660)
    os.utime(path_of(end.name))
    with end.uapi() as uapi:
        assert uapi.ask("get=1\n\n") == "errno=0"


# convoy IFNAME --------------------------------------------------------------------------------

def run_bare(lab, namespace, *argv, program=None, **env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WG_")}
    return namespace.run(program or lab.binary, *argv, check=False,
                         env={**clean, **{key: str(value) for key, value in env.items()}},
                         timeout=60)


@contextlib.contextmanager
def in_background(lab, namespace, name, *argv, program=None, **env):
    """Started, and back when it works; afterwards it ends with its interface."""
    done = run_bare(lab, namespace, *(argv or (name,)), program=program, **env)
    assert done.returncode == 0, done.stderr
    yield done
    # Both were there before the parent returned.
    namespace.ip("link", "del", name)
    ends.poll(lambda: not namespace_pids(namespace), "the daemon is gone")
    assert not os.path.lexists(path_of(name))


def namespace_pids(namespace):
    return subprocess.run(["ip", "netns", "pids", namespace.name], capture_output=True,
                          text=True, check=True).stdout.split()


def test_the_parent_returns_when_interface_and_socket_exist(lab):
    net = lab.net()
    name = net.label + "a"
    with in_background(lab, net.a, name) as done:
        assert done.stdout == "" and done.stderr == ""
        assert net.a.run("wg", "show", name).stdout.startswith(f"interface: {name}")
        flags = net.a.ip_json("link", "show", name)[0]["flags"]
        assert "UP" not in flags
        pid = namespace_pids(net.a)[0]
        assert os.getsid(int(pid)) == int(pid)
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"


def test_a_start_that_fails_says_why_and_leaves_nothing(lab):
    net = lab.net()
    name = net.label + "a"
    net.a.ip("tuntap", "add", name, "mode", "tun")
    done = run_bare(lab, net.a, name)
    assert done.returncode == 1 and "exists" in done.stderr, done.stderr
    assert f"{name} is no command" in done.stderr
    assert not os.path.lexists(path_of(name)) and not namespace_pids(net.a)
    done = run_bare(lab, net.a, "-f", name)
    assert done.returncode == 1 and "exists" in done.stderr and "no command" not in done.stderr


@pytest.mark.parametrize("level, says, hushes", [
    ("verbose", "running", None), ("debug", "running", None), ("error", None, "running"),
    ("silent", None, "."), (None, None, "running")])
def test_log_level_is_wireguard_gos(lab, level, says, hushes):
    net = lab.net()
    name = net.label + "a"
    with tempfile.TemporaryFile("w+") as log:
        env = {key: value for key, value in os.environ.items() if not key.startswith("WG_")}
        env = {**env, **({"LOG_LEVEL": level} if level else {})}
        net.a.popen(lab.binary, name, stderr=log, env=env).wait(60)
        net.a.run("wg", "show", name)
        net.a.ip("link", "del", name)
        ends.poll(lambda: not namespace_pids(net.a), "the daemon is gone")
        log.seek(0)
        text = log.read()
    assert not says or says in text
    assert not hushes or not re.search(hushes, text), text


def test_foreground_by_option_or_environment(lab):
    net = lab.net()
    for suffix, argv, env in (("a", ["-f"], {}), ("b", ["--foreground"], {}),
                              ("c", [], {"WG_PROCESS_FOREGROUND": "1"})):
        name = net.label + suffix
        process = net.a.popen(lab.binary, *argv, name, env={**os.environ, **env})
        ends.poll(lambda: os.path.lexists(path_of(name)), "its socket is there")
        assert process.poll() is None
        process.terminate()
        assert process.wait(60) == 0


def make_tun(namespace, name, flags):
    with namespace.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    return fd


def test_tun_and_socket_may_be_made_by_somebody_else(lab):
    net = lab.net()
    a, b = lab.tunnels(net)
    lab.convoy(net.b, b).start()
    path = f"{bare.FOLDER}/{net.label}x.sock"
    pathlib.Path(bare.FOLDER).mkdir(mode=0o755, exist_ok=True)
    tun = make_tun(net.a, a.name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        process = net.a.popen(lab.binary, "-f", "whatever", pass_fds=[tun, listener.fileno()],
                              env={**os.environ, "WG_TUN_FD": str(tun),
                                   "WG_UAPI_FD": str(listener.fileno())})
    os.close(tun)
    with bare.Uapi(net.label + "x") as uapi:
        assert uapi.ask("get=1\n\n") == "errno=0"
        peer = a.peers[0]
        assert uapi.errno(f"set=1\nprivate_key={hex_of(a.private)}\npublic_key="
                          f"{hex_of(peer.public)}\nendpoint={peer.endpoint}\n"
                          + "".join(f"allowed_ip={ip}\n" for ip in peer.allowed) + "\n") == 0
    for address in a.addresses:
        net.a.ip("addr", "add", address, "dev", a.name)
    net.a.ip("link", "set", a.name, "mtu", 1420, "up")
    assert traffic.reaches(net.a, inner("b", 4))
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(16 << 20)
    os.unlink(path)
    assert process.wait(60) == 0


@pytest.mark.parametrize("flags, says", [
    (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, "IFF_TUN |"),
    (IFF_TUN | IFF_NO_PI, "IFF_VNET_HDR"),
    (IFF_TUN | IFF_VNET_HDR, "IFF_NO_PI"),
    (None, "no such descriptor")], ids=["tap", "no_vnet_header", "information", "none"])
def test_a_tun_that_is_framed_otherwise_is_refused_with_the_reason(lab, flags, says):
    net = lab.net()
    name = net.label + "a"
    fd = make_tun(net.a, name, flags) if flags else 999
    process = net.a.popen(lab.binary, "-f", name, pass_fds=[fd] if flags else [], text=True,
                          stderr=subprocess.PIPE, env={**os.environ, "WG_TUN_FD": str(fd)})
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and says in said, said
    if flags:
        os.close(fd)


def test_a_mistyped_command_is_not_made_an_interface(lab):
    net = lab.net()
    done = run_bare(lab, net.a, "chekc")
    assert done.returncode == 2 and "did you mean check?" in done.stderr
    done = run_bare(lab, net.a, "not/a/name")
    assert done.returncode == 2 and "unknown command" in done.stderr
    assert len(net.a.ip_json("link")) == 2


@pytest.mark.parametrize("argv, env", [
    (["chekc"], {"WG_QUICK_USERSPACE_IMPLEMENTATION": "convoy"}), (["-f", "check"], {})],
    ids=["near", "same"])
def test_whoever_means_an_interface_gets_one_of_any_name(lab, argv, env):
    net = lab.net()
    process = net.a.popen(lab.binary, *argv, env={**os.environ, **env})
    ends.poll(lambda: os.path.lexists(path_of(argv[-1])), "its socket is there")
    net.a.ip("link", "del", argv[-1])
    assert process.wait(60) == 0
    ends.poll(lambda: not namespace_pids(net.a), "the daemon is gone")


def test_under_the_name_of_wireguard_go_every_word_is_an_interface(lab, tmp_path):
    net = lab.net()
    program = tmp_path / "wireguard-go"
    program.symlink_to(lab.binary)
    with in_background(lab, net.a, "genkey", program=program):
        assert "genkey" in net.a.ip("link")


@pytest.mark.parametrize("set_up_first", [False, True], ids=["before", "after"])
def test_the_interface_is_moved_and_set_up_in_another_namespace(lab, set_up_first):
    # As the netns.sh suites of WireGuard do it: the sockets stay where the daemon was started.
    net = lab.net()
    a, b = lab.tunnels(net)
    lab.convoy(net.b, b).start()
    end = lab._own(Bare(lab.binary, net.a, a)).start()
    elsewhere = net.host("c")

    def set_up():
        end.wg("setconf", end.name, "/dev/stdin", input=a.text(quick=False))

    if set_up_first:
        set_up()
    net.a.ip("link", "set", end.name, "netns", elsewhere.name)
    if not set_up_first:
        set_up()
    for address in a.addresses:
        elsewhere.ip("addr", "add", address, "dev", end.name)
    elsewhere.ip("link", "set", end.name, "mtu", 1420, "up")
    end.until(lambda: traffic.reaches(elsewhere, inner("b", 4), count=1, wait_s=1), "it answers")
    traffic.Stream(elsewhere, net.b, inner("b", 4)).transfer(16 << 20)
    elsewhere.ip("link", "del", end.name)
    end.check_end()
