"""Recomputed tokens where memory is short: against what is least possible, and against a server
that takes the longest prefix first and evicts what was used longest ago."""

from __future__ import annotations

import random

import pytest
from lru_engine import LruRehearsal

import sglc
import sglc.testing
from sglc.runtime.engine.request import GenRequest, GenResult, RequestError, Sampling
from sglc.runtime.planner.rehearsal import Rehearsal
from sglc.runtime.planner.writing import Writer
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.testing import ByteTokenizer

SHARES = (0.5, 0.25, 0.1)  # of the peak
TOKENIZER = ByteTokenizer()
MODEL = sglc.testing.Model({})


def new_engine(
    cls: type[Rehearsal], num_slots: int | None, max_batch: int, *, is_device: bool = False
) -> Rehearsal:
    return cls(
        TOKENIZER,
        1 << 20,
        num_slots,
        writer=Writer(TOKENIZER),
        max_batch=max_batch,
        step_tokens=512,
        is_device=is_device,
    )


def random_prompts(rng: random.Random, count: int) -> list[list[int]]:
    """Prompts that share beginnings of beginnings, in a random order."""

    def more() -> list[int]:
        return [rng.randrange(97, 123) for _ in range(rng.randint(2, 12))]

    beginnings: list[list[int]] = [[]]
    for _ in range(count):
        beginnings.append(rng.choice(beginnings) + more())
    prompts = [rng.choice(beginnings[1:]) + more() for _ in range(count)]
    rng.shuffle(prompts)
    return prompts


def run_prompts(engine: Rehearsal, prompts: list[list[int]]) -> Rehearsal:
    for number, prompt in enumerate(prompts):
        sampling = Sampling(max_tokens=2 + number % 20, ignore_eos=True)
        engine.submit(GenRequest(engine.extend(engine.root, prompt), sampling, 0, (number,)))
    while not engine.is_idle:
        assert all(isinstance(result, GenResult) for result in engine.step())
    return engine


@pytest.mark.parametrize("max_batch", [1, 16])
@pytest.mark.parametrize("seed", range(4))
def test_a_known_batch_is_never_recomputed(seed: int, max_batch: int) -> None:
    """The least possible: each distinct prefix once, in as little memory as one request needs."""
    prompts = random_prompts(random.Random(seed), 80)
    trie = {tuple(prompt[:n]) for prompt in prompts for n in range(1, len(prompt) + 1)}
    least = max(map(len, prompts)) + 21
    peak = run_prompts(new_engine(Rehearsal, None, max_batch), prompts).stats.peak_kv_tokens
    for share in SHARES:
        num_slots = max(least, round(peak * share))
        ours = run_prompts(new_engine(Rehearsal, num_slots, max_batch), prompts)
        assert ours.stats.prefilled_tokens == len(trie)
        assert ours.stats.peak_kv_tokens <= num_slots
        lru = run_prompts(new_engine(LruRehearsal, num_slots, max_batch), prompts)
        assert lru.stats.prefilled_tokens >= len(trie)


PROGRAMS = {
    "turns": """
program p(a: str, b: str):
    "Document {a} {a} {a} {a}\\nQuestion {b}:"
    gen x(max_tokens=20, ignore_eos=true)
    "So the answer to {b} is"
    gen y(max_tokens=10, ignore_eos=true)
    return y
""",
    "fork": """
program p(a: str, b: str):
    "Past the mill {a}\\n"
    gen x(max_tokens=30, ignore_eos=true)
    fork k in ["clear", "score", "judge"] as f:
        "{k} {b}:"
        gen y(max_tokens=9, ignore_eos=true)
        "more "
        gen w(max_tokens=40, ignore_eos=true)
    return [branch.w for branch in f]
""",
}


def run_program(
    cls: type[Rehearsal], program: sglc.Program, num_slots: int | None, *, is_device: bool = False
) -> Rehearsal:
    rng = random.Random(1)
    documents = ["".join(rng.choice("abcdefgh ") for _ in range(30)) for _ in range(8)]
    rows = [
        {"a": rng.choice(documents), "b": "".join(rng.choice("xyz ") for _ in range(8))}
        for _ in range(64)
    ]
    engine = new_engine(cls, num_slots, 64, is_device=is_device)
    bound = bind_rows(rows, RowBinder(RowFields(program.plan.params)))
    for outcome in run(program.plan, MODEL.spec, engine, bound):
        assert hasattr(outcome, "output"), outcome
    return engine


@pytest.mark.parametrize("name", PROGRAMS)
def test_rows_that_go_on_are_never_recomputed(name: str) -> None:
    """Each row comes to its end, and nothing it still needs has to make room: the least possible.
    It takes more steps than a cache, which recomputes a third to all of the prompts."""
    program = sglc.compile(PROGRAMS[name], model=MODEL)
    peak = run_program(Rehearsal, program, None).stats.peak_kv_tokens
    for share in SHARES:
        num_slots = max(round(peak * share), 400)
        ours = run_program(Rehearsal, program, num_slots).stats
        lru = run_program(LruRehearsal, program, num_slots).stats
        assert ours.peak_kv_tokens <= num_slots
        assert ours.decoded_tokens == lru.decoded_tokens
        assert ours.recomputed_tokens == 0 < lru.recomputed_tokens
        assert ours.steps <= 1.6 * lru.steps


@pytest.mark.parametrize("name", PROGRAMS)
def test_where_a_step_is_dear_rows_that_go_on_need_no_more_than_with_a_cache(name: str) -> None:
    """As on a GPU: neither more recomputed tokens nor, but for some, more steps."""
    program = sglc.compile(PROGRAMS[name], model=MODEL)
    peak = run_program(Rehearsal, program, None).stats.peak_kv_tokens
    for share in SHARES:
        num_slots = max(round(peak * share), 400)
        ours = run_program(Rehearsal, program, num_slots, is_device=True).stats
        lru = run_program(LruRehearsal, program, num_slots, is_device=True).stats
        assert ours.peak_kv_tokens <= num_slots
        assert ours.steps <= 1.05 * lru.steps
        assert ours.recomputed_tokens <= lru.recomputed_tokens


def test_one_row_alone_barely_fits_and_one_that_does_not_says_what_it_needs() -> None:
    prompts = [[97] * 20 + [98], [97] * 20 + [99], [100] * 25]
    engine = new_engine(Rehearsal, 31, 8)
    for number, prompt in enumerate(prompts):
        sampling = Sampling(max_tokens=10, ignore_eos=True)
        engine.submit(GenRequest(engine.extend(engine.root, prompt), sampling, 0, (number,)))
    results = {}
    while not engine.is_idle:
        results.update({result.request.order: result for result in engine.step()})
    assert isinstance(results[(0,)], GenResult) and isinstance(results[(1,)], GenResult)
    error = results[(2,)]
    assert isinstance(error, RequestError) and error.code == "kv_memory_too_small"
    assert "for 35 tokens, but it holds 31" in error.message
