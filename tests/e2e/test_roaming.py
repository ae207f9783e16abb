"""Ends that move while a file is on its way: the other end follows who is authentic."""
import threading

import pytest
import traffic
from lab import PORT, endpoint, inner

STRETCH = 8 << 20


class Transfer:
    """A stream both ways that runs until done()."""

    def __init__(self, net, end):
        self._stream, self._enough = traffic.Stream(net.a, net.b, inner("b", 4)), threading.Event()
        self._running, self._end = traffic.Workers(), end
        self._running.go(self._stream.move, lambda sent: not self._enough.is_set())

    def run_a_stretch(self):
        """Wait until another stretch has come in."""
        have = self._end.peer_stat("rx_bytes")
        self._end.until(lambda: self._end.peer_stat("rx_bytes") >= have + STRETCH, "bytes move on")

    def done(self):
        self._enough.set()
        self._running.join()


def readdress(host, interface, old, new, bits):
    """Take a new address and lose the old one."""
    if bits == 24:
        host.sysctl(f"net.ipv4.conf.{interface}.promote_secondaries", 1)
    host.ip("addr", "add", f"{new}/{bits}", "dev", interface, *(("nodad",) if bits == 64 else ()))
    host.ip("addr", "del", f"{old}/{bits}", "dev", interface)


@pytest.mark.parametrize("outer, new, bits", [(4, "192.0.2.{}", 24), (6, "2001:db8:1::{}", 64)],
                         ids=["over_v4", "over_v6"])
@pytest.mark.parametrize("who", ["a", "b"], ids=["client", "server"])
def test_a_transfer_goes_on_when_an_outer_address_changes(lab, workers, outer, new, bits, who):
    net = lab.net()
    ends = dict(zip("ab", lab.pair(net, outer=outer, a=workers, b=workers)))
    transfer = Transfer(net, ends["b"])
    try:
        transfer.run_a_stretch()
        host, other = (net.a, "b") if who == "a" else (net.b, "a")
        for number in (77, 78):
            old = net.outer(who, outer) if number == 77 else new.format(77)
            readdress(host, f"to-{other}", old, new.format(number), bits)
            transfer.run_a_stretch()
    finally:
        transfer.done()


def test_a_transfer_goes_on_when_the_clients_port_changes(lab, workers):
    net = lab.net(router=True)
    relay = lab.relay(net)
    _, b = lab.pair(net, relayed=True, a=workers, b=workers)
    transfer = Transfer(net, b)
    try:
        for _ in range(3):
            transfer.run_a_stretch()
            relay.move()
        transfer.run_a_stretch()
    finally:
        transfer.done()


def test_a_client_moves_from_v4_to_v6(lab):
    # Two clients with one key: the server answers where it last heard that key.
    net = lab.net()
    a, b = lab.pair(net, outer=4, env={"CONVOY_TEST_CLOCK": "20"})
    assert traffic.reaches(net.a, inner("b", 4))
    a.stop()
    a.tunnel.peers[0].endpoint = endpoint(net.outer("b", 6), PORT)
    a.start()
    assert traffic.reaches(net.a, inner("b", 4))
    assert traffic.reaches(net.b, inner("a", 6))
    b.stop()
