"""A rehearsal of the GPU engine counts what that engine counts, where lengths are known."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from sglc.runtime.engine.device.engine import DeviceEngine
from sglc.runtime.engine.request import (
    Engine,
    EngineStats,
    GenRequest,
    GenResult,
    Sampling,
    ScoreRequest,
)
from sglc.runtime.models.transformer import Transformer
from sglc.runtime.planner.rehearsal import Rehearsal
from sglc.runtime.planner.writing import Writer
from sglc.testing import ByteTokenizer

STEP_TOKENS = 96
LETTER = ((97, 100.0),)  # whole characters, so that no token is dropped from the end
COUNTS = (
    "steps",
    "prefilled_tokens",
    "recomputed_tokens",
    "decoded_tokens",
    "scored_tokens",
    "peak_kv_tokens",
)


def run_turns(engine: Engine) -> EngineStats:
    """Forty contexts of a gen, more text and another gen or a score."""
    rng = random.Random(4)

    def tokens(low: int, high: int) -> list[int]:
        return [rng.randrange(1, 90) for _ in range(rng.randrange(low, high))]

    shared = [engine.extend(engine.root, tokens(5, 60)) for _ in range(3)]
    more = {}
    for row in range(40):
        prefix = engine.extend(shared[row % 3], tokens(1, 30))
        most = rng.choice([1, 5, 30, 50])
        more[row] = tokens(2, 20), rng.choice([0, 2, 20])
        sampling = Sampling(most, ignore_eos=True, logit_bias=LETTER)
        engine.submit(GenRequest(prefix, sampling, row, (row, 0)))
    while not engine.is_idle:
        for result in engine.step():
            row, place = result.request.order
            if place:
                continue
            assert isinstance(result, GenResult)
            text, most = more[row]
            prefix = engine.extend(result.prefix, text)
            if most:
                sampling = Sampling(most, ignore_eos=True, logit_bias=LETTER)
                engine.submit(GenRequest(prefix, sampling, row, (row, 1)))
            else:
                engine.submit(ScoreRequest(prefix, ((3, 4, 5), (3, 6)), order=(row, 1)))
    return engine.stats


@pytest.mark.parametrize("num_slots", [4000, 600])
def test_counts(num_slots: int, tiny: Callable[..., Transformer]) -> None:
    model, tokenizer = tiny(head_size=16, vocab_size=300), ByteTokenizer()
    slot = model.config.kv_elements_per_token * model.dtype.itemsize
    engine = DeviceEngine(
        model, tokenizer, kv_memory=num_slots * slot, step_tokens=STEP_TOKENS, ahead=0
    )
    rehearsal = Rehearsal(
        tokenizer,
        model.config.context_len,
        num_slots,
        writer=Writer(tokenizer),
        max_batch=1024,
        step_tokens=STEP_TOKENS,
        is_device=True,
    )
    ran, rehearsed = run_turns(engine), run_turns(rehearsal)
    assert {name: getattr(rehearsed, name) for name in COUNTS} == {
        name: getattr(ran, name) for name in COUNTS
    }
    assert (ran.recomputed_tokens > 0) == (num_slots < 4000)
