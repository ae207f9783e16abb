#!/usr/bin/python3
"""Fail when an analyzer finds what exceptions.txt does not have: findings.py TOOL ROOT BUILD

TOOL is clang-tidy (.clang-tidy says which checks), gcc (-fanalyzer) or cppcheck. An exception that is no longer found fails too. Both hold for the versions of Debian 12;
with others, or without the tool, the check is skipped.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

SKIP = 77
FINDING = re.compile(r"^([^\s:]+):(\d+):\d+: (?!note)\w+: (.*?) \[([\w.,-]+)\]$", re.M)
EXCEPTIONS = pathlib.Path(__file__).with_name("exceptions.txt")
# Of jansson.h, which cppcheck does not read; a semicolon would end the option.
MACROS = ("-Djson_array_foreach(a,i,v)=while((i=json_index(a)),(v=json_array_get(a,i)))",
          "-Djson_object_foreach(o,k,v)=while((k=json_key(o))&&(v=json_value(o)))")


def clang_tidy(build, unit):
    return ["clang-tidy", "--quiet", "-p", build, unit["file"]]


def gcc(build, unit):
    words = shlex.split(unit["command"])
    words[words.index("-o") + 1] = "/dev/null"
    return [*words, "-MF", "/dev/null", "-fanalyzer", "-Wno-error", "-fdiagnostics-plain-output"]


def cppcheck(build, unit):
    # Without our headers: it fails to expand the lists of macros in them.
    return ["cppcheck", "-q", "--enable=warning,performance,portability", "--library=posix", "--library=gnu",
            "--template={file}:{line}:{column}: {severity}: {message} [{id}]", "--template-location=",
            "--suppress=missingIncludeSystem", "-D_GNU_SOURCE", "-D__linux__", "-D__x86_64__",
            "-DCV_VERSION=\"\"", *MACROS, unit["file"]]


TOOLS = {"clang-tidy": (clang_tidy, r"LLVM version 14\."), "gcc": (gcc, r"\(Debian 12\."),
         "cppcheck": (cppcheck, r"Cppcheck 2\.10")}


def is_there(tool, version):
    try:
        said = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        said = ""
    if not re.search(version, said):
        print(f"{tool} is not there, or not in the version of Debian 12")
        return False
    return True


def our_units(root, build):
    """What is compiled of src/, from the build's compilation database; paths are absolute."""
    for unit in json.loads((build / "compile_commands.json").read_text()):
        unit["file"] = str((pathlib.Path(unit["directory"]) / unit["file"]).resolve())
        if pathlib.Path(unit["file"]).is_relative_to(root / "src"):
            yield unit


def findings(command, root, build):
    """{(check, file): ["file:line: what"]} of all units, each finding once."""
    def run(unit):
        cwd = root if command is cppcheck else unit["directory"]
        done = subprocess.run(command(str(build), unit), cwd=cwd, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{unit['file']}: exit {done.returncode}\n{done.stderr}")
        return [(pathlib.Path(cwd, name).resolve(), line, what, check)
                for name, line, what, check in FINDING.findall(done.stdout + done.stderr)]
    found = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = set().union(*pool.map(run, our_units(root, build)))
    for path, line, what, check in sorted(seen):
        name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        found.setdefault((check, name), []).append(f"{name}:{line}: {what} [{check}]")
    return found


def excepted(tool):
    """The exceptions of a tool, as (check, file)."""
    for line in EXCEPTIONS.read_text().splitlines():
        if line and not line.startswith("#"):
            of, check, name, _ = line.split(maxsplit=3)
            if of == tool:
                yield check, name


def main(tool, root, build):
    command, version = TOOLS[tool]
    if not is_there(tool, version):
        return SKIP
    found, fine = findings(command, root, build), set(excepted(tool))
    wrong = [text for key in sorted(found.keys() - fine) for text in found[key]]
    wrong += [f"exceptions.txt: {check} is not found in {name} any more"
              for check, name in sorted(fine - found.keys())]
    print("\n".join(wrong) or f"{len(fine)} exceptions, nothing else")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(pathlib.Path(arg).resolve() for arg in sys.argv[2:])))
