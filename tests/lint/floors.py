#!/usr/bin/python3
"""Fail when an #include climbs: floors.py ROOT

src/floors.txt is the table of the house. Checked are the table itself (a module may list only
modules of lower floors), that every module of the tree stands in it, and each #include of src/
and include/: a foreign header belongs to the module that keeps it.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)')


class House:
    def __init__(self, table):
        self.floor, self.below, self.keeper, self.wrong = {}, {}, {}, []
        for number, line in enumerate(table.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            rooms, _, kept = line.partition(":")
            floor, module, *below = rooms.split()
            self.floor[module], self.below[module] = int(floor), set(below) - {"-"}
            for header in kept.split():
                self.keeper.setdefault(header, set()).add(module)
            for other in sorted(self.below[module]):
                if self.floor.get(other, self.floor[module]) >= self.floor[module]:
                    self.wrong.append(f"src/floors.txt:{number}: {other} is not below {module}")

    def judge(self, path, quote, header):
        """What is wrong with this include in this file, or None."""
        module = path.parent.name
        first = re.split(r"[/.]", header)[0]
        if header.startswith("convoy/"):
            if header.count("/") != 2 or quote != "<":
                return "write <convoy/module/file.h>"
            other = header.split("/")[1]
            if other != module and other not in self.below[module]:
                return f"{module} may not include {other}"
        elif quote == '"':
            if "/" in header or not (path.parent / header).exists():
                return f'"{header}" is not in this room'
        elif first in self.keeper and module not in self.keeper[first]:
            return f"<{header}> is kept by {', '.join(sorted(self.keeper[first]))}"
        return None


def main(root):
    house = House((root / "src/floors.txt").read_text())
    wrong, includes = house.wrong, 0
    folders = [*(root / "src").iterdir(), *(root / "include/convoy").iterdir()]
    for folder in sorted(f for f in folders if f.is_dir()):
        module = folder.name
        if module not in house.floor:
            wrong.append(f"{folder.relative_to(root)}: no module of this name in src/floors.txt")
            continue
        for path in sorted(folder.glob("*.[ch]")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if not (match := INCLUDE.match(line)):
                    continue
                includes += 1
                if complaint := house.judge(path, *match.groups()):
                    wrong.append(f"{path.relative_to(root)}:{number}: {complaint}")
    print("\n".join(wrong) or f"{includes} includes, none climbs")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
