"""A daemon's life: start, trouble, change under its feet, end. Nothing is left behind."""
import contextlib
import signal
import socket

import ends
import pytest
import traffic
from lab import PORT, endpoint, inner

# Timers run faster, so that a lost session is found in a second.
FAST = {"CONVOY_TEST_CLOCK": "20"}


def comes_back(end, host, address):
    end.until(lambda: traffic.reaches(host, address, count=1, wait_s=1), f"{address} answers")


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("who", [0, 1], ids=["client", "server"])
def test_either_side_restarts_and_traffic_recovers(lab, workers, who, how):
    net = lab.net()
    pair = lab.pair(net, env=FAST, a=workers, b=workers)
    assert traffic.reaches(net.a, inner("b", 4))
    getattr(pair[who], how)()
    pair[who].start()
    comes_back(pair[0], net.a, inner("b", 4))
    assert traffic.reaches(net.b, inner("a", 6))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_nothing_is_left(lab, workers, how):
    net = lab.net()
    a, _ = lab.pair(net, a=workers, b=workers)
    assert traffic.reaches(net.a, inner("b", 4))
    a.stop(how)
    assert a.final_stats()["udp.send_datagrams"] > 0


def test_it_ends_in_the_middle_of_a_transfer(lab, workers):
    net = lab.net()
    a, b = lab.pair(net, a=workers, b=workers)
    stream = traffic.Stream(net.a, net.b, inner("b", 4))
    running = traffic.Workers()
    running.go(stream.move, lambda sent: True)
    b.until(lambda: b.peer_stat("rx_bytes") > 1 << 22, "bytes flow")
    a.stop()
    b.stop()
    for sock in (stream.left, stream.right):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError):
        running.join()


def test_a_name_that_is_taken_gives_a_clear_error(lab):
    net = lab.net()
    tunnel, _ = lab.tunnels(net)
    net.a.ip("tuntap", "add", tunnel.name, "mode", "tun")
    said = lab.convoy(net.a, tunnel).start(ready=False).refused()
    assert tunnel.name in said and "exist" in said or "taken" in said or "in use" in said, said


def test_a_second_start_with_the_same_name_is_refused_and_the_first_goes_on(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    said = lab.convoy(net.a, a.tunnel).start(ready=False).refused()
    assert a.name in said
    assert traffic.reaches(net.a, inner("b", 4))


def test_a_port_that_is_taken_gives_a_clear_error_and_leaves_nothing(lab):
    net = lab.net()
    a, _ = lab.tunnels(net)
    a.port = PORT
    with net.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", PORT))
        second = lab.convoy(net.a, a).start(ready=False)
        assert str(PORT) in second.refused()
        second.check_gone()


def test_a_wrong_line_in_the_file_is_named(lab):
    net = lab.net()
    tunnel, _ = lab.tunnels(net, a={"ListenPort": "seventy"})
    said = lab.convoy(net.a, tunnel).start(ready=False).refused()
    assert f"{tunnel.name}.conf:3:" in said, said


def test_a_wrong_key_carries_nothing_and_is_counted(lab):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    a.tunnel.private = ends.new_key()[0]
    b.start()
    a.start()
    assert traffic.ping(net.a, inner("b", 4), count=2, wait_s=1)[0] == 2
    b.wait_stat("drop.handshake_peer", 1)
    assert b.peer_stat("rx_bytes") == 0


def test_a_server_with_another_key_than_expected_is_silent_and_counts(lab):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    a.tunnel.peers[0].public = ends.new_key()[1]
    b.start()
    a.start()
    assert traffic.ping(net.a, inner("b", 4), count=2, wait_s=1)[0] == 2
    stats = b.wait_stat("drop.handshake_mac", 1)
    assert stats["udp.send_datagrams"] == 0


def test_a_wrong_preshared_key_carries_nothing(lab):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, psk=True)))
    b.tunnel.peers[0].psk = ends.new_psk()
    b.start()
    a.start()
    assert traffic.ping(net.a, inner("b", 4), count=2, wait_s=1)[0] == 2
    a.wait_stat("drop.handshake_invalid", 1)


def test_a_peer_without_endpoint_is_waited_for(lab):
    net = lab.net()
    a, b = (lab.convoy(host, tunnel) for host, tunnel in zip((net.a, net.b), lab.tunnels(net)))
    b.start()
    assert traffic.ping(net.b, inner("a", 4), count=2, wait_s=1)[0] == 2
    assert b.stats()["udp.send_datagrams"] == 0
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    assert traffic.reaches(net.b, inner("a", 4))


def test_a_destination_of_no_peer_is_answered_unreachable(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    before = a.stats()["drop.no_peer"]
    for address, error in (("10.77.0.99", "Destination Host Unreachable"),
                           ("fd77::99", "Address unreachable")):
        said = net.a.run("ping", "-n", "-c", "1", "-W", "5", address, check=False).stdout
        assert error in said, said
    assert a.stats()["drop.no_peer"] >= before + 2


def test_link_down_and_up_again_carries_traffic(lab, workers):
    net = lab.net()
    a, _ = lab.pair(net, env=FAST, a=workers, b=workers)
    assert traffic.reaches(net.a, inner("b", 4))
    net.a.ip("link", "set", a.name, "down")
    assert traffic.ping(net.b, inner("a", 4), count=1, wait_s=1)[0] == 1
    net.a.ip("link", "set", a.name, "up")
    comes_back(a, net.a, inner("b", 4))


def test_a_link_that_comes_up_again_begins_a_session_at_once(lab):
    net = lab.net()
    a, _ = lab.pair(net)
    assert traffic.reaches(net.a, inner("b", 4))
    for way in ("down", "up"):
        net.a.ip("link", "set", a.name, way)
        a.lines.wait(f"the link went {way}")
    # Less than REKEY_TIMEOUT, which is for who had no answer.
    assert traffic.reaches(net.a, inner("b", 4), count=1, wait_s=3)


@pytest.mark.parametrize("new", [1280, 8920])
def test_the_mtu_changes_while_it_runs(lab, workers, new):
    net = lab.net(mtu=9000)
    a, b = lab.pair(net, a=workers, b=workers)
    assert traffic.reaches(net.a, inner("b", 4))
    for end in (a, b):
        end.namespace.ip("link", "set", end.name, "mtu", new)
    traffic.datagrams(net.a, net.b, inner("b", 4), 500, new - 28, seed=new,
                      ordered=workers["Workers"] == 1)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(16 << 20)


def test_the_interface_moves_to_another_namespace_and_goes_on(lab, workers):
    net = lab.net()
    a, _ = lab.pair(net, env=FAST, a=workers, b=workers)
    assert traffic.reaches(net.a, inner("b", 4))
    elsewhere = net.host("c")
    net.a.ip("link", "set", a.name, "netns", elsewhere.name)
    for address in a.tunnel.addresses:
        elsewhere.ip("addr", "add", address, "dev", a.name)
    elsewhere.ip("link", "set", a.name, "mtu", 1420, "up")
    comes_back(a, elsewhere, inner("b", 4))
    traffic.Stream(elsewhere, net.b, inner("b", 4)).transfer(16 << 20)


def test_the_interface_is_deleted_and_the_daemon_ends(lab, workers):
    net = lab.net()
    a, _ = lab.pair(net, a=workers, b=workers)
    net.a.ip("link", "del", a.name)
    a.wait_exit(ends.PATIENCE_S)
    a.check_sane()
    a.check_gone()


@pytest.mark.parametrize("family, beyond", [(4, "203.0.113.9/32"), (6, "2001:db8:ffff::9/128")],
                         ids=["v4", "v6"])
def test_a_default_route_goes_through_the_tunnel_and_not_into_itself(lab, family, beyond):
    net = lab.net(router=True)
    for host in (net.a, net.b):
        for kind in (4, 6):
            link = 1 if host is net.a else 2
            host.ip(f"-{kind}", "route", "add", "default", "via", net.outer("r", kind, link))
    net.b.ip("addr", "add", beyond, "dev", "lo")
    a, b = (lab.convoy(host, tunnel) for host, tunnel
            in zip((net.a, net.b), lab.tunnels(net, outer=family)))
    a.tunnel.peers[0].allowed = ["0.0.0.0/0", "::/0"]
    b.start()
    a.start()
    assert traffic.reaches(net.a, beyond.partition("/")[0])
    # What is on the link is still reached directly, and the tunnel's own datagrams as well.
    assert traffic.reaches(net.a, net.outer("r", family, 1))
    a.stop()


def test_a_table_of_its_own_holds_the_routes(lab):
    net = lab.net()
    a, _ = lab.pair(net, a={"Table": 4711})
    assert inner("b", 4) in net.a.ip("route", "show", "table", 4711)
    assert f"{inner('b', 4)} " not in net.a.ip("route", "show", "table", "main")


def test_the_fwmark_is_on_every_outer_datagram(lab):
    # Only what is marked has a route to the server.
    net = lab.net()
    to_server = f"{net.outer('b', 4)}/32"
    net.a.ip("route", "add", "unreachable", to_server)
    net.a.ip("route", "add", to_server, "dev", "to-b", "table", 77)
    net.a.ip("rule", "add", "fwmark", "0x1234", "table", 77)
    lab.pair(net, a={"FwMark": "0x1234"})
    assert traffic.reaches(net.a, inner("b", 4))
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(4 << 20)


def test_many_peers_each_get_their_own_packets(lab, workers):
    net = lab.net()
    keys = [ends.new_key() for _ in range(4)]
    server = lab.tunnels(net, b=workers)[1]
    server.peers = [ends.Peer(public, [f"10.77.0.{10 + i}/32"])
                    for i, (_, public) in enumerate(keys)]
    for i in range(len(keys)):
        net.a.ip("rule", "add", "from", f"10.77.0.{10 + i}", "table", 100 + i)
    lab.convoy(net.b, server).start()
    for i, (private, _) in enumerate(keys):
        lab.convoy(net.a, ends.Tunnel(
            private, [f"10.77.0.{10 + i}/32"], name=f"{net.label}p{i}",
            extra=workers | {"Table": 100 + i},
            peers=[ends.Peer(server.public, [f"{inner('b', 4)}/32"],
                             endpoint(net.outer("b", 4)))])).start()
    for i in range(len(keys)):
        said = net.a.run("ping", "-n", "-c", "5", "-i", "0.01", "-I", f"10.77.0.{10 + i}",
                         inner("b", 4), check=False).stdout
        assert traffic.ping_result(said)[0] == 0, said
