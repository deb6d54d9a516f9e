"""Rows that go on after gens, where memory is short: recomputed tokens of random programs against
a cache's, and of small ones against the least possible."""

from __future__ import annotations

import pytest
from least_recomputed import least_recomputed
from lru_engine import LruRehearsal
from random_programs import MODEL, RandomProgram, random_rows, rehearse
from recording import Recording
from test_budgets import StepsAreDear

import sglc
from sglc.runtime.planner.rehearsal import Rehearsal

SHARES = (0.5, 0.25, 0.1)  # of the peak


@pytest.mark.parametrize("seed", range(8))
def test_never_more_than_a_cache(seed: int) -> None:
    program = sglc.compile(RandomProgram(seed).source(), model=MODEL)
    rows = random_rows(seed, 24, 4)
    whole, _ = rehearse(Rehearsal, program, rows, None)
    assert whole.stats.recomputed_tokens == 0
    for share in SHARES:
        num_slots = round(whole.stats.peak_kv_tokens * share)
        ours, num_failed = rehearse(Rehearsal, program, rows, num_slots)
        cache, num_failed_there = rehearse(LruRehearsal, program, rows, num_slots)
        assert num_failed == num_failed_there  # those that do not fit alone
        assert ours.stats.peak_kv_tokens <= num_slots
        assert ours.stats.recomputed_tokens <= cache.stats.recomputed_tokens
        dear, num_failed = rehearse(StepsAreDear, program, rows, num_slots)
        assert num_failed == num_failed_there
        assert dear.stats.peak_kv_tokens <= num_slots
        assert dear.stats.recomputed_tokens <= cache.stats.recomputed_tokens
        assert dear.stats.steps <= 1.05 * cache.stats.steps


@pytest.mark.parametrize("seed", range(12))
def test_small_programs_come_to_the_least_possible(seed: int) -> None:
    """Two rows that share no more than what they begin with, in as little as what the largest
    request needs."""
    source = RandomProgram(seed, runs_wait=True).source(num_statements=2, depth=1)
    program = sglc.compile(source, model=MODEL)
    rows = random_rows(seed, 2, 2)
    whole, _ = rehearse(Recording, program, rows, None)
    assert isinstance(whole, Recording)
    pieces, asked = whole.problem()
    needed = max(sum(pieces[i].tokens for i in one.path) + one.growth for one in asked)
    for share in SHARES:
        num_slots = max(needed, round(whole.stats.peak_kv_tokens * share))
        ours, num_failed = rehearse(Rehearsal, program, rows, num_slots)
        least = least_recomputed(pieces, asked, num_slots)
        assert not num_failed and least is not None
        assert ours.stats.recomputed_tokens <= 1.05 * least
