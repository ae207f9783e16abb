"""What bench/tunnel and bench/compare are told, and how they begin and end."""
import argparse
import dataclasses
import json
import pathlib

import report
import suite
from measure import ROOT, need_packages, progress
from pair import Kind, names

import net

PEER = ("NAME[:KEY=VALUE,...] with a name out of " + ", ".join(names())
        + "; the keys are the peer's, as in convoy:Workers=1,AeadProvider=libsodium")


def count(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError("wanted 1 or more")
    return int(text)


def chosen(text):
    wanted = text.split(",")
    if unknown := [name for name in wanted if name not in suite.LABELS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not out of "
                                         + ", ".join(suite.LABELS))
    return wanted


def add(parser):
    """The options of both."""
    parser.add_argument("--program", action="append", default=[], metavar="NAME=PATH",
                        help="the program of a peer, as in wireguard-go=./wireguard-go")
    parser.add_argument("--measures", type=chosen, default=list(suite.LABELS), metavar="NAME,...",
                        help="only those of: " + ", ".join(suite.LABELS))
    parser.add_argument("--seconds", type=count, help="of each TCP run (default: "
                        f"{suite.Settings.seconds})")
    parser.add_argument("--quick", action="store_true",
                        help="everything as short and small as it can be: that it works, not how")
    parser.add_argument("--json", metavar="FILE", help="write JSON lines, one a pair")


def read(parser, args, peers):
    """The kinds of these peers and the settings, or the end with a word on what is wrong."""
    programs = dict(text.partition("=")[::2] for text in args.program)
    if unknown := set(programs) - set(names()):
        parser.error(f"--program {', '.join(unknown)}: no such peer")
    if len(set(peers)) < len(peers):
        parser.error("a peer was named twice")
    try:
        kinds = [Kind(peer, programs) for peer in peers]
    except ValueError as wrong:
        parser.error(str(wrong))
    settings = suite.QUICK if args.quick else suite.Settings()
    if args.seconds:
        settings = dataclasses.replace(settings, seconds=args.seconds)
    return kinds, settings


def prepare(kinds, *packages):
    """Install what is missing, and delete what an interrupted run left behind."""
    if any(kind.name == "convoy" and not kind.program for kind in kinds):
        if not (ROOT / "build-release/src/convoy").exists():
            raise SystemExit("no build-release/src/convoy: bench/demo builds it")
    need_packages(*filter(None, packages), *(each for kind in kinds for each in kind.packages()))
    net.sweep()


def write_json(path, records):
    if path:
        pathlib.Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))


def verdict(records):
    """The exit code: whether every measure gave figures."""
    failed = report.failures(records)
    for line in failed:
        progress(f"failed: {line}")
    return 1 if failed else 0
