#!/usr/bin/python3
"""Fail when a C file has outgrown one sitting: size.py ROOT"""
import pathlib
import sys

WORTH_A_TALK, TOO_LONG = 600, 800


def main(root):
    lengths = {}
    for top in ("src", "include", "tests", "bench"):
        for path in sorted((root / top).rglob("*.[ch]")):
            lengths[path.relative_to(root)] = len(path.read_text().splitlines())
    for path, lines in sorted(lengths.items(), key=lambda item: -item[1])[:5]:
        print(f"{lines:5} {path}")
    talk = [path for path, lines in lengths.items() if WORTH_A_TALK < lines <= TOO_LONG]
    wrong = [path for path, lines in lengths.items() if lines > TOO_LONG]
    print(f"{len(lengths)} files, {len(talk)} above {WORTH_A_TALK} lines, "
          f"{len(wrong)} above {TOO_LONG}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
