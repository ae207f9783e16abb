#!/usr/bin/python3
"""Fail when src/README.md names a function, file or folder that is not there: readme_names.py ROOT"""
import pathlib
import re
import sys


def main(root):
    text = (root / "src/README.md").read_text()
    code = "\n".join(path.read_text() for top in ("src", "include")
                     for path in (root / top).rglob("*.[ch]"))
    words = set(re.findall(r"\w+", code))
    names = sorted(set(re.findall(r"\bcv_\w+", text)))
    wrong = [f"{name}: no such name in src/ or include/" for name in names if name not in words]
    paths = sorted(set(re.findall(r"`([\w./-]+\.(?:[ch]|py|txt))`", text)))
    for path in paths:
        tops = (root, root / "src", root / "include/convoy")
        if not any((top / path).exists() for top in tops) and not list(
                (root / "src").glob(f"*/{path}")):
            wrong.append(f"{path}: no such file")
    print("\n".join(wrong) or f"{len(names)} names and {len(paths)} files, all there")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
