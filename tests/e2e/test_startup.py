"""bench/startup works and leaves nothing behind; no figure of it is a bar."""
import re
import subprocess
import sys

import net
from conftest import ROOT


def test_it_times_both_with_both_files(plain):
    process = subprocess.Popen([sys.executable, ROOT / "bench/startup", "--rounds", "2",
                                "--program", f"convoy={plain}"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    table, progress = process.communicate()
    assert process.returncode == 0, progress
    ms = r"\d+ \(\d+–\d+\)"
    rows = re.findall(rf"(?m)^\| (.*?) \| {ms} \| {ms} \| \*\*[\d.]+×\*\* \|$", table)
    assert rows == ["the network inside", "a default route"], table
    label = f"cv{process.pid}-"
    assert not list(net.NETNS.glob(f"{label}*"))
    assert net.run("pgrep", "-a", "-f", label, check=False).stdout == ""


def test_a_program_that_is_not_there_is_told_of():
    done = net.run(ROOT / "bench/startup", "--program", "convoy=/none", check=False)
    assert done.returncode == 2 and "no program /none" in done.stderr
