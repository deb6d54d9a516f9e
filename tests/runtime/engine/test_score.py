"""Scores against one plain forward pass a choice, and what scoring costs."""

from __future__ import annotations

import math
import random

import pytest

from sglc.runtime.engine.request import ScoreRequest


def random_choices(rng: random.Random, count: int) -> tuple[tuple[int, ...], ...]:
    """Choices that share beginnings; some are prefixes of others, some occur twice."""
    return tuple(tuple(rng.randint(1, 3) for _ in range(rng.randint(1, 6))) for _ in range(count))


def expected(naive_logits, context, choice) -> list[float]:
    logprobs = naive_logits([*context, *choice]).log_softmax(-1)
    return [float(logprobs[len(context) - 1 + place, token]) for place, token in enumerate(choice)]


@pytest.mark.parametrize("step_tokens", [2, 7, 512])
def test_scores_equal_one_forward_a_choice(new_engine, run, naive_logits, step_tokens) -> None:
    rng = random.Random(step_tokens)
    engine = new_engine(step_tokens=step_tokens)
    trunk = [rng.randint(1, 90) for _ in range(30)]
    contexts = [trunk, [*trunk, 5, 6, 7], [*trunk[:10], 8]]
    requests = [
        ScoreRequest(
            engine.extend(engine.root, context), random_choices(rng, 9), unconditional=place == 1
        )
        for place, context in enumerate(contexts)
    ]
    results = run(engine, requests)
    for context, request in zip(contexts, requests, strict=True):
        result = results[request]
        for choice, values, prefix in zip(
            request.choices, result.logprobs, result.prefixes, strict=True
        ):
            assert values == pytest.approx(expected(naive_logits, context, choice), abs=1e-4)
            assert prefix.token_ids() == [*context, *choice]
        assert (result.unconditional is not None) == request.unconditional
        if request.unconditional:
            for choice, values in zip(request.choices, result.unconditional, strict=True):
                assert values == pytest.approx(expected(naive_logits, [0], choice), abs=1e-4)
    del requests, results, request, result, prefix
    assert engine.num_kv_tokens == 0


def test_each_token_of_the_trie_is_run_once(new_engine, run) -> None:
    engine = new_engine()
    prefix = engine.extend(engine.root, [1, 2, 3])
    run(engine, [ScoreRequest(prefix, ((4, 5, 6), (4, 5, 7), (4,), (8,)))])
    # the prefix, then 4 and 4 5: nothing is read after 6, 7 and 8
    assert (engine.stats.prefilled_tokens, engine.stats.scored_tokens) == (3, 2)
    assert engine.stats.steps == 1


def test_single_token_choices_cost_one_row(new_engine, run) -> None:
    engine = new_engine()
    prefix = engine.extend(engine.root, [1, 2, 3])
    result = run(engine, [request := ScoreRequest(prefix, ((4,), (5,), (6,)))])[request]
    assert (engine.stats.prefilled_tokens, engine.stats.scored_tokens) == (3, 0)
    assert sum(math.exp(value) for (value,) in result.logprobs) < 1


def test_the_winner_goes_on_from_its_kv(new_engine, run, gen, naive_greedy) -> None:
    engine = new_engine()
    prefix = engine.extend(engine.root, [1, 2, 3])
    request = ScoreRequest(prefix, ((4, 5, 6), (4, 5, 7)))
    winner = run(engine, [request])[request].prefixes[1]
    follow = gen(winner, max_tokens=6)
    assert list(run(engine, [follow])[follow].token_ids) == naive_greedy([1, 2, 3, 4, 5, 7], 6)
    # 4 and 5 were run for the scores, 7 for the gen
    assert (engine.stats.prefilled_tokens, engine.stats.scored_tokens) == (4, 2)


def test_unconditional_scores_are_run_once(new_engine, run) -> None:
    engine = new_engine()
    for place in range(3):
        prefix = engine.extend(engine.root, [1, 2, place + 3])
        run(engine, [ScoreRequest(prefix, ((4, 5), (6, 7)), unconditional=True)])
    # twice 4 and 6: after the first prefix and after the start token; then after the others
    assert engine.stats.scored_tokens == 2 + 2 + 2 + 2


def test_too_long_choices_are_refused(new_engine, run) -> None:
    engine = new_engine()
    request = ScoreRequest(engine.extend(engine.root, [1] * 1000), ((2,) * 30, (3,)))
    error = run(engine, [request])[request]
    assert error.code == "context_too_long"
    assert "1030" in error.message and "1024" in error.message


def test_a_model_without_start_token_scores_no_empty_context(new_engine, run, model) -> None:
    from sglc.runtime.engine.engine import TreeEngine

    class NoStart:
        vocab_size = 97
        eos_ids = frozenset()
        bos_id = None
        control_ids = frozenset()

        def control_id(self, name: str) -> None:
            return None

        def token_bytes(self, token_id: int) -> bytes:
            return b"x"

    engine = TreeEngine(model, NoStart(), kv_memory=1 << 20)
    request = ScoreRequest(engine.root, ((2,), (3,)))
    assert run(engine, [request])[request].code == "no_start_token"


def test_overlapping_requests_with_little_memory(new_engine, run, gen, naive_logits) -> None:
    """Choices that are computed in part already, by other scores and gens, in the same step or
    before."""
    rng = random.Random(8)
    engine = new_engine(slots=160, step_tokens=23)
    contexts = [[rng.randint(1, 3) for _ in range(rng.randint(1, 20))] for _ in range(6)]
    prefixes = [engine.extend(engine.root, context) for context in contexts]
    for _ in range(4):
        scores = [
            ScoreRequest(prefixes[n], random_choices(rng, rng.randint(1, 8)))
            for n in (rng.randrange(6) for _ in range(5))
        ]
        gens = [gen(rng.choice(prefixes), max_tokens=9) for _ in range(2)]
        results = run(engine, [*scores, *gens])
        for request in scores:
            context = request.prefix.token_ids()
            for choice, values in zip(request.choices, results[request].logprobs, strict=True):
                assert values == pytest.approx(expected(naive_logits, context, choice), abs=1e-4)
    assert engine.stats.repeated_tokens > 0
    assert engine.stats.peak_kv_tokens <= 160
