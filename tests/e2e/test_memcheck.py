"""A tunnel's life under valgrind: no byte is used before it was written, and none is lost.

Memory that a library wrote in a way that valgrind does not follow, or that a sanitizer's own
allocator hides, is seen here. It knows neither io_uring nor Landlock nor our seccomp filter, so
the daemon is one that was built for it.
"""
import re

import pytest
import traffic
from conftest import binary
from lab import inner
from net import run

FINDING = re.compile(r"(?m)^==\d+== .*")
# Neither AVX-512 nor io_uring under valgrind.
PLAIN = {"AeadProvider": "libsodium", "Loop": "epoll"}


@pytest.fixture
def checked(request, tmp_path):
    """The daemon behind valgrind; a finding makes its exit status 99."""
    program = binary(request.config, "--memcheck")
    script = tmp_path / "convoy"
    script.write_text("#!/bin/sh\nexec valgrind -q --error-exitcode=99 --leak-check=full "
                      f'--errors-for-leak-kinds=definite,indirect --fair-sched=yes {program} "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_life_under_valgrind_has_no_finding(lab, checked, plain, workers):
    lab.binary = checked
    net = lab.net()
    a, b = lab.pair(net, a=PLAIN | {"Workers": workers}, b=PLAIN)
    traffic.Stream(net.a, net.b, inner("b", 4)).transfer(4 << 20)
    traffic.datagrams(net.a, net.b, inner("b", 6), 200, 1300, seed=1)
    b.tunnel.peers[0].keepalive = 20
    b.reload()
    run(plain, "show", b.name)
    assert traffic.reaches(net.a, inner("b", 4))
    b.stop()
    assert not traffic.reaches(net.a, inner("b", 4), count=1, wait_s=1)
    a.stop()
    for end in (a, b):
        assert not FINDING.search(end.said()), end.said()
