"""The measured half of bench/demo."""
import argparse
import ipaddress
import pathlib
import re
import sys

from measure import ROOT, flow_table, machine, measured, number, progress

from command import begin
from ends import Convoy, new_key, new_psk
from net import Net
from traffic import Iperf, ping

ROWS = (("TCP, one flow", ()), ("TCP, four flows", ("-P", "4")), ("TCP, reverse", ("-R",)),
        ("UDP", ("-u", "-b", "1G", "-l", "1372")))


class File:
    """An example of conf/ with keys and addresses of our own put in."""

    def __init__(self, name):
        self.name, self.text = name, (ROOT / "conf" / f"{name}.conf").read_text()

    def put(self, key, value):
        self.text = re.sub(rf"(?m)^({key}\s*=\s*)\S.*$", rf"\g<1>{value}", self.text)

    def get(self, key):
        """All values of a key."""
        found = re.findall(rf"(?m)^{key}\s*=\s*(.*?)\s*(?:#.*)?$", self.text)
        return [value.strip() for line in found for value in line.split(",")]

    def address(self, version):
        """Its first inner address of that IP version."""
        return next(str(found.ip) for found in map(ipaddress.ip_interface, self.get("Address"))
                    if found.version == version)


class FileConvoy(Convoy):
    """A Convoy whose file stands as it is."""

    class Verbatim:
        peers = ()

        def __init__(self, file, private):
            self.name, self.private, self._text = file.name, private, file.text

        def text(self):
            return self._text


def files():
    server, client = File("server"), File("client")
    keys = {file: new_key() for file in (server, client)}
    psk = new_psk()
    for file, other in ((server, client), (client, server)):
        file.put("PrivateKey", keys[file][0])
        file.put("PublicKey", keys[other][1])
        file.put("PresharedKey", psk)
        file.private = keys[file][0]
    return server, client


def pings(net, server):
    for version in (4, 6):
        address = server.address(version)
        lost, median = ping(net.a, address, count=100, interval=0.002)
        progress(f"ping v{version} {address}: {lost} of 100 lost, median {number(median, 3)} ms")
        if lost == 100:
            raise SystemExit("no answer through the tunnel")


def run(binary, seconds):
    server, client = files()
    with Net() as net:
        port = server.get("ListenPort")[0]
        client.put("Endpoint", f"{net.outer('b', 4)}:{port}")
        ends = {file: FileConvoy(binary, host, FileConvoy.Verbatim(file, file.private))
                for file, host in ((server, net.b), (client, net.a))}
        try:
            for file, end in ends.items():
                progress(f"starting {file.name}.conf")
                end.start()
            pings(net, server)
            rows = []
            with Iperf(net.b) as iperf:
                for label, args in ROWS:
                    progress(f"iperf3 {label}, {seconds} s")
                    rows.append((label, measured(iperf, ends[client], ends[server],
                                                 server.address(4), seconds, *args)))
            told = {file.name: end.capabilities() for file, end in ends.items()}
            for end in ends.values():
                end.stop()
        finally:
            for end in ends.values():
                if end.running():
                    print(end.lines.text(), file=sys.stderr)
                    end.kill()
    report(rows, told)


def report(rows, told):
    facts = machine()
    print(f"\n{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}; "
          "both ends and iperf3 on this machine\n")
    for line in flow_table(rows):
        print(line)
    print("\nCPU: both daemons, user and system, per GiB received.")
    for name, words in told.items():
        print(f"{name}: " + " ".join(f"{word}={value}" for word, value in words.items()))


def main():
    parser = argparse.ArgumentParser(prog="bench/demo", description=__doc__)
    parser.add_argument("--convoy", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=5, help="of iperf3, a row")
    args = parser.parse_args()
    begin()
    run(args.convoy.resolve(), args.seconds)


if __name__ == "__main__":
    main()
