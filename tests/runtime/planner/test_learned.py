"""Lengths of gens that are learned as a run goes: more rows at once where gens end early, nothing
lost where they do not, and nothing but time where they turn out longer after all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from random_programs import MODEL, RandomProgram, random_rows, rehearse

import sglc
from sglc.runtime.engine.learned import FEWEST, LearnedLengths
from sglc.runtime.engine.request import GenRequest
from sglc.runtime.engine.way import Way
from sglc.runtime.planner.rehearsal import Rehearsal

Length = Callable[[GenRequest, int], int]
ADVERSE: dict[str, Length] = {
    "short, then long": lambda gen, bound: 1 + bound // 9 if gen.order[0] < 40 else bound,
    "long now and then": lambda gen, bound: bound if gen.order[0] % 21 > 19 else 1 + bound // 9,
    "longer and longer": lambda gen, bound: min(bound, 1 + gen.order[0] * bound // 60),
}


class SavingTokens(Rehearsal):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.way = Way.SAVE_TOKENS


@pytest.mark.parametrize("name", ADVERSE)
@pytest.mark.parametrize("seed", range(4))
def test_gens_that_are_longer_than_was_learned(name: str, seed: int) -> None:
    """No row fails or waits for ever, and never is more held than there is room for."""
    program = sglc.compile(RandomProgram(seed).source(num_statements=2, depth=1), model=MODEL)
    rows = random_rows(seed, 80, 4)
    whole, _ = rehearse(SavingTokens, program, rows, None, length_of=ADVERSE[name])
    for share in (0.3, 0.1):
        num_slots = round(whole.stats.peak_kv_tokens * share)
        ours, num_failed = rehearse(SavingTokens, program, rows, num_slots, length_of=ADVERSE[name])
        assert not num_failed
        assert ours.stats.decoded_tokens == whole.stats.decoded_tokens
        assert ours.stats.peak_kv_tokens <= num_slots


@pytest.mark.parametrize("part", [0.1, 1.0], ids=["early", "at the bound"])
def test_what_it_is_worth(part: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of three programs, in a quarter of the memory that they take at their peak."""

    def length_of(gen: GenRequest, bound: int) -> int:
        return max(1, round(part * bound))

    def run() -> int:
        num_steps = 0
        for seed, program in programs.items():
            some = random_rows(seed, 24, 4)
            whole, _ = rehearse(SavingTokens, program, some, None, length_of=length_of)
            num_slots = whole.stats.peak_kv_tokens // 4
            rows = random_rows(seed, 72, 4)
            ours, num_failed = rehearse(SavingTokens, program, rows, num_slots, length_of=length_of)
            assert not num_failed
            assert part == 1.0 or not ours.stats.recomputed_tokens
            num_steps += ours.stats.steps
        return num_steps

    programs = {
        seed: sglc.compile(RandomProgram(seed).source(), model=MODEL) for seed in (0, 4, 10)
    }
    learned = run()
    monkeypatch.setattr(LearnedLengths, "note", lambda *_: None)
    bounds = run()
    assert learned < 0.95 * bounds if part < 1 else learned == bounds


def test_most_of_what_was_seen_and_some_more() -> None:
    lengths, rng = LearnedLengths(), random.Random(0)
    for count in range(1, 200):
        assert (lengths.expected((3,), 100) == 100) == (count <= FEWEST)
        lengths.note((3,), rng.randint(10, 30))
    assert 28 <= lengths.expected((3,), 100) <= 34
    assert lengths.expected((3,), 20) == 20 and lengths.expected((4,), 50) == 50
    for _ in range(8):
        lengths.note((3,), 90)  # they are longer from now on
    assert lengths.expected((3,), 100) >= 90
