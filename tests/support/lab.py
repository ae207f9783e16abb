"""A lab: networks and tunnel ends that are all gone when it closes."""
import contextlib

import ends
from ends import Convoy, Peer, Tunnel, WireguardGo
from net import Net
from relay import Relay

PORT = 51820
INNER = {("a", 4): "10.77.0.1", ("b", 4): "10.77.0.2",
         ("a", 6): "fd77::1", ("b", 6): "fd77::2"}


def endpoint(address, port=PORT):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def inner(name, family):
    return INNER[name, family]


def inner_addresses(name):
    return [f"{INNER[name, 4]}/24", f"{INNER[name, 6]}/64"]


def inner_hosts(name):
    return [f"{INNER[name, 4]}/32", f"{INNER[name, 6]}/128"]


class Lab:
    """Makes networks and ends, and ends them. `convoy` and `wireguard_go` are paths of binaries.

    When it closes it prints what each end said, unless quiet.
    """

    def __init__(self, convoy, wireguard_go="wireguard-go", quiet=False):
        self.binary, self.wireguard_go_binary, self._quiet = convoy, wireguard_go, quiet
        self._stack, self._ends = contextlib.ExitStack(), []

    def net(self, **kwargs):
        return self._stack.enter_context(Net(**kwargs))

    def relay(self, net, family=4, **kwargs):
        """A relay in the router of `net`: a reaches b through its near side."""
        relay = Relay(net.r, net.outer("r", family, 1), PORT, (net.outer("b", family), PORT),
                      **kwargs)
        self._stack.callback(relay.close)
        return relay

    def own(self, close):
        """Call this when the lab closes."""
        self._stack.callback(close)

    def convoy(self, namespace, tunnel, **kwargs):
        return self._own(Convoy(self.binary, namespace, tunnel, **kwargs))

    def wireguard_go(self, namespace, tunnel):
        return self._own(WireguardGo(self.wireguard_go_binary, namespace, tunnel))

    def _own(self, end):
        self._ends.append(end)
        return end

    @staticmethod
    def tunnels(net, outer=4, mtu=1420, psk=False, a=None, b=None, relayed=False):
        """What the files of a client in net.a and a server in net.b say; a and b: extra keys."""
        keys = {name: ends.new_key() for name in "ab"}
        secret = ends.new_psk() if psk else None
        there = net.outer("r", outer, 1) if relayed else net.outer("b", outer)
        return tuple(
            Tunnel(keys[own][0], inner_addresses(own),
                   [Peer(keys[other][1], inner_hosts(other), psk=secret, endpoint=where)],
                   port=port, mtu=mtu, name=net.label + own, extra=extra or {})
            for own, other, where, port, extra in (("a", "b", endpoint(there), None, a),
                                                   ("b", "a", None, PORT, b)))

    def pair(self, net, kinds=("convoy", "convoy"), env=None, **kwargs):
        """A client in net.a and a server in net.b, running."""
        make = {"convoy": lambda *args: self.convoy(*args, env=env),
                "wireguard-go": self.wireguard_go}
        a, b = (make[kind](host, tunnel) for kind, host, tunnel
                in zip(kinds, (net.a, net.b), self.tunnels(net, **kwargs)))
        b.start()
        a.start()
        return a, b

    def close(self, failed=False):
        """Stop every end (each Convoy must leave nothing behind), then delete the networks."""
        try:
            for end in self._ends:
                if not failed and end.running():
                    end.stop()
                elif not failed and end.lines and not end.ended:
                    raise AssertionError(f"{end.name} ended by itself\n{end.lines.text()}")
                if isinstance(end, Convoy) and end.lines:
                    end.check_sane()
        finally:
            for end in self._ends:
                if end.running():
                    end.last_words()
                    end.kill()
                if end.lines and not self._quiet:
                    print(f"--- {end.namespace.name} {type(end).__name__}\n{end.said()}")
            self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(failed=kind is not None)
