"""What every story has: a lab, and stories that run in the background of the others."""
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))

import net  # noqa: E402
from lab import Lab  # noqa: E402

RESULT = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--convoy", help="the daemon that the stories run")
    parser.addoption("--plain", help="one without sanitizers, for memory and idle wake-ups")
    parser.addoption("--memcheck", help="one that was built for valgrind")
    parser.addoption("--wireguard-go", default="/usr/bin/wireguard-go", help="the one to meet")
    parser.addoption("--all-faults", action="store_true", help="all rows of faults/, not some")


def pytest_configure(config):
    config.addinivalue_line("markers", "workers: two workers share the work (thread sanitizer)")
    config.addinivalue_line("markers", "background(story): started first, collected last")


def pytest_collection_modifyitems(items):
    """Stories of the background are collected last, when they had their time."""
    items.sort(key=lambda item: item.get_closest_marker("background") is not None)


def binary(config, option):
    path = config.getoption(option)
    if not path:
        pytest.skip(f"no {option} given")
    if not os.access(path, os.X_OK):
        pytest.fail(f"{option} {path}: no such program")
    return str(pathlib.Path(path).resolve())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call":
        item.stash[RESULT] = report


@pytest.fixture(scope="session", autouse=True)
def background(request):
    """Starts the background stories that were selected; background(name) ends one."""
    running = {}
    for item in request.session.items:
        if mark := item.get_closest_marker("background"):
            story = mark.args[0](lambda option: binary(request.config, option))
            next(story)
            running[item.name] = story
    yield lambda name: next(running.pop(name))
    for story in running.values():
        story.close()
    net.sweep(os.getpid())


@pytest.fixture
def lab(request):
    lab = Lab(binary(request.config, "--convoy"), request.config.getoption("--wireguard-go"))
    yield lab
    lab.close(failed=request.node.stash.get(RESULT, None) is None
              or request.node.stash[RESULT].failed)


@pytest.fixture
def plain(request):
    """The daemon without sanitizers."""
    return binary(request.config, "--plain")


@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.workers)], ids=["1w", "2w"])
def workers(request):
    """Both ends run with so many workers: the keys of [Interface] that say so."""
    return {"Workers": request.param}
