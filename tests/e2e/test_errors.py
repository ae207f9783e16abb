"""Bad files and bad command lines, and all that is said about them: the tables in errors/.

A table is a terminal as one would see it, in rows:

    == what is wrong
    @ NAME [MODE]       a file; without this line it is t.conf. A mode other than 0600 is named.
    text of the file
    $ command           for the shell, in the folder of the files
    text on stderr
    out: text on stdout
    [1]                 the exit code, unless it is 0

Every byte of it must be so, and no byte of a secret may be in it.
"""
import dataclasses
import os
import pathlib
import re
import subprocess

import conftest
import pytest
from desk import HERE, Desk
from ends import PATIENCE_S
from net import Namespace

TABLES = pathlib.Path(__file__).parent / "errors"
WANTED_ROWS = 150


@dataclasses.dataclass
class File:
    name: str
    mode: int = 0o600
    lines: list = dataclasses.field(default_factory=list)

    def text(self):
        return "".join(f"{line}\n" for line in self.lines)


@dataclasses.dataclass
class Command:
    line: str
    out: list = dataclasses.field(default_factory=list)
    err: list = dataclasses.field(default_factory=list)
    code: int = 0

    def transcript(self):
        """As the table has it."""
        code = [f"[{self.code}]"] if self.code else []
        return "\n".join([f"$ {self.line}", *self.err, *(f"out: {line}" for line in self.out),
                          *code])


class Row:
    """One row of a table."""

    def __init__(self, text):
        self.files, self.commands = [], []
        self.what, *lines = text.rstrip("\n").split("\n")
        for line in lines:
            self._read(line)

    def _read(self, line):
        if line.startswith("$ "):
            self.commands.append(Command(line[2:]))
        elif self.commands:
            self._read_output(self.commands[-1], line)
        elif line.startswith("@ "):
            name, _, mode = line[2:].partition(" ")
            self.files.append(File(name, int(mode or "600", 8)))
        else:
            if not self.files:
                self.files.append(File("t.conf"))
            self.files[-1].lines.append(line)

    @staticmethod
    def _read_output(command, line):
        if code := re.fullmatch(r"\[(\d+)\]", line):
            command.code = int(code[1])
        elif line.startswith("out: "):
            command.out.append(line[5:])
        else:
            command.err.append(line)

    def secrets(self):
        """Long words of lines that are about a private or a preshared key, and of key files."""
        for file in self.files:
            for line in file.lines:
                if file.name.endswith(".key") or re.search("(?i)private|preshared|psk", line):
                    yield from re.findall(r"[A-Za-z0-9+/]{20,}", line)


def read_tables():
    for path in sorted(TABLES.glob("*.txt")):
        for text in re.split(r"(?m)^== ", path.read_text())[1:]:
            yield pytest.param(Row(text), id=f"{path.stem}: {text.partition(chr(10))[0]}")


ROWS = list(read_tables())


@pytest.fixture(scope="module")
def desk(request):
    binary = conftest.binary(request.config, "--convoy")
    namespace = Namespace(f"cv{os.getpid()}-errors")
    try:
        desk = Desk(binary, namespace)
        yield desk
        desk.close()
    finally:
        namespace.close()


def put(desk, file):
    desk.put(file.name, file.text(), file.mode)


def do(desk, line):
    done = subprocess.run(desk.argv("sh", "-c", f"cd {HERE}\n{line}"), capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
    return Command(line, lines(done.stdout), lines(done.stderr), done.returncode)


def lines(output):
    """A "%" is behind the last one if it has no end."""
    text = output.decode(errors="replace")
    return (text if text.endswith("\n") or not text else f"{text}%\n").split("\n")[:-1]


@pytest.mark.parametrize("row", ROWS)
def test_it_says_what_is_wrong_and_what_would_be_right(desk, row):
    desk.clear()
    before = desk.left()
    for file in row.files:
        put(desk, file)
    done = [do(desk, command.line) for command in row.commands]
    said = "\n".join(command.transcript() for command in done)
    assert said == "\n".join(command.transcript() for command in row.commands)
    for secret in row.secrets():
        assert not any(secret[i:i + 16] in said for i in range(len(secret) - 15)), "a secret"
    assert desk.left() == before


def test_the_tables_are_long_enough_and_say_nothing_twice():
    names = [row.id for row in ROWS]
    assert len(names) >= WANTED_ROWS
    assert len(set(names)) == len(names)


def test_every_finding_has_its_place_and_a_hint():
    """Of a config file: FILE:LINE:COLUMN: what is wrong, the line, a caret, what would be right."""
    for row in ROWS:
        said = "\n".join(line for command in row.values[0].commands for line in command.err)
        for finding in re.findall(r"(?m)^\S+:\d+:\d+: .*(?:\n  .*)*", said):
            assert re.fullmatch(r".*: (error|warning): .*\n  .*\n +\^\n  hint: .*", finding), \
                row.id
