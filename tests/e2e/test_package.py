"""The Debian package: built from the tree, installed into a throw-away root, and gone again."""
import os
import pathlib
import re
import shutil
import subprocess

import ends
import pytest
from conftest import ROOT
from net import run

# What dpkg and those it wakes keep for themselves.
BOOKS = re.compile(r"(var/(lib/dpkg|log|cache)|tmp)(/|$)")

# A root that is the host's to look at and a file system in memory to write to. It is seen by this
# script only and ends with it; nothing of it is started.
THROW_AWAY = """
mount -t tmpfs none "$work"
mkdir "$work/up" "$work/work" "$work/root"
mount -t overlay none -o "lowerdir=/,upperdir=$work/up,workdir=$work/work" "$work/root"
mount -t tmpfs none "$work/root/run"
touch "$work/root/dev/null"
mount --bind /dev/null "$work/root/dev/null"
cp "$package" "$work/root/tmp/convoy.deb"
inside() { chroot "$work/root" "$@"; }
files() { (cd "$work/up" && find . ! -type d -printf '%P\\n' -o -type d ! -exec test -d /{} \\; \
    -printf '%P/\\n'); }
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The folder with what was built."""
    if not shutil.which("dpkg-buildpackage"):
        pytest.skip("no Debian, or debhelper and dpkg-dev are not installed")
    folder = tmp_path_factory.mktemp("packages")
    # Not optimised: this is about files.
    env = os.environ | {"DEB_BUILD_OPTIONS": f"noopt nocheck parallel={os.cpu_count()}"}
    run(ROOT / "conf/debian/build", folder, env=env)
    return folder


@pytest.fixture
def package(packages):
    (path,) = packages.glob("convoy_*.deb")
    return path


def contents(package):
    """{path: mode} of what it holds."""
    listing = run("dpkg-deb", "--contents", package).stdout
    return {line.split()[5][1:]: line.split()[0] for line in listing.splitlines()}


def in_throw_away_root(script, package, tmp_path):
    """Output of a shell script that installs and removes where nobody else sees it."""
    work = tmp_path / "work"
    work.mkdir()
    before = pathlib.Path("/usr/bin/convoy").exists()
    env = os.environ | {"work": str(work), "package": str(package), "LC_ALL": "C"}
    done = subprocess.run(["unshare", "--mount", "--propagation=private", "--net", "bash", "-euc",
                           THROW_AWAY + script], env=env, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=ends.PATIENCE_S)
    assert pathlib.Path("/usr/bin/convoy").exists() == before
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_holds_what_an_operator_looks_for(package):
    held = contents(package)
    for path in ("/usr/bin/convoy", "/lib/systemd/system/convoy@.service",
                 "/usr/share/man/man8/convoy.8.gz", "/usr/share/man/man5/convoy.conf.5.gz",
                 "/usr/share/bash-completion/completions/convoy",
                 "/usr/share/zsh/vendor-completions/_convoy",
                 "/usr/share/fish/vendor_completions.d/convoy.fish",
                 "/usr/share/doc/convoy/examples/server.conf",
                 "/usr/share/doc/convoy/examples/client.conf"):
        assert path in held
    assert held["/etc/convoy/"] == "drwx------"


def test_lintian_finds_nothing(packages):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    (changes,) = packages.glob("*.changes")
    said = subprocess.run(["lintian", "--allow-root", "--fail-on=error,warning", changes],
                          text=True, capture_output=True)
    assert said.returncode == 0, said.stdout + said.stderr


def test_it_installs_works_and_goes_without_a_trace(package, tmp_path):
    said = in_throw_away_root("""
        inside dpkg --install /tmp/convoy.deb >&2
        echo version: $(inside convoy --version)
        echo key: $(inside convoy genkey | inside convoy pubkey | wc -c)
        echo file: $(inside stat -c %a:%U /etc/convoy)
        inside dpkg --remove convoy >&2
        echo removed: $(inside sh -c 'command -v convoy || echo gone')
        inside dpkg --purge convoy >&2
        echo status: $(inside dpkg-query -W convoy 2>&1)
        echo left:
        files
        """, package, tmp_path)
    head, _, left = said.partition("left:\n")
    told = dict(line.split(": ", 1) for line in head.splitlines())
    assert told == {"version": f"convoy {package.name.split('_')[1]}", "key": "45",
                    "file": "700:root", "removed": "gone",
                    "status": "dpkg-query: no packages found matching convoy"}
    assert [path for path in left.splitlines() if not BOOKS.match(path)
            and path.rstrip("/") not in ("dev/null",)] == []


def test_keys_of_the_user_outlive_a_purge(package, tmp_path):
    private, _ = ends.new_key()
    said = in_throw_away_root(f"""
        inside dpkg --install /tmp/convoy.deb >&2
        printf '[Interface]\\nPrivateKey = %s\\n' {private} >"$work/root/etc/convoy/wg9.conf"
        chmod 600 "$work/root/etc/convoy/wg9.conf"
        echo check: $(inside convoy check wg9)
        inside dpkg --purge convoy >&2
        echo left: $(inside ls /etc/convoy)
        """, package, tmp_path)
    assert said == "check: /etc/convoy/wg9.conf: ok\nleft: wg9.conf\n"
