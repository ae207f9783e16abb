#!/usr/bin/python3
"""Fail when conf/SECURITY.md names a test that is not there, or promises without one: security.py ROOT"""
import pathlib
import re
import sys

TEST = re.compile(r"`([\w/]+\.(?:py|c))(?:::(\w+))?`")
TITLES = ("A stranger", "A peer", "A neighbour", "A local user", "A file's author", "An intruder")


def missing(root, text):
    for file, test in TEST.findall(text):
        found = list((root / "tests").rglob(file))
        if len(found) != 1:
            yield f"{file}: {'no such file' if not found else 'several of this name'} in tests/"
        elif test and not re.search(rf"(?m)^(def|static void) {test}\(", found[0].read_text()):
            yield f"{file}: no test {test}"


def untested(text):
    """Promises without a test: points of the chapters, or a whole chapter that has no points."""
    chapters = dict(re.findall(r"(?ms)^## ([^\n]*)\n(.*?)(?=^## |\Z)", text))
    yield from (f"no chapter {title!r}" for title in TITLES if title not in chapters)
    for title in TITLES:
        body = chapters.get(title, "")
        points = re.findall(r"(?ms)^- .*?(?=^- |^\n|\Z)", body)
        yield from (f"{title}: no test for {point.splitlines()[0]!r}"
                    for point in points or [f"- {title}\n{body}"] if not TEST.search(point))


def main(root):
    text = (root / "conf/SECURITY.md").read_text()
    tests = [name for _, name in TEST.findall(text) if name]
    twice = sorted({f"{name} is named twice" for name in tests if tests.count(name) > 1})
    wrong = [*missing(root, text), *untested(text), *twice]
    print("\n".join(wrong) or f"{len(tests)} tests, all there")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
