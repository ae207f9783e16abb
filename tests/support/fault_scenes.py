"""What is done while a call fails, and what must hold then: the scenes of tests/e2e/faults/.

A scene is acted once with one order to fail. It says how it ended, in one word of OUTCOMES, or
fails when nothing may end so.
"""
import base64
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess

import traffic
import wgmodel
from ends import SANITIZER, Peer, new_key, poll
from faults import Faults
from house import Background, House
from lab import PORT, endpoint, inner
from stranger import Stranger, raw
from wgmodel import GRANT, REQUEST, frame, grant_of

# Of a command: it worked; it worked and warned; it did not, and said why in words; it left
# something on the host that holds up no other start, and goes with that one's end.
OUTCOMES = "ok", "warned", "refused", "leaves"
HOSTS = "127.0.0.1 localhost\n{far} far.example\n192.0.2.77 other.example\n"
SAID = re.compile(r"(?m)^(convoy: |err: |\S+: error: |\S+:\d+:\d+: error: )")
WARNED = re.compile(r"(?m)^(warn: |\S+: warning: |warning: )")


def outcome(code, said):
    """How a command ended that may be refused, but never without a word, or by a signal."""
    assert not SANITIZER.search(said), said
    if code == 0:
        return "warned" if WARNED.search(said) or SAID.search(said) else "ok"
    assert code == 1, f"exit {code}\n{said}"
    assert "ended by signal" not in said, said
    assert SAID.search(said), f"refused without a word\n{said}"
    return "refused"


HOOKS = {"PreUp": "true", "PostUp": "true", "PreDown": "true", "PostDown": "true"}
LEASES = pathlib.Path("/var/lib/convoy")
METRICS = "127.0.0.1", 9586
RSS_SLACK = 2 << 20  # the answers of `show`, and what a sanitizer keeps of what was freed
PLAIN = {**HOOKS, "DNS": "10.77.0.2", "MetricsListen": ":".join(map(str, METRICS)),
         "Pool": "10.77.0.0/24"}
FULL = {**PLAIN, "Loop": "epoll", "KillSwitch": "yes"}


class World:
    """The tunnel whose calls fail, in a house at net.a, and one at net.b whose calls do not."""

    def __init__(self, lab, sites, folder, full=False):
        self.faults = Faults(sites, folder)
        self.net = lab.net()
        self.tunnel, there = lab.tunnels(self.net)
        there.peers[0].allowed.append("10.77.0.0/24")
        self.far = lab.convoy(self.net.b, there).start()
        self.house = House(self.net.a)
        self.net.a.ip("route", "add", "default", "via", self.net.outer("b", 4))
        self.tunnel.port = PORT
        self.house.write("hosts", HOSTS.format(far=self.net.outer("b", 4)), 0o644)
        self.tunnel.peers[0].endpoint = f"far.example:{PORT}"
        self.tunnel.extra = dict(FULL if full else PLAIN)
        if full:
            self.tunnel.peers[0].allowed += ["0.0.0.0/0", "::/0"]
        options = os.environ.get("ASAN_OPTIONS", "")
        self.env = {**self.faults.env, "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}
        self.notify = self.net.a.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"\0{self.net.label}")
        if full:
            self.env["NOTIFY_SOCKET"] = f"@{self.net.label}"
        self.near = Background(lab.binary, self.house, self.tunnel, env=self.env)
        self.near.log.touch()
        self._leases = LEASES / f"{self.near.name}.leases"
        LEASES.mkdir(0o700, exist_ok=True)
        self._leases.write_text(f"{KEY} 10.77.0.77 -\n")
        self.clean = self.left()

    def left(self):
        """All that a tunnel may leave on its host, as text."""
        return self.house.run(
            "sh", "-c", "cat /etc/resolv.conf; ls /etc /etc/convoy; ip -br link; ip rule; ip -6 rule;"
            "ip route show table all | grep -v fe80; nft list ruleset;"
            f"ls /run/convoy /run/wireguard | grep {self.near.name}; "
            "cat /proc/sys/net/ipv4/conf/all/src_valid_mark").stdout

    def reaches(self):
        return traffic.reaches(self.net.a, inner("b", 4), count=2, interval=0.002, wait_s=2)

    def door(self, stranger):
        """A connection to the tunnel's Unix socket, or to its MetricsListen."""
        sock = self.net.a.socket(socket.AF_INET if stranger else socket.AF_UNIX,
                                 socket.SOCK_STREAM)
        sock.settimeout(traffic.STALL_S)
        sock.connect(METRICS if stranger else f"/run/convoy/{self.near.name}.sock")
        return sock

    def drops(self):
        return sum(self.near.show()["drops"].values())

    def rss(self):
        status = pathlib.Path(f"/proc/{self.near.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10

    def fds(self):
        return len(os.listdir(f"/proc/{self.near.pid}/fd"))

    def close(self):
        with contextlib.suppress(TypeError, ProcessLookupError):
            self.near.kill()
        self._leases.unlink(missing_ok=True)
        self.notify.close()
        self.house.close()


class Life:
    """From `up` to `down`, and a packet in between."""

    def __init__(self, world):
        self.world = world

    def begin(self):
        pass

    def act(self):
        world = self.world
        up = world.near.up(check=False)
        how = outcome(up.returncode, up.said)
        if how != "refused":
            poll(world.reaches, f"up, and nothing passes\n{up.said}")
            down = world.near.down(check=False)
            again = outcome(down.returncode, down.said)
            if again == "refused":
                world.faults.cancel()
                if world.near.down(check=False).returncode != 0:
                    self.terminate()
            how = max(how, again, key=OUTCOMES.index)
        poll(lambda: not self.processes(), "its processes are gone")
        world.near.check_sane()
        return how if self.is_clean(up.said) else "leaves"

    def is_clean(self, said):
        """Or else the next start is not held up by what is left, and its end makes it so."""
        world = self.world
        if world.left() == world.clean:
            return True
        world.faults.cancel()
        world.near.up()
        world.near.down()
        left = set(world.left().splitlines()) ^ set(world.clean.splitlines())
        assert not left, f"left behind: {left}\n{said}"
        return False

    def terminate(self):
        """Without its door it can be ended by a signal only."""
        for pid in self.processes():
            if comm(pid) == "convoy\n":
                os.kill(int(pid), signal.SIGTERM)

    def processes(self):
        return [pid for pid in self.world.net.a.run("ip", "netns", "pids", self.world.net.a.name)
                .stdout.split() if "convoy" in comm(pid)]

    def end(self):
        pass


class Rescue(Life):
    """`down` after the tunnel and its keeper were killed."""

    def begin(self):
        self.world.near.up()
        for pid in self.processes():
            os.kill(int(pid), signal.SIGKILL)
        poll(lambda: not self.processes(), "all is dead")

    def act(self):
        down = self.world.near.down(check=False)
        how = outcome(down.returncode, down.said)
        return how if self.is_clean(down.said) else "leaves"


class Again(Life):
    """`up` after the tunnel was killed, with its keeper."""

    begin = Rescue.begin


class Bare(Life):
    """`convoy NAME`, set up by wg(8), until its socket is deleted."""

    def act(self):
        world = self.world
        up = world.near.command(world.near.name, check=False)
        # A terminal is told that it is a command of another kind.
        how = outcome(up.returncode, up.said)
        if how != "refused":
            done = world.house.run("wg", "show", world.near.name, check=False,
                                   timeout=traffic.STALL_S)
            assert done.returncode == 0, f"it runs, and wg(8) does not see it\n{done.stderr}"
            self.terminate()
        poll(lambda: not self.processes(), "its processes are gone")
        world.near.check_sane()
        return how if self.is_clean(up.said) else "leaves"


class Edit:
    """A command that looks at or changes the tunnel's file while no tunnel runs. The file is as it
    was, or as it should be; nothing else lies beside it."""

    def __init__(self, world, *words):
        self.world, self.words = world, words

    def begin(self):
        self.world.near.write()
        self.world.house.run("rm", "-f", OUT)

    def act(self):
        near = self.world.near
        words = [word.format(name=near.name, path=f"/etc/convoy/{near.name}.conf")
                 for word in self.words]
        done = near.command(*words, check=False)
        self.world.faults.cancel()
        near.command("check", near.name)
        assert not done.stdout or "\n" == done.stdout[-1]
        left = self.world.house.run("ls", "-A", "/etc/convoy").stdout.split()
        how = outcome(done.returncode, done.said)
        return how if left == [f"{near.name}.conf"] else f"leaves {left}"

    def end(self):
        self.begin()


OUT = "/etc/phone.conf"
AT = "--endpoint", "vpn.example:1"


def comm(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


class Verb:
    """Something done to a tunnel that runs. It may be refused; then it is done once more, without
    fault, and works; the tunnel lives on, traffic passes, and not one descriptor more is open."""

    def __init__(self, world, do):
        self.world, self.do = world, do
        self.number = 0

    def begin(self):
        world = self.world
        if not world.near.running():
            world.near.up()
            poll(world.reaches, "it is up, and nothing passes")
            self.do(world, 0)
            self.do(world, 1)
            self.number = 0
            self.before = world.fds()

    def act(self):
        world = self.world
        said = len(world.near.text())
        how = self.do(world, self.number)
        world.faults.cancel()
        assert world.near.running(), world.near.text()[said:]
        how = how or outcome(0, world.near.text()[said:])
        for number in (self.number, self.number + 1):
            again = self.do(world, number) or "ok"
            assert again == "ok", f"{again} once more\n{world.near.text()[said:]}"
        poll(world.reaches, "traffic passes again")
        poll(lambda: world.fds() <= self.before, f"{self.before} descriptors, not {world.fds()}")
        world.near.check_sane()
        return how

    def end(self):
        if self.world.near.running():
            self.world.near.down()


def command(*words):
    def do(world, number):
        done = world.near.command(*(word.format(name=world.near.name) for word in words),
                                  check=False)
        return outcome(done.returncode, done.said)
    return do


def reload(world, number):
    """To a file that differs in all that can, and back."""
    tunnel = world.tunnel
    plain = tunnel.text()
    if number % 2 == 0:
        other = dict(vars(tunnel.peers[0]))
        changed = type(tunnel)(**{**vars(tunnel), "mtu": 1380, "port": PORT + 7,
                                  "addresses": tunnel.addresses + ["10.80.0.1/24"],
                                  "extra": {**tunnel.extra, "DNS": "10.77.0.9", "FwMark": "0x77"}})
        changed.peers = [Peer(**{**other, "keepalive": 21,
                                 "allowed": other["allowed"] + ["10.81.0.0/16"]}),
                         Peer(KEY, ["10.82.0.0/16"], f"other.example:{PORT}")]
        plain = changed.text()
    done = world.near.reload(plain, check=False)
    return outcome(done.returncode, done.said)


KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="


def ask(path, method="GET", status=200, stranger=False):
    """At the door, or as a stranger by TCP; `status` is the answer that is right."""
    def do(world, number):
        with world.door(stranger) as sock:
            sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            said = b""
            try:
                while got := sock.recv(1 << 16):
                    said += got
            except ConnectionResetError:
                pass
        return "ok" if b" %d " % status in said[:20] else "refused"
    return do


def wg(*words):
    def do(world, number):
        done = world.house.run("wg", *(word.format(name=world.near.name,
                                                   peer=world.tunnel.peers[0].public, other=KEY)
                                       for word in words), check=False,
                               timeout=traffic.STALL_S)
        return "ok" if done.returncode == 0 else "refused"
    return do


def signals(number):
    def do(world, _):
        os.kill(world.near.pid, number)
        world.near.command("show", world.near.name)  # behind it in the same loop
        return None
    return do


def pings(world, number):
    traffic.ping_text(world.net.a, inner("b", 4), count=4, interval=0.002, wait_s=0.3)
    return None


def bear(world, faults):
    """Packets while calls on their way fail: each that is lost is counted under a reason, and
    memory and descriptors are as they were. What leaks in small is the sanitizer's to tell."""
    drops, fds, rss = world.drops(), world.fds(), world.rss()
    said = traffic.ping_text(world.net.a, inner("b", 4), count=2 * faults, interval=0.002)
    world.faults.cancel()
    back = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", said)}
    lost = max(back) - len(back)  # ping does not wait long for those at the end
    poll(world.reaches, "traffic passes again")
    assert lost <= world.drops() - drops, f"{lost} lost, {world.drops() - drops} counted"
    poll(lambda: world.fds() <= fds, f"{fds} descriptors, not {world.fds()}")
    assert world.rss() <= rss + RSS_SLACK, f"{world.rss() - rss} bytes more"


def nobody(world, number):
    """To an address that is no peer's: the tunnel answers by ICMP."""
    traffic.ping_text(world.net.a, "10.77.0.99", count=1, wait_s=1)
    return None


def bulk(world, number):
    """Trains and super-packets both ways; what is lost, TCP sends again."""
    traffic.Stream(world.net.a, world.net.b, inner("b", 4), port=5001).transfer(8 << 20)
    return None


def link(world, number):
    """The interface goes down and up."""
    world.net.a.ip("link", "set", world.near.name, "down")
    world.near.command("show", world.near.name)
    world.net.a.ip("link", "set", world.near.name, "up")
    poll(world.reaches, "up again")
    return None


def routes(world, number):
    """The host's own addresses and routes change."""
    world.net.a.ip("addr", "add", "203.0.113.7/24", "dev", "to-b")
    world.net.a.ip("route", "add", "198.51.100.0/24", "via", "203.0.113.9")
    world.near.command("show", world.near.name)
    world.net.a.ip("route", "del", "198.51.100.0/24")
    world.net.a.ip("addr", "del", "203.0.113.7/24", "dev", "to-b")
    return None


def lease(world, number):
    """Somebody whom wg(8) let in asks for an address."""
    private = wgmodel.new_private()
    public = base64.b64encode(wgmodel.public_of(private)).decode()
    wg("set", "{name}", "peer", public)(world, number)
    asking = Stranger(world.net.b, world.net.outer("b", 4), (world.net.outer("a", 4), PORT),
                      private, raw(world.tunnel.public))
    with asking.socket:
        session = asking.connect()
        asking.send(session.seal(frame(REQUEST)))
        granted = False
        while not granted and asking.has_news():
            said = wgmodel.frame_of(session.open(asking.receive(wgmodel.DATA))[1])
            granted = said and said[0] == GRANT and grant_of(said[1])["addresses"]
    wg("set", "{name}", "peer", public, "remove")(world, number)
    return None if granted else "refused"


EDITS = {
    "check": ("check", "{name}"),
    "check path": ("check", "{path}"),
    "genkey": ("genkey",),
    "help": ("--help",),
    "peer here": ("peer", "add", "phone"),
    "peer add": ("peer", "add", "phone", "--psk", "--tunnel", "{name}", *AT),
    "peer out": ("peer", "add", "phone", "--out", OUT, *AT),
    "peer qr": ("peer", "add", "phone", "--qr", *AT),
    "peer list": ("peer", "list"),
    "peer remove": ("peer", "remove", KEY),
    "show none": ("show",),
    "down none": ("down", "{name}"),
}
VERBS = {
    "show": command("show", "{name}"),
    "json": command("show", "{name}", "--json"),
    "top": command("top", "{name}", "--once"),
    "reload": reload,
    "metrics": ask("/metrics"),
    "metrics tcp": ask("/metrics", stranger=True),
    "show door": ask("/show"),
    "nothing": ask("/nothing", status=404),
    "put": ask("/show", "PUT", status=405),
    "wg show": wg("show", "{name}"),
    "wg set": wg("set", "{name}", "peer", "{peer}", "persistent-keepalive", "20"),
    "wg add": wg("set", "{name}", "peer", "{other}", "allowed-ips", "10.99.0.0/16", "endpoint",
                 "192.0.2.99:99"),
    "wg port": wg("set", "{name}", "listen-port", "51999", "fwmark", "7"),
    "hup": signals(signal.SIGHUP),
    "usr2": signals(signal.SIGUSR2),
    "pings": pings,
    "nobody": nobody,
    "bulk": bulk,
    "link": link,
    "routes": routes,
    "lease": lease,
}


SCENES = {
    "life": Life, "full": Life, "rescue": Rescue, "again": Again, "bare": Bare,
    **{name: lambda world, words=words: Edit(world, *words) for name, words in EDITS.items()},
    **{name: lambda world, do=do: Verb(world, do) for name, do in VERBS.items()},
}
