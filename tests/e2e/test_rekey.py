"""New keys while traffic runs: with a clock that runs faster for the tunnel alone."""
import subprocess
import threading

import pytest
import traffic
from lab import inner
from traffic import ping_result
from wgmodel import RESPONSE

# A key is renewed after 120 s of the tunnel's clock: every 3 s of ours.
FAST = {"CONVOY_TEST_CLOCK": "40"}


def relayed_pair(lab, **kwargs):
    net = lab.net(router=True)
    relay = lab.relay(net)
    a, b = lab.pair(net, relayed=True, env=FAST, **kwargs)
    return net, relay, a, b


def test_streams_run_across_several_rekeys(lab, workers):
    net, relay, a, _ = relayed_pair(lab, a=workers, b=workers)
    stream, enough = traffic.Stream(net.a, net.b, inner("b", 4)), threading.Event()
    running = traffic.Workers()
    running.go(stream.move, lambda sent: not enough.is_set())
    try:
        a.until(lambda: relay.count("home", RESPONSE) >= 4, "four handshakes")
    finally:
        enough.set()
    running.join()
    assert a.stats()["handshake.sessions"] >= 4


def test_no_ping_is_lost_across_several_rekeys(lab):
    net, relay, a, _ = relayed_pair(lab)
    assert traffic.reaches(net.a, inner("b", 4))
    pings = net.a.popen("ping", "-n", "-i", "0.02", "-W", "10", inner("b", 4), text=True,
                        stdout=subprocess.PIPE)
    text = []
    reader = threading.Thread(target=lambda: text.append(pings.stdout.read()))
    reader.start()
    a.until(lambda: relay.count("home", RESPONSE) >= 4, "four handshakes")
    pings.send_signal(subprocess.signal.SIGINT)
    reader.join()
    pings.wait()
    lost, _ = ping_result(text[0])
    # The one that was on its way when ping was told to end does not count.
    assert lost <= 1, text[0][-300:]


@pytest.mark.parametrize("way", ["out", "home"])
def test_a_lost_handshake_message_is_sent_again(lab, way):
    net, relay, _, _ = relayed_pair(lab)
    lost = []

    def lose_the_first(where, datagram):
        if where == way and datagram[0] in (1, 2) and not lost:
            lost.append(datagram)
            return ()
        return (datagram,)

    relay.policy = lose_the_first
    assert traffic.reaches(net.a, inner("b", 4), count=3)
    assert lost
