"""Print what a run reached of each module, from gcov's counts: coverage.py BUILD ROOT [MODULE...]

Exit status 1 when a pure module has too few of its lines reached. Modules that are named have the
lines shown that nothing reached.
"""
import collections
import itertools
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lint"))

from pure import ALLOWED as PURE  # noqa: E402

BAR = 90


def count(build, root):
    """{file: {line: times}} of what is ours; a header's lines count wherever they were compiled."""
    counts = collections.defaultdict(collections.Counter)
    data = sorted(build.glob("src/**/*.gcda"))
    out = subprocess.run(["gcov", "--json-format", "--stdout", *map(str, data)], cwd=build,
                         capture_output=True, text=True, check=True).stdout
    for unit in map(json.loads, out.splitlines()):
        for file in unit["files"]:
            path = (build / file["file"]).resolve()
            if path.is_relative_to(root) and not path.is_relative_to(build):
                for line in file["lines"]:
                    counts[path.relative_to(root)][line["line_number"]] += line["count"]
    return counts


def ranges(numbers):
    """1, 2, 3, 7 -> "1-3 7"."""
    texts = []
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in run]
        texts.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return " ".join(texts)


def show_missed(counts, modules):
    for path, lines in sorted(counts.items()):
        missed = sorted(line for line in lines if not lines[line])
        if missed and path.parent.name in modules:
            print(f"{path}: {ranges(missed)}")


def row(name, lines):
    """One line of the table; returns the percentage."""
    reached = sum(map(bool, lines))
    percent = 100 * reached / len(lines)
    print(f"{name:12} {reached:6} of {len(lines):<6} {percent:5.1f} %")
    return percent


def main(build, root, modules):
    counts, lines = count(build, root), collections.defaultdict(list)
    for path, of_file in counts.items():
        lines[path.parent.name] += of_file.values()
    show_missed(counts, modules)
    short = [f"{module}: nothing was built" for module in PURE if module not in lines]
    for module in sorted(lines, key=lambda module: (module not in PURE, module)):
        percent = row(module + (" (pure)" if module in PURE else ""), lines[module])
        if module in PURE and percent < BAR:
            short.append(f"{module}: less than {BAR} % of its lines are reached")
    row("all pure", sum((lines[module] for module in PURE), []))
    row("all", sum(lines.values(), []))
    print("\n".join(short), end="\n" if short else "")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(),
                  sys.argv[3:]))
