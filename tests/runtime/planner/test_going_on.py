"""Rows that go on after gens, where memory is short: recomputed tokens of random programs against
a cache's, and of small ones against the least possible."""

from __future__ import annotations

import pytest
from least_recomputed import least_recomputed
from lru_engine import LruRehearsal
from random_programs import MODEL, RandomProgram, random_rows, rehearse
from recording import Recording

import sglc
from sglc.runtime.planner.rehearsal import Rehearsal

SHARES = (0.5, 0.25, 0.1)  # of the peak
# the one program of twelve whose rows share text in branches where none of the ways comes to the
# least: 6 tokens, where 159 are recomputed, as by a cache
NOT_LEAST = 8


@pytest.mark.parametrize("is_device", [False, True], ids=["CPU", "GPU"])
@pytest.mark.parametrize("seed", range(8))
def test_never_more_than_a_cache(seed: int, is_device: bool) -> None:
    """On a GPU nor, but for some, more steps."""
    program = sglc.compile(RandomProgram(seed).source(), model=MODEL)
    rows = random_rows(seed, 24, 4)
    whole, _ = rehearse(Rehearsal, program, rows, None, is_device=is_device)
    assert whole.stats.recomputed_tokens == 0
    for share in SHARES:
        num_slots = round(whole.stats.peak_kv_tokens * share)
        ours, num_failed = rehearse(Rehearsal, program, rows, num_slots, is_device=is_device)
        cache, num_failed_there = rehearse(
            LruRehearsal, program, rows, num_slots, is_device=is_device
        )
        assert num_failed == num_failed_there  # those that do not fit alone
        assert ours.stats.peak_kv_tokens <= num_slots
        assert ours.stats.recomputed_tokens <= cache.stats.recomputed_tokens
        assert not is_device or ours.stats.steps <= 1.15 * cache.stats.steps


@pytest.mark.parametrize("shares_text", [False, True], ids=["alone", "sharing"])
@pytest.mark.parametrize("seed", range(12))
def test_small_programs_come_to_the_least_possible(seed: int, shares_text: bool) -> None:
    """Two rows in as little as what the largest request needs. They share no more than what they
    begin with, or what stands in their branches and fragments too."""
    source = RandomProgram(seed, runs_wait=not shares_text).source(num_statements=2, depth=1)
    program = sglc.compile(source, model=MODEL)
    rows = random_rows(seed, 2, 1 if shares_text else 2)
    whole, _ = rehearse(Recording, program, rows, None)
    assert isinstance(whole, Recording)
    pieces, asked = whole.problem()
    needed = max(sum(pieces[i].tokens for i in one.path) + one.growth for one in asked)
    for num_slots in {max(needed, round(whole.stats.peak_kv_tokens * share)) for share in SHARES}:
        ours, num_failed = rehearse(Rehearsal, program, rows, num_slots)
        cache, _ = rehearse(LruRehearsal, program, rows, num_slots)
        assert not num_failed
        assert ours.stats.recomputed_tokens <= cache.stats.recomputed_tokens
        if shares_text and seed == NOT_LEAST:
            continue
        least = least_recomputed(pieces, asked, num_slots)
        assert least is not None
        assert ours.stats.recomputed_tokens <= 1.05 * least
