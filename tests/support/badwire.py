"""What a relay does to datagrams, as policies: fault(kind, rate, seed)."""
import random


class Reorder:
    """Some are held back until a few others of their way have passed."""

    def __init__(self, rng, rate):
        self._rng, self._rate, self._held = rng, rate, {"out": [], "home": []}

    def __call__(self, way, datagram):
        held = self._held[way]
        for late in held:
            late[0] -= 1
        ready = [late[1] for late in held if late[0] == 0]
        held[:] = [late for late in held if late[0]]
        if self._rng.random() < self._rate:
            held.append([self._rng.randint(1, 30), datagram])
            return ready
        return [datagram, *ready]


def _corrupt(rng, datagram):
    at = rng.randrange(len(datagram))
    return datagram[:at] + bytes([datagram[at] ^ rng.randint(1, 255)]) + datagram[at + 1:]


def fault(kind, rate, seed=1):
    """Of `kind` loss, duplication, reorder or corruption, for that part of all datagrams."""
    rng = random.Random(seed)
    if kind == "reorder":
        return Reorder(rng, rate)
    hit = {"loss": lambda datagram: (),
           "duplication": lambda datagram: (datagram, datagram),
           "corruption": lambda datagram: (_corrupt(rng, datagram),)}[kind]
    return lambda way, datagram: hit(datagram) if rng.random() < rate else (datagram,)
