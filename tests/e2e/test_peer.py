"""convoy peer: clients come and go in a server's file, and a client's file works as it is."""
import os
import pathlib
import pty
import re
import socket
import subprocess

import ends
import pytest
import traffic
from ends import Peer, Tunnel
from lab import PORT
from net import run

HEAD = """\
# The office.
[Interface]
PrivateKey = {private}
ListenPort = 51820
Address = 10.77.0.1/24, fd77::1/64
"""


@pytest.fixture
def convoy(request):
    return str(pathlib.Path(request.config.getoption("--convoy")).resolve())


@pytest.fixture
def office(tmp_path, convoy):
    return Office(tmp_path, convoy)


class Office:
    """A server's file in a folder of its own, and the command on it."""

    def __init__(self, folder, convoy):
        self.folder, self.convoy = folder, convoy
        self.private, self.public = ends.new_key()
        self.path = folder / "office.conf"
        self.write(HEAD.format(private=self.private))

    def write(self, text):
        self.path.touch(mode=0o600)
        self.path.write_bytes(text.encode())

    def bytes(self):
        return self.path.read_bytes()

    def argv(self, *words):
        return [self.convoy, "peer", *map(str, words), "--tunnel", str(self.path)]

    def peer(self, *words, check=True):
        return run(*self.argv(*words), check=check)

    def add(self, name, *words, endpoint=("--endpoint", "vpn.example.com:51820")):
        """The client's file, as text."""
        return self.peer("add", name, *words, *endpoint).stdout

    def refused(self, *words, argv=None):
        """What it says; it must leave everything as it is."""
        before, files = self.bytes(), sorted(os.listdir(self.folder))
        done = run(*(argv or self.argv(*words)), check=False)
        assert done.returncode in (1, 2), done
        assert done.stdout == ""
        assert (self.bytes(), sorted(os.listdir(self.folder))) == (before, files)
        return done.stderr.replace(str(self.path), "FILE")


def values(text, key):
    return [value for line in re.findall(rf"(?m)^{key} = (.*)$", text)
            for value in line.split(", ")]


def test_add_takes_the_next_free_address_of_each_network(office):
    office.write(HEAD.format(private=office.private)
                 + f"\n[Peer]\nPublicKey = {ends.new_key()[1]}\nAllowedIPs = 10.77.0.2, fd77::3\n")
    for name, v4, v6 in (("alice", 3, 2), ("bob", 4, 4), ("carol", 5, 5)):
        text = office.add(name)
        assert values(text, "Address") == [f"10.77.0.{v4}/24", f"fd77::{v6}/64"]
        section = office.path.read_text().rpartition("[Peer]")[2]
        assert values(section, "AllowedIPs") == [f"10.77.0.{v4}/32", f"fd77::{v6}/128"]
        assert f"# friendly_name = {name}\n" in section
    office.peer("remove", "bob")
    assert values(office.add("dave"), "Address") == ["10.77.0.4/24", "fd77::4/64"]


def test_the_private_key_is_in_the_clients_file_only(office):
    done = office.peer("add", "alice", "--psk", "--endpoint", "192.0.2.1:1")
    private, = values(done.stdout, "PrivateKey")
    psk, = values(done.stdout, "PresharedKey")
    server = office.path.read_text()
    assert private not in server + done.stderr
    assert psk not in done.stderr
    assert ends.public_key(private) in server
    assert psk in server
    assert values(server, "PrivateKey") == [office.private]


def test_the_clients_file_says_all_that_a_client_needs(office, convoy, tmp_path):
    office.write(HEAD.format(private=office.private)
                 + "# convoy: ClientDNS = 10.77.0.1, fd77::1, office.example\n"
                 + "# convoy: ClientEndpoint = vpn.example.com:443\n")
    text = office.add("alice", endpoint=())
    assert values(text, "DNS") == ["10.77.0.1", "fd77::1", "office.example"]
    assert values(text, "PublicKey") == [office.public]
    assert values(text, "Endpoint") == ["vpn.example.com:443"]
    assert values(text, "AllowedIPs") == ["0.0.0.0/0", "::/0"]
    assert values(text, "PersistentKeepalive") == ["25"]
    assert values(text, "PresharedKey") == values(text, "ListenPort") == []
    text = office.add("bob", "--allowed-ips", "10.77.0.0/24, fd77::/64", "--allowed-ips=10.1.2.3/8",
                      endpoint=("--endpoint", "[2001:db8::1]:51820"))
    assert values(text, "Endpoint") == ["[2001:db8::1]:51820"]
    assert values(text, "AllowedIPs") == ["10.77.0.0/24", "fd77::/64", "10.0.0.0/8"]
    client = tmp_path / "client.conf"
    client.touch(mode=0o600)
    client.write_text(text)
    assert run(convoy, "check", client).stderr == ""
    stripped = run("wg-quick", "strip", client).stdout
    assert values(stripped, "PrivateKey") == values(text, "PrivateKey")


@pytest.mark.parametrize("address, everything", [("10.77.0.1/24", ["0.0.0.0/0"]),
                                                 ("fd77::1/64", ["::/0"])])
def test_everything_is_what_the_tunnel_has_families_for(office, address, everything):
    office.write(f"[Interface]\nPrivateKey = {office.private}\nListenPort = 1\n"
                 f"Address = {address}\n")
    assert values(office.add("alice"), "AllowedIPs") == everything


def test_at_once_is_one_after_the_other(office):
    names = [f"client {i}" for i in range(16)]
    adding = [subprocess.Popen(office.argv("add", name, "--endpoint", "192.0.2.1:1"), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE) for name in names]
    texts = [process.communicate()[0] for process in adding]
    assert [process.returncode for process in adding] == [0] * len(names)
    taken = [address for text in texts for address in values(text, "Address")]
    assert len(set(taken)) == 2 * len(names)
    server = office.path.read_text()
    assert sorted(re.findall("(?m)^# friendly_name = (.*)$", server)) == sorted(names)
    publics = {ends.public_key(values(text, "PrivateKey")[0]) for text in texts}
    assert publics == set(values(server, "PublicKey"))


CURIOUS = [
    HEAD,
    HEAD.replace("\n", "\r\n"),
    HEAD + "\n\n# the end\n",
    HEAD + "PostUp = echo %i # \xc3\xa9\t \n\n\n",
]


@pytest.mark.parametrize("text", CURIOUS)
def test_add_and_remove_leave_every_other_byte(office, text):
    office.write(text.format(private=office.private))
    before = office.bytes()
    alice = office.add("alice")
    with_alice = office.bytes()
    assert with_alice.startswith(before)
    assert (b"\r\n" in with_alice[len(before):]) == (b"\r\n" in before)
    office.add("bob")
    office.peer("remove", ends.public_key(values(alice, "PrivateKey")[0]))
    office.add("alice")
    office.peer("remove", "bob")
    office.peer("remove", "alice")
    assert office.bytes() == before


def test_a_last_line_without_an_end_gets_one(office):
    office.write(HEAD.format(private=office.private).rstrip("\n"))
    before = office.bytes()
    office.add("alice")
    assert office.bytes().startswith(before + b"\n\n[Peer]\n")
    office.peer("remove", "alice")
    assert office.bytes() == before + b"\n"


def test_owner_mode_and_link_stay(office):
    real = office.folder / "real" / "target.conf"
    real.parent.mkdir()
    office.path.rename(real)
    office.path.symlink_to(real)
    os.chown(real, 65534, 4)
    real.chmod(0o640)
    office.add("alice")
    status = real.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (65534, 4, 0o640)
    assert office.path.is_symlink()
    assert b"alice" in real.read_bytes()
    assert os.listdir(real.parent) == ["target.conf"]


def test_out_is_a_new_file_for_its_owner_only(office):
    out = office.folder / "alice.conf"
    before = os.umask(0)
    try:
        assert office.add("alice", "--out", out) == ""
    finally:
        os.umask(before)
    assert out.stat().st_mode & 0o7777 == 0o600
    assert values(out.read_text(), "Address") == ["10.77.0.2/24", "fd77::2/64"]
    assert "it is not written over" in office.refused("add", "bob", "--endpoint=a.example:1",
                                                      f"--out={out}")
    assert "No such file" in office.refused("add", "bob", "--endpoint=a.example:1",
                                            f"--out={office.folder}/none/bob.conf")


def test_a_full_disk_changes_nothing(office, convoy):
    """The folder is a file system with room for the client's file, but not for the new server's."""
    disk = office.folder / "disk"
    disk.mkdir()
    done = run("unshare", "-m", "sh", "-c", f"""
        mount -t tmpfs -o size=16k none {disk} && cp {office.path} {disk}/ &&
        echo '{"#" * 5000}' >> {disk}/office.conf && cp {disk}/office.conf {office.folder}/copy
        ! {convoy} peer add alice --endpoint a.example:1 --tunnel {disk}/office.conf \
            --out {disk}/alice.conf && cmp {disk}/office.conf {office.folder}/copy && ls -A {disk}
        """, check=False)
    assert done.stdout.split() == ["office.conf"], done
    assert "No space left on device" in done.stderr
    assert "it stays as it was" in done.stderr


REFUSED = [
    ([], "peer add, peer list or peer remove? convoy peer --help tells more"),
    (["ad", "alice"], "unknown word ad behind peer; did you mean add?"),
    (["frobnicate"], "unknown word frobnicate behind peer; add, list or remove?"),
    (["add"], "the peer needs a name: convoy peer add NAME"),
    (["remove"], "which peer? convoy peer list shows them"),
    (["add", "a", "b"], "what is b for? one peer at a time; a name with blanks is put in quotes"),
    (["list", "a"], "what is a for? a tunnel is named by --tunnel"),
    (["add", "a", "--qrr"], "unknown option --qrr; did you mean --qr?"),
    (["remove", "a", "--qr"], "unknown option --qr; convoy peer --help lists them"),
    (["add", "a", "--zzzz=1"], "unknown option --zzzz; convoy peer --help lists them"),
    (["add", "a", "--psk=yes"], "--psk takes no value"),
    (["add", "a", "--out"], "--out needs a value behind it"),
    (["add", "a", "--endpoint", "vpn.example.com"],
     "--endpoint: Endpoint has no port (such as 192.0.2.1:51820, [2001:db8::1]:51820 or "
     "vpn.example.com:51820)"),
    (["add", "a", "--endpoint="], "--endpoint: Endpoint has no value"),
    (["add", "a", "--allowed-ips", "10.0.0.0/33"],
     "--allowed-ips: prefix length is not in range (a number from 0 to 32)"),
]


@pytest.mark.parametrize("words, says", REFUSED)
def test_a_command_line_that_is_wrong_is_told_why(office, words, says):
    told = office.refused(argv=[office.convoy, "peer", *words]).splitlines()
    assert told == [f"convoy: {says}",
                    "convoy: usage: convoy peer add NAME|list|remove NAME [--OPTION...]"]


NAMES = [
    ("", "it is empty"),
    ("two\nlines", "it has a character that cannot be printed"),
    ("esc\x1b[1m", "it has a character that cannot be printed"),
    (" blank", "it has a blank at an end"),
    ("x" * 65, "it has more than 64 bytes"),
    ("TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=", "it is a key"),
]


@pytest.mark.parametrize("name, flaw", NAMES)
def test_a_name_is_one_printable_line(office, name, flaw):
    assert office.refused("add", name) == f"convoy: this cannot be a name: {flaw}\n"


def test_a_name_is_given_once(office):
    office.add("alice")
    assert office.refused("add", "alice") == \
        "convoy: FILE has a peer alice already, in line 7; take another name, or remove that one " \
        "first\n"


def test_remove_wants_one_peer(office):
    office.add("alice")
    assert office.refused("remove", "alise") == \
        "convoy: FILE has no peer alise; did you mean alice?\n"
    assert office.refused("remove", "zebra") == \
        "convoy: FILE has no peer zebra; convoy peer list --tunnel FILE shows them\n"
    office.write(office.path.read_text()
                 + f"[Peer]\n# friendly_name = alice\nPublicKey = {ends.new_key()[1]}\n")
    assert "two peers are called alice, in lines 7 and 12" in office.refused("remove", "alice")


SERVERS = [
    ("ListenPort = 51820\n", "",
     "FILE has no ListenPort, so the port is another one at each start; add ListenPort = 51820 to "
     "its [Interface]"),
    ("/24, fd77::1/64", "/32",
     "FILE has no Address with a network to take the client's from; write it with the network's "
     "length, such as 10.77.0.1/24"),
    ("10.77.0.1/24", "10.77.0.1/30, 10.77.0.2/30",
     "no address is free in 10.77.0.0/30; remove a peer, or add a network to Address in FILE"),
]


@pytest.mark.parametrize("old, new, says", SERVERS)
def test_a_server_that_cannot_have_clients_is_told_why(office, old, new, says):
    office.write(HEAD.format(private=office.private).replace(old, new))
    assert office.refused("add", "alice") == f"convoy: {says}\n"


def test_a_file_with_errors_is_not_touched(office):
    office.write(HEAD.format(private=office.private) + "[Peer]\nPublicKey = x\n")
    for words in (["add", "alice"], ["remove", "alice"], ["list"]):
        assert "FILE:7:13: error: PublicKey has 1 characters, a key has 44" in \
            office.refused(*words)


def test_a_private_key_in_a_file_of_its_own_is_found(office):
    (office.folder / "office.key").write_text(office.private + "\n")
    office.write("[Interface]\n# convoy: PrivateKeyFile = office.key\nAddress = 10.77.0.1/24\n"
                 "ListenPort = 1\n")
    assert values(office.add("alice"), "PublicKey") == [office.public]


def test_a_daemon_that_refuses_to_reload_is_told_of(office):
    """And the client's file is printed all the same, for nobody else has its key."""
    name = f"cv{os.getpid()}-q"
    office.path = office.path.rename(office.folder / f"{name}.conf")
    pathlib.Path("/run/convoy").mkdir(exist_ok=True)
    path = pathlib.Path(f"/run/convoy/{name}.sock")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        try:
            door.listen()
            process = subprocess.Popen(office.argv("add", "alice", "--endpoint=a.example:1"),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            with door.accept()[0] as client:
                assert client.recv(65536).startswith(b"POST /reload HTTP/1.1\r\n")
                client.sendall(b"HTTP/1.1 422 No\r\nContent-Length: 9\r\n\r\nbecause.\n")
            printed, said = process.communicate()
        finally:
            path.unlink()
    assert process.returncode == 1
    assert values(printed, "PrivateKey")
    assert said == (f"because.\nconvoy: {office.path} is changed, but the running tunnel is not; "
                    f"`convoy reload {name}` tries again\n")


def test_list_shows_names_keys_and_addresses(office):
    names = ["Zo\xeb", "Zo\xeb's phone"]
    keys = [ends.public_key(values(office.add(name), "PrivateKey")[0]) for name in names]
    head, *rows = office.peer("list").stdout.splitlines()
    assert head == f"{'NAME':11}  {'PUBLIC KEY':44}  ALLOWED IPS"
    assert rows == [f"{name:11}  {key}  10.77.0.{i}/32, fd77::{i}/128"
                    for i, (name, key) in enumerate(zip(names, keys), 2)]


def decode(art, folder):
    """Half blocks to a picture to the text in it."""
    upper, lower = "\u2588\u2580", "\u2588\u2584"  # what is light
    rows = [[255 * (c in half) for c in line] for line in art.splitlines()
            for half in (upper, lower)]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert {pixel for row in rows[:4] + rows[-4:] for pixel in row} == {255}, "no quiet zone"
    assert {pixel for row in rows for pixel in row[:4] + row[-4:]} == {255}, "no quiet zone"
    big = [[pixel for pixel in row for _ in range(4)] for row in rows for _ in range(4)]
    picture = folder / "code.pgm"
    picture.write_bytes(b"P5 %d %d 255\n" % (len(big[0]), len(big))
                        + b"".join(map(bytes, big)))
    return run("zbarimg", "-q", "--raw", "--oneshot", picture).stdout


def test_the_qr_code_is_the_clients_file(office, tmp_path):
    art = office.add("alice", "--qr", "--psk")
    text = decode(art, tmp_path).rstrip("\n") + "\n"
    section = office.path.read_text().rpartition("[Peer]")[2]
    assert ends.public_key(values(text, "PrivateKey")[0]) == values(section, "PublicKey")[0]
    assert values(text, "Endpoint") == ["vpn.example.com:51820"]
    out = tmp_path / "bob.conf"
    art = office.add("bob", "--qr", "--out", out)
    assert decode(art, tmp_path).rstrip("\n") == out.read_text().rstrip("\n")


def test_a_terminal_gets_the_qr_code_in_colours(office, tmp_path):
    ours, theirs = pty.openpty()
    out = tmp_path / "alice.conf"
    process = subprocess.Popen(office.argv("add", "alice", "--qr", "--endpoint=a.example:1",
                                           f"--out={out}"), stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    art = b""
    while piece := read_terminal(ours):
        art += piece
    os.close(ours)
    assert process.wait() == 0
    process.stderr.close()
    lines = art.decode().replace("\r\n", "\n").splitlines()
    assert all(line.startswith("\x1b[97;40m") and line.endswith("\x1b[0m") for line in lines)
    plain = "\n".join(line[len("\x1b[97;40m"):-len("\x1b[0m")] for line in lines)
    assert decode(plain, tmp_path).rstrip("\n") == out.read_text().rstrip("\n")


def read_terminal(fd):
    """What comes; nothing when the other side has closed it, which is an error of its own here."""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


def test_what_does_not_fit_into_a_qr_code_is_refused(office):
    many = ", ".join(f"10.{i // 256}.{i % 256}.0/24" for i in range(200))
    said = office.refused("add", "alice", "--qr", "--endpoint=a.example:1", "--allowed-ips", many)
    assert re.fullmatch(r"convoy: the client's file is too long for a QR code \(\d+ bytes\); give "
                        r"fewer --allowed-ips, or --out FILE in place of --qr\n", said)


def in_etc(office, script):
    """Run a script where /etc/convoy and /etc/wireguard are empty but for what it puts there."""
    return run("unshare", "-m", "sh", "-c", "mount -t tmpfs none /etc && "
               f"mkdir /etc/convoy /etc/wireguard && {script}", check=False)


def test_the_only_tunnel_needs_no_name(office):
    add = f"{office.convoy} peer add alice --endpoint a.example:1 2>&1 >/dev/null"
    put = f"cp {office.path} /etc"
    done = in_etc(office, f"{put}/convoy/one.conf && touch /etc/convoy/notes.txt && {add} && "
                          "grep alice /etc/convoy/one.conf")
    assert done.stdout.splitlines()[-1] == "# friendly_name = alice", done
    done = in_etc(office, f"{put}/wireguard/one.conf && {add} && grep -c alice "
                          "/etc/wireguard/one.conf")
    assert done.stdout.splitlines()[-1] == "1", done
    done = in_etc(office, f"{put}/convoy/one.conf && {put}/convoy/two.conf && {add}")
    assert done.stdout == ("convoy: there are several tunnels in /etc/convoy: say which by "
                           "--tunnel (one, two)\n")
    done = in_etc(office, add)
    assert done.stdout == ("convoy: there is no tunnel in /etc/convoy; another file is given by "
                           "its path: --tunnel ./NAME.conf\n")
    done = in_etc(office, f"{put}/convoy/one.conf && {put}/convoy/two.conf && {add} --tunnel two "
                          "&& grep -l alice /etc/convoy/*")
    assert done.stdout.splitlines()[-1] == "/etc/convoy/two.conf", done


def test_the_endpoint_is_this_hosts_address_where_nobody_says_better(office, convoy, lab):
    host = lab.net().b
    add = office.argv("add", "alice")
    done = host.run(*add, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "say by --endpoint HOST:PORT where clients reach it" in done.stderr
    host.ip("-6", "route", "add", "default", "via", "2001:db8:1::1")
    done = host.run(*add)
    assert values(done.stdout, "Endpoint") == ["[2001:db8:1::2]:51820"]
    office.peer("remove", "alice")
    host.ip("route", "add", "default", "via", "192.0.2.1")
    done = host.run(*add)
    assert values(done.stdout, "Endpoint") == ["192.0.2.2:51820"]
    assert "the client's Endpoint is 192.0.2.2:51820, this host's own address" in done.stderr
    office.peer("remove", "alice")
    host.ip("addr", "add", "192.168.7.1/24", "dev", "to-a")
    host.ip("route", "replace", "default", "via", "192.168.7.2")
    assert "that only its own network knows" in host.run(*add).stderr


class Verbatim:
    """A tunnel whose file is this text."""

    def __init__(self, text, name, private):
        self._text, self.name, self.port, self.peers = text, name, None, []
        self.private = private

    def text(self):
        return self._text


def test_a_client_that_was_added_gets_through_and_one_removed_does_not(lab):
    """The server runs all the time, and the session of another client lives through it."""
    net = lab.net(router=True)
    (private, public), old = ends.new_key(), ends.new_key()
    endpoint = f"{net.outer('b', 4)}:{PORT}"
    server = lab.convoy(net.b, Tunnel(private, ["10.77.0.1/24", "fd77::1/64"],
                                      [Peer(old[1], ["10.77.0.2/32", "fd77::2/128"])],
                                      port=PORT, name=f"{net.label}b")).start()
    lab.convoy(net.a, Tunnel(old[0], ["10.77.0.2/32"],
                             [Peer(public, ["10.77.0.1/32"], endpoint=endpoint)],
                             name=f"{net.label}a")).start()
    assert traffic.reaches(net.a, "10.77.0.1")
    sessions = server.stats()["handshake.sessions"]

    def peer(*words):
        return net.b.run(server.binary, "peer", *words, "--tunnel", server.process.args[-1])

    added = peer("add", "new", "--endpoint", endpoint, "--psk")
    assert added.stderr == ""
    lab.convoy(net.r, Verbatim(added.stdout, f"{net.label}r",
                               *values(added.stdout, "PrivateKey"))).start()
    assert traffic.reaches(net.r, "10.77.0.1")
    assert traffic.reaches(net.r, "fd77::1")
    head, *rows = peer("list").stdout.splitlines()
    assert re.search(r"LATEST HANDSHAKE +MiB RECEIVED +MiB SENT$", head)
    assert len(rows) == 2
    for row in rows:
        assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d +0\.00 +0\.00$", row), row
    assert peer("remove", "new").stderr == ""
    assert traffic.reaches(net.a, "10.77.0.1")
    assert net.r.run("ping", "-c1", "-W2", "10.77.0.1", check=False).returncode == 1
    assert server.stats()["handshake.sessions"] == sessions + 1
    assert len(peer("list").stdout.splitlines()) == 2


def test_a_credential_that_only_the_daemon_has_is_no_obstacle(lab, tmp_path):
    net = lab.net()
    private, public = ends.new_key()
    key = tmp_path / "server.key"
    key.touch(mode=0o600)
    key.write_text(private)
    server = lab.convoy(net.b, Verbatim("[Interface]\nAddress = 10.77.0.1/24\n"
                                        "PrivateKeyFile = server.key\n", net.label, private),
                        env={"CREDENTIALS_DIRECTORY": str(tmp_path)}).start()
    path = pathlib.Path(server.process.args[-1])

    def add(name):
        return net.b.run(server.binary, "peer", "add", name, "--endpoint", "192.0.2.2:1",
                         "--tunnel", path, check=False)

    done = add("alice")
    assert values(done.stdout, "PublicKey") == [public]
    assert done.stderr == (f"convoy: warning: {path} has no ListenPort, so the port is another one "
                           "at each start\n")
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    key.unlink()
    server.stop()
    path = copy
    done = add("bob")
    assert (done.returncode, done.stdout) == (1, "")
    assert "PrivateKeyFile: cannot read" in done.stderr
    assert copy.read_text().count("[Peer]") == 1
