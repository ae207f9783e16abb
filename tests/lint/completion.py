#!/usr/bin/python3
"""Fail when a shell offers something else than it should: completion.py ROOT

bash is asked by its own function, fish by `complete -C`; zsh, which answers keys only, is asked
whether it can read its file. A shell that is not installed is left out.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

CONVOY = """#!/bin/sh
[ "$*" = "peer list" ] || [ "$*" = "peer list --tunnel there" ] || exit 1
printf 'NAME     PUBLIC KEY  ALLOWED IPS\\nalice    x= 10.0.0.1\\nbob two  y=  2\\n-        z= 3\\n'
"""
BASH = """source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _convoy
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """source $argv[1]; complete -C "$argv[2]" | string replace -r '\\t.*' ''
"""
PEER = {"--tunnel", "--endpoint", "--allowed-ips", "--psk", "--qr", "--out", "--help"}
CASES = [
    ("convoy che", {"check"}),
    ("convoy pe", {"peer"}),
    ("convoy peer ", {"add", "list", "remove"}),
    ("convoy peer add --", PEER),
    ("convoy peer add --al", {"--allowed-ips"}),
    ("convoy peer list --", {"--tunnel", "--help"}),
    ("convoy peer remove ", {"alice", "bob two"}),
    ("convoy peer remove --tunnel there b", {"bob two"}),
    ("convoy peer remove --tunnel elsewhere ", set()),
    ("convoy show --", {"--json", "--help"}),
    ("convoy top --o", {"--once"}),
    ("convoy show al", {"all"}),
    ("convoy genkey ", set()),
]


def ask(shell, root, typed):
    if shell == "bash":
        argv = ["bash", "-c", BASH, "bash", root / "conf/convoy.bash", *typed.split(" ")]
    else:
        argv = ["fish", "--no-config", "-c", FISH, root / "conf/convoy.fish", typed]
    done = subprocess.run(argv, text=True, capture_output=True)
    return {line.replace("\\", "") for line in done.stdout.splitlines()}, done.stderr


def main(root):
    wrong, asked = [], []
    with tempfile.TemporaryDirectory() as folder:
        stub = pathlib.Path(folder, "convoy")
        stub.write_text(CONVOY)
        stub.chmod(0o755)
        os.environ |= {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": folder}
        for shell in ("bash", "fish", "zsh"):
            if not shutil.which(shell):
                continue
            asked.append(shell)
            read = subprocess.run([shell, "-n", root / f"conf/convoy.{shell}"], text=True,
                                  capture_output=True)
            wrong += [f"{shell}: {line}" for line in read.stderr.splitlines()]
            for typed, expected in CASES if shell != "zsh" else []:
                got, said = ask(shell, root, typed)
                if got != expected or said:
                    wrong.append(f"{shell}: {typed!r}: {sorted(got)}, not {sorted(expected)} "
                                 f"{said}")
    print("\n".join(wrong) or f"asked: {', '.join(asked)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
