"""README.md as a new user goes through it: every command of its walkthroughs, as it stands there.

A server behind one link of a router and a laptop behind the other, each with an /etc of its own.
What is done for the reader, for there is no world outside:
- names of hosts stand in /etc/hosts, and carrying a file to the laptop is copying it
- $EDITOR is a command, and gives the server another peer
- `systemctl` is not run (tests/e2e/test_restrict.py has the unit), and nothing is installed
  (test_package.py does that)
"""
import contextlib
import re
import subprocess

import conftest
import ends
import pytest
import traffic
from desk import HERE, Desk
from ends import PATIENCE_S, SANITIZER

SERVER, LAPTOP = "A server", "A client"
EDITOR = "printf '[Peer]\\nPublicKey = {}\\nAllowedIPs = 10.77.0.9\\n' >>"


def sections():
    """{heading: (its text, its blocks of commands)}"""
    text = (conftest.ROOT / "README.md").read_text()
    parts = re.split(r"(?m)^## (.*)\n", text)[1:]
    return {heading: (body, re.findall(r"(?ms)^```\n(.*?)^```$", body))
            for heading, body in zip(parts[::2], parts[1::2])}


README = sections()


def block(heading, containing=""):
    """The one block of a section that has this."""
    found, = (text for text in README[heading][1] if containing in text)
    return found


class Reader:
    """Somebody at a host who types what stands there."""

    def __init__(self, desk):
        self.desk = desk

    def type(self, text, **env):
        """All commands of a block, in one shell that ends at the first that fails. What they
        say to a terminal that is none is returned."""
        done = subprocess.run(
            self.desk.argv("env", f"HOME={HERE}", *(f"{key}={value}" for key, value in env.items()),
                           "bash", "-ec", f"cd {HERE}; {text}"),
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=4 * PATIENCE_S)
        print(f"--- {text}{done.stdout}")
        assert done.returncode == 0, done.stdout
        assert not SANITIZER.search(done.stdout)
        return done.stdout

    def read(self, name):
        return self.desk.run("cat", f"{HERE}/{name}").stdout


@pytest.fixture
def readers(lab):
    """The laptop reaches the server by a router, which has no way to the inside."""
    net = lab.net(router=True)
    for namespace, link in ((net.a, 1), (net.b, 2)):
        for family in (4, 6):
            namespace.ip(f"-{family}", "route", "add", "default", "via",
                         net.outer("r", family, link))
        # What a host is like is compared later: let its own addresses come first.
        ends.poll(lambda: "fe80:" in namespace.ip("-6", "addr", "show", "dev", "to-r",
                                                  "-tentative"),
                  "an address of the link")
    with contextlib.ExitStack() as stack:
        server, laptop = (Reader(stack.enter_context(contextlib.closing(
            Desk(lab.binary, namespace)))) for namespace in (net.b, net.a))
        with open(laptop.desk.etc / "hosts", "a") as hosts:
            hosts.write(f"{net.outer('b', 4)} vpn.example.com\n")
        yield net, server, laptop
        for reader in (server, laptop):
            reader.desk.clear()


def set_up(server, laptop):
    """As README says; returns what was said."""
    said = server.type(block(SERVER, "convoy up"))
    laptop.desk.put("laptop.conf", server.read("laptop.conf"))
    return said


@pytest.fixture
def office(readers):
    net, server, laptop = readers
    return net, server, laptop, set_up(server, laptop)


def test_a_server_has_its_clients(office):
    _, server, _, said = office
    assert "office.conf: ok" in said
    assert re.search(r"(?m)^phone +\S{44}  10\.77\.0\.2/32, fd77::2/128 +never ", said)
    assert re.search(r"(?m)^laptop +\S{44}  10\.77\.0\.3/32, fd77::3/128 +never ", said)
    assert "█" in said or "▀" in said
    assert "Endpoint = vpn.example.com:51820\n" in server.read("laptop.conf")
    private, = re.findall("PrivateKey = (.*)", server.read("laptop.conf"))
    assert private not in said


def test_a_client_reaches_the_server_and_the_world_behind_it(office):
    net, server, laptop, _ = office
    said = laptop.type(block(LAPTOP, "convoy up"))
    assert " 0% packet loss" in said
    assert "latest handshake: " in said and "session: " in said
    server.type(block(SERVER, "masquerade"))
    for family in (4, 6):
        assert traffic.reaches(net.a, net.outer("r", family, 1))
    # The router saw the server, and never the inside.
    assert "10.77.0." not in net.r.ip("neigh")


def test_name_servers_and_the_kill_switch_come_by_a_reload(office):
    net, server, laptop, _ = office
    laptop.type(block(LAPTOP, "convoy up"))
    laptop.type(block(LAPTOP, "KillSwitch"))
    assert "nameserver 9.9.9.9" in (laptop.desk.etc / "resolv.conf").read_text()
    # Around the tunnel nothing gets out, not even to who is on the same link.
    outside = ("ping", "-c1", "-W1", "-I", "to-r", net.outer("r", 4, 1))
    assert net.a.run(*outside, check=False).returncode != 0
    assert traffic.reaches(net.a, "10.77.0.1")
    laptop.type("convoy down laptop")
    assert net.a.run(*outside).returncode == 0


def test_down_leaves_nothing(readers):
    _, server, laptop = readers
    untouched = server.desk.state()
    set_up(server, laptop)
    before = laptop.desk.state()
    laptop.type(block(LAPTOP, "convoy up"))
    laptop.type(block(LAPTOP, "KillSwitch"))
    assert laptop.desk.state() != before
    command, = re.findall(r"`(convoy down laptop)`", README[LAPTOP][0])
    laptop.type(command)
    assert laptop.desk.state() == before
    command, _, _ = block("From now on, by systemd").partition("systemctl")
    server.type(command)
    assert server.desk.state() == untouched


def test_watching_shows_what_there_is(office):
    _, server, laptop, _ = office
    laptop.type(block(LAPTOP, "convoy up"))
    said = server.type(block("Watch"))
    assert "latest handshake: " in said                          # convoy show, wg show
    assert re.search(r"(?m)^office: .*2 peers", said)            # convoy top
    assert said.count("interface: office") == 2
    assert re.search(r'(?m)^wireguard_\w+\{.*interface="office"', said)


def test_a_change_is_taken_over_without_losing_a_session(office):
    _, server, laptop, _ = office
    laptop.type(block(LAPTOP, "convoy up"))
    before = server.type("wg show office latest-handshakes")
    new = ends.new_key()[1]
    server.desk.put("editor", f"#!/bin/sh\n{EDITOR.format(new)} \"$1\"\n", 0o755)
    server.type(block("Change"), EDITOR=f"{HERE}/editor")
    after = server.type("wg show office latest-handshakes")
    assert set(before.splitlines()) < set(after.splitlines())
    assert new in after
    command, = re.findall(r"`(convoy peer remove laptop)`", README[SERVER][0])
    server.type(command)
    assert "laptop" not in server.type("convoy peer list")


def test_the_packages_that_it_names_are_those_of_the_build():
    control = (conftest.ROOT / "conf/debian/control").read_text()
    wanted = re.search(r"(?ms)^Build-Depends:\n(.*?)^\S", control)[1]
    wanted = set(re.findall(r"(?m)^ ([\w-]+)", wanted)) - {"debhelper-compat", "pkgconf"}
    named = set(re.findall(r"[\w-]+", block("Install", "apt install")))
    assert wanted | {"debhelper", "dpkg-dev"} <= named | {"pkg-config"}


def test_every_file_it_names_is_there():
    text = (conftest.ROOT / "README.md").read_text()
    for path in re.findall(r"\]\(([\w./@-]+)\)", text):
        assert (conftest.ROOT / path).exists(), path


def test_our_own_keys_are_all_in_its_table():
    rules = (conftest.ROOT / "src/config/rules.c").read_text()
    own = re.findall(r'\{\s*"(\w+)",[^}]*\.own = true', rules)
    assert set(own) == set(re.findall(r"(?m)`(\w+)`", "".join(
        line.split("|")[1] for line in README["Our own keys"][0].splitlines() if "|" in line)))
