#!/usr/bin/python3
"""Fail when clang-format would change a C file: format.py ROOT (skipped without clang-format)"""
import pathlib
import shutil
import subprocess
import sys

SKIP = 77
MAJOR = "14"  # another version lays a few things out differently


def main(root):
    tool = shutil.which(f"clang-format-{MAJOR}") or shutil.which("clang-format")
    if not tool or f"version {MAJOR}." not in subprocess.run([tool, "--version"], text=True,
                                                             capture_output=True).stdout:
        print(f"clang-format {MAJOR} is not installed")
        return SKIP
    files = [str(path) for top in ("src", "include", "tests", "bench")
             for path in sorted((root / top).rglob("*.[ch]"))]
    done = subprocess.run([tool, "--dry-run", "-Werror", *files])
    print(f"{len(files)} files, {'well' if done.returncode == 0 else 'not'} formatted")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
