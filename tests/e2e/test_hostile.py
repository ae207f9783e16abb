"""Hostile paths in a bounded form; tests/hostile runs them at full length and measures."""
import dataclasses

import hostile
import pytest

REKEY_ATTEMPT_S = 90  # white paper, section 6.1
AT_ONCE = hostile.STORY
FASTER = dataclasses.replace(AT_ONCE, clock=20)
FASTEST = dataclasses.replace(AT_ONCE, clock=40)


def story(lab, name, length):
    """Run it: bytes arrive whole, and the other peer of the server notices nothing."""
    world = hostile.SCENARIOS[name](lab, length)
    world.finish()
    assert world.spared is not False
    return world


@pytest.mark.parametrize("kind", ["loss", "duplication", "reorder", "corruption"])
def test_a_stream_survives_a_bad_wire(lab, kind):
    world = story(lab, f"{kind}-10%", AT_ONCE)
    if kind in ("duplication", "corruption"):
        reason = {"duplication": "drop.replay", "corruption": "drop.auth_failed"}[kind]
        assert world.b.stats()[reason] > 0


@pytest.mark.parametrize("name", ["nat-rebinds", "v4-v6-roam"])
def test_the_session_moves_with_the_client(lab, name):
    world = story(lab, name, AT_ONCE)
    assert world.a.stats()["handshake.initiations_sent"] == 1


@pytest.mark.parametrize("name", [
    "both-behind-nat", "black-hole-v6-no-icmp", "wire-down-up", "tun-down-up", "tun-renamed",
    "tun-deleted", "killed-a"])
def test_a_way_is_found_again(lab, name):
    story(lab, name, AT_ONCE)


@pytest.mark.parametrize("name", [
    "nat-rebinds-server-talks", "clock-a-10y", "clock-a+10y", "clock-b-10y",
    "killed-b"])
def test_time_finds_a_way_again(lab, name):
    world = story(lab, name, FASTER)
    # By whoever misses an answer, not by the next renewal of a key.
    assert max(world.recoveries) * FASTER.clock < REKEY_ATTEMPT_S


def test_a_session_that_died_in_its_sleep_is_followed_by_another(lab):
    story(lab, "suspended-a-200s", FASTEST)
