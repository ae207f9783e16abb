"""Every call that can fail does fail once: the tables in faults/, one a module.

A table is in rows, under the file that the calls stand in:

    == loop/epoll.c
    epoll_open epoll_create1    full: EMFILE refused
    epoll_wait_events epoll_wait    full: EINTR ok
    control close    - why no scene can make it fail
    * add_own eventfd    life: EMFILE ok

which is the function, what it calls (the second call of a kind in it ends in #2), the scene that
is acted (tests/support/fault_scenes.py), how the call fails there, and how that ends. The calls
are found in the binary: one without a row fails a test, and so does a row without its call. A
scene that does not reach its call fails too. Calls that need no row stand in faults/harmless.

`tests/faults-all` acts all rows. A plain run takes some of each scene, and those with a star: they
hold what was wrong once.
"""
import errno
import pathlib
import re

import conftest
import fault_scenes
import faults
import pytest
from lab import Lab

TABLES = pathlib.Path(__file__).parent / "faults"
SANITIZERS = re.compile(r"__(a|ub|t|l)san_|__sanitizer_|__interceptor_")
ORDERS = {"SHORT": faults.SHORT, "END": faults.END}
# Fences that a build with sanitizers leaves out.
ONLY_PLAIN = "daemon/seccomp.c"
# Calls that packets go through, and how they fail TIMES in a row.
ON_THE_WAY = {
    "io/tun.c kernel_readv readv": "EINTR EAGAIN EIO ENOMEM",
    "io/udp_send.c kernel_send sendmmsg": "EINTR EAGAIN ENOBUFS ENOMEM EMSGSIZE EINVAL EIO SHORT",
    "io/udp_receive.c kernel_receive recvmmsg": "EINTR EAGAIN EIO ENOMEM SHORT",
    "loop/writer.c write_plainly writev": "EINTR EAGAIN ENOBUFS EIO SHORT",
}
TIMES = 50
# A plain run takes one row of so many of a scene, the first at least.
SAMPLE = 16


class Row:
    """What is done to a call in one scene: {"EINTR": "ok"}; or why nothing is."""

    def __init__(self, file, line):
        where, _, rest = line.removeprefix("* ").partition("    ")
        self.starred = line.startswith("* ")
        self.site, rest = f"{file} {where}", rest.strip()
        self.why = rest[2:] if rest.startswith("- ") else None
        self.scene, _, cases = ("", "", "") if self.why else rest.partition(": ")
        self.cases = {fault: words[-1] for group in filter(None, cases.split("; "))
                      for words in [group.split()] for fault in words[:-1]}
        assert self.why or self.scene in fault_scenes.SCENES and self.cases, line


def read_tables():
    for path in sorted(TABLES.glob("*.txt")):
        for part in re.split(r"(?m)^== ", path.read_text())[1:]:
            file, *lines = part.split("\n")
            for line in filter(None, lines):
                yield Row(file, line)


ROWS = list(read_tables())


def harmless():
    text = (TABLES / "harmless").read_text()
    return {name for part in re.split(r"(?m)^== .*$", text)[1:] for name in part.split()}


def order_of(fault):
    kind, _, error = fault.rpartition(":")
    if kind == "RING":
        return faults.RING - getattr(errno, error)
    return ORDERS.get(fault) or getattr(errno, fault)


@pytest.fixture(scope="module")
def program(request):
    return conftest.binary(request.config, "--convoy")


@pytest.fixture(scope="module")
def sites(program):
    return faults.find_sites(program)


@pytest.fixture(scope="module")
def stages(program, sites, tmp_path_factory):
    """One of a plain tunnel, and one of a tunnel with all that there is."""
    both = [Stage(program, sites, tmp_path_factory.mktemp("faults"), full)
            for full in (False, True)]
    yield both
    for stage in both:
        stage.close()


def test_every_call_that_can_fail_has_a_row(sites):
    there = {row.site for row in ROWS if not row.site.startswith(ONLY_PLAIN)}
    found = {site for site in sites if not site.startswith(ONLY_PLAIN)}
    assert found - there == set(), "calls without a row in tests/e2e/faults/"
    assert there - found == set(), "rows whose call is gone"


def test_every_import_can_fail_or_is_harmless(program):
    imports = {name for name in faults.imports(program) if not SANITIZERS.match(name)}
    assert imports - faults.calls_known() - harmless() == set(), \
        "imports that neither fault.c nor faults/harmless knows"


def test_no_row_stands_twice():
    keys = [(row.site, row.scene) for row in ROWS]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("scene", fault_scenes.SCENES)
def test_it_is_borne_or_refused(request, stages, scene):
    rows = [row for row in ROWS if row.scene == scene]
    if not request.config.getoption("--all-faults"):
        rows = [row for number, row in enumerate(rows) if row.starred or number % SAMPLE == 0]
    stage = stages[scene == "full"]
    stage.enter(scene)
    for row in rows:
        for fault, wanted in row.cases.items():
            stage.act(row.site, fault, wanted)
    stage.leave()
    assert not stage.wrong, "\n\n".join(stage.wrong)


@pytest.mark.parametrize("site", ON_THE_WAY)
def test_what_is_lost_is_counted_and_nothing_stays(request, stages, site):
    stage = stages[False]
    stage.enter("pings")
    some = slice(None, None, 1 if request.config.getoption("--all-faults") else 2)
    for fault in ON_THE_WAY[site].split()[some]:
        stage.repeat(site, fault)
    stage.leave()
    assert not stage.wrong, "\n\n".join(stage.wrong)


class Stage:
    """A world, in which scenes are acted; a new one after each case that went wrong."""

    def __init__(self, program, sites, folder, full):
        self._make = lambda: (lab := Lab(program, quiet=True),
                              fault_scenes.World(lab, sites, folder, full))
        self._lab = self._world = None

    def enter(self, scene):
        self.wrong, self._name = [], scene
        self._set()

    def _set(self):
        if not self._world:
            self._lab, self._world = self._make()
        self._scene = fault_scenes.SCENES[self._name](self._world)

    def act(self, site, fault, wanted):
        def act():
            how = self._scene.act()
            assert how == wanted, f"{how}, wanted {wanted}"
        self._try(site, fault, 1, act)

    def repeat(self, site, fault):
        self._try(site, fault, TIMES, lambda: fault_scenes.bear(self._world, TIMES))

    def _try(self, site, fault, times, act):
        orders = self._world.faults
        try:
            self._scene.begin()
            orders.clear()
            orders.order(site, order_of(fault), times=times)
            act()
            assert orders.failed(site) == times, \
                f"the scene reached it {orders.failed(site)} times, not {times}"
        except Exception as wrong:
            self.wrong.append(f"{site} {fault}: {type(wrong).__name__} {wrong}")
            self.close(failed=True)
            self._set()

    def leave(self):
        try:
            self._world.faults.clear()
            self._scene.end()
            self._world.near.check_sane()
        except Exception as wrong:
            self.wrong.append(f"at its end: {type(wrong).__name__} {wrong}")
            self.close(failed=True)

    def close(self, failed=False):
        """Whatever failed: the world goes."""
        if self._world:
            lab, world, self._lab, self._world = self._lab, self._world, None, None
            world.close()
            lab.close(failed=failed)
