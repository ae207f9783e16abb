#!/usr/bin/python3
"""Fail when the manuals or completions miss a key, a command or an option, or show a wrong example:
manual.py ROOT CONVOY"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PRIVATE = "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "PublicKey = TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
SECTION = re.compile(r'\[CV_KEY_\w+\] = \{\s*"(\w+)",\s*(INTERFACE|PEER|EITHER)')
NETWORK = "Address = 10.77.0.1/24, fd77::1/64"
POOL = [NETWORK, "# convoy: Pool = 10.77.0.0/24"]
# What else must stand there, so that a key means something.
BESIDE = {"KillSwitchAllowLan": ["# convoy: KillSwitch = yes"], "Pool": [NETWORK],
          "PoolDNS": POOL, "PoolRoutes": POOL, "PoolMTU": POOL, "Routes": ["Address = auto"]}
KEY_FILE = re.compile(r"(\w+KeyFile) = (\S+)")


def items(manual):
    """{name: text} of the ".It Cm" items, one for each of "PreUp , PostUp"."""
    found = {}
    for item in re.split(r"(?m)^\.It ", manual)[1:]:
        head, _, body = item.partition("\n")
        if head.startswith("Cm "):
            found |= {name: body for name in re.findall(r"(?:Cm|,) ([\w-]+)", head)}
    return found


def check(convoy, text):
    """What it says of a file; nothing when it is good."""
    with tempfile.TemporaryDirectory() as folder:
        text = KEY_FILE.sub(rf"\1 = {folder}/key", text)
        for name, content in (("key", PRIVATE.partition(" = ")[2]), ("example.conf", text)):
            path = pathlib.Path(folder, name)
            path.touch(mode=0o600)
            path.write_text(content + "\n")
        return subprocess.run([convoy, "check", path], text=True, capture_output=True).stderr


def file_with(key, section, example):
    """A file that is good if the example is."""
    interface, peer = [PRIVATE], [PUBLIC]
    own = interface if section == "INTERFACE" else peer
    if key in ("PrivateKey", "PrivateKeyFile", "PublicKey"):
        own.clear()
    own.append(example)
    own += BESIDE.get(key, [])
    if key == "Routes":
        peer.append("Endpoint = 192.0.2.1:51820")
    return "\n".join(["[Interface]", *interface, "[Peer]", *peer])


def keys(root, convoy):
    rules = dict(SECTION.findall((root / "src/config/rules.c").read_text()))
    manual = (root / "conf/convoy.conf.5").read_text()
    described = items(manual)
    yield from (f"convoy.conf.5: no {key}" for key in rules.keys() - described.keys())
    yield from (f"convoy.conf.5: {key} is no key" for key in described.keys() - rules.keys())
    for key in rules.keys() & described.keys():
        body = described[key]
        if not re.search(r"\b(Default:|Required)", body):
            yield f"convoy.conf.5: {key} has neither a default nor is it required"
        examples = re.findall(rf"(?m)^\.Dl ((?:# convoy: )?{key} = .*)$", body)
        if not examples:
            yield f"convoy.conf.5: {key} has no example"
        for example in examples:
            if said := check(convoy, file_with(key, rules[key], example)):
                yield f"convoy.conf.5: the example of {key}: {said}"
    for example in re.findall(r"(?ms)^\.Bd -literal[^\n]*\n(\[.*?)^\.Ed$", manual):
        if said := check(convoy, example):
            yield f"convoy.conf.5: an example: {said}"


def commands(root):
    sources = {path: path.read_text() for path in (root / "src/daemon").glob("*.c")}
    names = re.findall(r'(?m)^\t\{ "(\w+)", "', sources[root / "src/daemon/main.c"])
    options = {option for text in sources.values() for option in re.findall(r'"(--[a-z-]+)"', text)}
    described = items((root / "conf/convoy.8").read_text())
    manual = (root / "conf/convoy.8").read_text()
    yield from (f"convoy.8: no {name}" for name in names if name not in described)
    yield from (f"convoy.8: no {option}" for option in options
                if not re.search(rf"Fl {option[1:]}\b|\| {option[1:]}\b", manual))
    for shell, form in (("bash", "--{}"), ("zsh", "--{}"), ("fish", "-l {}")):
        text = (root / f"conf/convoy.{shell}").read_text()
        yield from (f"convoy.{shell}: no {name}" for name in names
                    if not re.search(rf"(\\n|'|-a ){name}\b", text))
        yield from (f"convoy.{shell}: no {option}" for option in options
                    if not re.search(re.escape(form.format(option[2:])) + r"(?![\w-])", text))


def form(root):
    if not shutil.which("mandoc"):
        return
    for name in ("convoy.8", "convoy.conf.5"):
        yield from subprocess.run(["mandoc", "-T", "lint", "-W", "warning", root / "conf" / name],
                                  text=True, capture_output=True).stdout.splitlines()


def main(root, convoy):
    wrong = [*keys(root, convoy), *commands(root), *form(root)]
    print("\n".join(wrong) or "every key, command and option is told of")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2]))
