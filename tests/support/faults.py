"""The calls of a program that can fail, found in its binary, and orders to fail for each of them.

A call site has a name: "loop/epoll.c epoll_open epoll_create1", its file, function and what it
calls; the second of a kind in its function ends in "#2". Inlined copies are one site.
"""
import collections
import mmap
import os
import pathlib
import re
import struct
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).with_name("fault.c")
CALL = re.compile(r"\s*([0-9a-f]+):\s+(call|jmp|j\w+)\s+[0-9a-f]+ <(\w+)@plt>")
AT = re.compile(r"\s*([0-9a-f]+):\s")
SITE = struct.Struct("=IiIII")  # struct site: calls, fault, skip, times, failed

# Orders other than an errno: see fault.c.
SHORT, END, RING = -1, -2, -4096


def calls_known():
    """What fault.c can make fail."""
    return set(re.findall(r"\b(?:MINUS_\w+|\w+_BUT|ERROR_NUMBER|NOTHING)\((\w+)\)", SOURCE.read_text()))


def imports(binary):
    """All that the binary takes from libraries."""
    said = subprocess.run(["nm", "-D", "--undefined-only", binary], check=True, text=True,
                          capture_output=True).stdout
    return {line.split()[1].partition("@")[0] for line in said.splitlines()}


def _calls(binary, wanted):
    """[(address, what it returns to, callee)]"""
    said = subprocess.run(["objdump", "-d", "--no-show-raw-insn", binary], check=True, text=True,
                          capture_output=True).stdout.splitlines()
    found = []
    for line, behind in zip(said, said[1:]):
        match = CALL.match(line)
        if match and match[3] in wanted:
            assert match[2] == "call", f"build with -fno-optimize-sibling-calls: {line}"
            # Padding or another function may follow; whatever does, it stands there.
            found.append((match[1], int(AT.match(behind)[1], 16), match[3]))
    return found


def find_sites(binary):
    """{name: [the addresses that its calls return to]}"""
    calls = _calls(binary, calls_known())
    said = subprocess.run(["addr2line", "-f", "-e", binary], check=True, text=True,
                          input="\n".join(at for at, _, _ in calls),
                          capture_output=True).stdout.splitlines()
    lines = collections.defaultdict(lambda: collections.defaultdict(list))
    for (_, returns_to, callee), function, place in zip(calls, said[::2], said[1::2]):
        path, _, line = place.split(" ")[0].rpartition(":")
        assert "/src/" in path, f"no debug information: {callee} in {function}"
        file = path.rpartition("/src/")[2]
        lines[file, function, callee][int(line)].append(returns_to)
    return {" ".join(key) + (f"#{number}" if number > 1 else ""): by_line[line]
            for key, by_line in sorted(lines.items())
            for number, line in enumerate(sorted(by_line), 1)}


class Faults:
    """Orders for one program or several: env is what they are started with."""

    def __init__(self, sites, folder):
        self.names = list(sites)
        self._number = {name: number for number, name in enumerate(self.names)}
        rows = sorted((at, self._number[name]) for name, where in sites.items() for at in where)
        head = struct.pack("=II", len(rows), len(sites))
        head += b"".join(struct.pack("=II", *row) for row in rows)
        self._start = len(head)
        self.ordered = None
        path = pathlib.Path(folder, "faults")
        path.write_bytes(head + bytes(SITE.size * len(sites)))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.env = {"LD_PRELOAD": str(build(folder)), "FAULTS": str(path)}

    def _at(self, name):
        return self._start + SITE.size * self._number[name]

    def clear(self):
        """No orders, and nothing was called."""
        self._map[self._start:] = bytes(len(self._map) - self._start)
        self.ordered = None

    def order(self, name, fault, skip=0, times=1):
        SITE.pack_into(self._map, self._at(name), 0, fault, skip, times, 0)
        self.ordered = name

    def cancel(self):
        """Take the order back; the counts stay."""
        if self.ordered:
            struct.pack_into("=i", self._map, self._at(self.ordered) + 4, 0)

    def calls(self, name):
        return SITE.unpack_from(self._map, self._at(name))[0]

    def failed(self, name):
        """How often it failed as ordered."""
        return SITE.unpack_from(self._map, self._at(name))[4]

    def reached(self):
        return [name for name in self.names if self.calls(name)]


def build(folder):
    """The library that makes calls fail."""
    library = pathlib.Path(folder, "fault.so")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O1", "-shared", "-fPIC",
                    "-D_GNU_SOURCE", "-fvisibility=hidden", "-o", library, SOURCE, "-luring"],
                   check=True)
    return library
