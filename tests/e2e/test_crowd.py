"""Ten thousand peers: they load, show, reload and run, and weigh little when idle.

How long all of that takes is measured by bench/crowd; here no time is asserted.
"""
import pathlib
import json

from crowd import INNER, Crowd
from ends import Peer, new_key
from lab import Lab

PEERS = 10_000
LIVE = 500
ROUNDS = 2
KIB = 1 << 10
# Beyond AllowedIPs: a node of the table and a fork above it, as malloc gives them.
MOST_BYTES = 2 * KIB + 160


def test_ten_thousand_peers_load_show_reload_and_run(plain):
    with Lab(plain) as lab:
        net = lab.net()
        crowd = Crowd(net, pathlib.Path(plain).parents[1], PEERS)
        peers, crowd.tunnel.peers = crowd.peers, []
        server = lab.convoy(net.b, crowd.tunnel).start()
        empty = server.rss()

        crowd.tunnel.peers = list(peers)
        reload(server)
        assert (server.rss() - empty) / PEERS <= MOST_BYTES
        assert keys_of(server) == shown_by(server) == {peer.public for peer in peers}
        assert crowd.echo(LIVE, ROUNDS)[0::2] == (LIVE, LIVE * ROUNDS)

        newcomer = Peer(new_key()[1], [f"{INNER + PEERS}/32"])
        crowd.tunnel.peers = [*peers[1:], newcomer]
        reload(server)
        assert keys_of(server) == {peer.public for peer in crowd.tunnel.peers}
        # Who stayed still has its session.
        assert len(sessions_of(server)) == LIVE - 1
        assert (server.rss() - empty) / PEERS <= MOST_BYTES


def reload(server):
    path = pathlib.Path(server._folder.name, f"{server.name}.conf")
    path.write_text(server.tunnel.text())
    server.namespace.run(server.binary, "reload", path)


def keys_of(server):
    lines = server.namespace.run("wg", "show", server.name, "dump").stdout.splitlines()
    return {line.split("\t")[0] for line in lines[1:]}


def shown_by(server):
    text = server.namespace.run(server.binary, "show", server.name, "--json").stdout
    return set(json.loads(text)[server.name]["peers"])


def sessions_of(server):
    text = server.namespace.run(server.binary, "show", server.name, "--json").stdout
    return [key for key, peer in json.loads(text)[server.name]["peers"].items()
            if "sessionAge" in peer]
