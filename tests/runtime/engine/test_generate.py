"""Greedy tokens: batched, alone, prefilled in parts, short of memory, all equal plain
recomputation."""

from __future__ import annotations

import random
import threading

import pytest
import torch

from sglc.runtime.engine.request import GenResult, ScoreRequest, ScoreResult


def random_contexts(rng: random.Random, count: int) -> list[list[int]]:
    """Contexts that share prefixes in all ways: whole, part of, and nothing."""
    contexts: list[list[int]] = []
    for _ in range(count):
        base = list(rng.choice(contexts)) if contexts and rng.random() < 0.8 else []
        base = base[: rng.randint(0, len(base))]
        contexts.append(base + [rng.randint(1, 90) for _ in range(rng.randint(1, 60))])
    return contexts


def trie_size(contexts: list[list[int]]) -> int:
    return len({tuple(context[:n]) for context in contexts for n in range(1, len(context) + 1)})


@pytest.mark.parametrize("step_tokens", [3, 64, 1000])
def test_batched_equals_naive(new_engine, run, gen, naive_greedy, step_tokens) -> None:
    contexts = random_contexts(random.Random(step_tokens), 12)
    engine = new_engine(step_tokens=step_tokens)
    requests = [gen(engine.extend(engine.root, c), max_tokens=9) for c in contexts]
    results = run(engine, requests)
    for context, request in zip(contexts, requests, strict=True):
        assert list(results[request].token_ids) == naive_greedy(context, 9)
    assert engine.stats.prefilled_tokens == trie_size(contexts)
    assert engine.stats.recomputed_tokens == 0
    assert engine.stats.decoded_tokens == 9 * len(contexts)
    del requests, request, results
    assert engine.num_kv_tokens == 0


def test_memory_budgets(new_engine, run, gen) -> None:
    """Less memory means more recomputation, the same tokens, and never more than the pool."""
    rng = random.Random(7)
    contexts = random_contexts(rng, 20)
    lens = [rng.randint(1, 40) for _ in contexts]
    alone = new_engine()
    expected = []
    for context, count in zip(contexts, lens, strict=True):
        request = gen(alone.extend(alone.root, context), max_tokens=count)
        expected.append(run(alone, [request])[request].token_ids)
    most = trie_size(contexts) + sum(lens)
    longest = max(len(c) + n for c, n in zip(contexts, lens, strict=True))
    for share in (1.0, 0.5, 0.25, 0.1):
        slots = max(int(most * share), longest)
        engine = new_engine(slots=slots)
        requests = [
            gen(engine.extend(engine.root, c), max_tokens=n, order=place)
            for place, (c, n) in enumerate(zip(contexts, lens, strict=True))
        ]
        results = run(engine, requests)
        assert [results[request].token_ids for request in requests] == expected
        stats = engine.stats
        assert stats.peak_kv_tokens <= slots
        assert stats.prefilled_tokens - stats.recomputed_tokens == trie_size(contexts)
        assert stats.recomputed_tokens == 0 or share < 0.5  # depth-first, half is enough


def test_what_fits_exactly_runs(new_engine, run, gen, naive_greedy) -> None:
    context = list(range(1, 51))
    engine = new_engine(slots=58)
    request = gen(engine.extend(engine.root, context), max_tokens=8)
    assert list(run(engine, [request])[request].token_ids) == naive_greedy(context, 8)


def test_refusals_say_both_numbers(new_engine, run, gen) -> None:
    engine = new_engine(slots=58)
    request = gen(engine.extend(engine.root, list(range(1, 51))), max_tokens=9)
    error = run(engine, [request])[request]
    assert error.code == "kv_memory_too_small"
    assert "59" in error.message and "58" in error.message
    engine = new_engine(slots=4096)
    request = gen(engine.extend(engine.root, [1] * 1000), max_tokens=25)
    error = run(engine, [request])[request]
    assert error.code == "context_too_long"
    assert "1025" in error.message and "1024" in error.message
    assert engine.stats.steps == 0


def test_contexts_grow_in_turns(new_engine, run, gen, naive_greedy) -> None:
    """gen, text, gen, text: each extension computes only what is new; forks share what was
    generated."""
    rng = random.Random(3)
    engine = new_engine()
    trunk = [rng.randint(1, 90) for _ in range(40)]
    prefixes, texts = [engine.extend(engine.root, trunk)], [trunk]
    num_text = len(trunk)
    for turn in range(3):
        requests = [gen(prefix, max_tokens=33 + turn) for prefix in prefixes]
        results = run(engine, requests)
        prefixes, grown = [], []
        for text, request in zip(texts, requests, strict=True):
            result = results[request]
            assert list(result.token_ids) == naive_greedy(text, 33 + turn)
            settled = text + list(result.token_ids)
            assert result.prefix.token_ids() == settled
            for _ in range(2):
                more = [rng.randint(1, 90) for _ in range(5)]
                prefixes.append(engine.extend(result.prefix, more))
                grown.append(settled + more)
                num_text += len(more)
        texts = grown
    # the extensions of the last turn were never asked for
    asked = num_text - 5 * len(prefixes)
    assert engine.stats.prefilled_tokens == asked
    assert engine.stats.recomputed_tokens == engine.stats.repeated_tokens == 0


def test_same_prompt_again_repeats_one_token(new_engine, run, gen) -> None:
    engine = new_engine()
    prefix = engine.extend(engine.root, list(range(1, 41)))
    requests = [gen(prefix, max_tokens=4) for _ in range(3)]
    first = run(engine, requests)
    assert engine.stats.repeated_tokens == 0  # one row of logits serves all three
    again = gen(prefix, max_tokens=4)
    second = run(engine, [again])
    assert engine.stats.repeated_tokens == 1
    assert engine.stats.prefilled_tokens == 40
    assert {first[r].token_ids for r in requests} == {second[again].token_ids}


def test_an_empty_context_starts_with_eos(new_engine, run, gen, naive_greedy) -> None:
    engine = new_engine()
    request = gen(engine.root, max_tokens=5)
    result = run(engine, [request])[request]
    assert list(result.token_ids) == naive_greedy([0], 5)
    assert result.prefix.token_ids() == [0, *result.token_ids]


@pytest.mark.parametrize("seed", range(4))
def test_random_use_leaves_nothing_behind(new_engine, gen, seed) -> None:
    """Submit, cancel, extend, drop and step in any order: at the end the pool is empty."""
    rng = random.Random(seed)
    engine = new_engine(slots=400, max_batch=6, step_tokens=37)
    prefixes = [engine.root]
    pending = []
    for _ in range(150):
        action = rng.random()
        if action < 0.35:
            more = [rng.randint(1, 5) for _ in range(rng.randint(1, 30))]
            prefixes.append(engine.extend(rng.choice(prefixes), more))
        elif action < 0.6:
            request = gen(
                rng.choice(prefixes), max_tokens=rng.randint(1, 50), seed=rng.randint(0, 99),
                temperature=1.0, ignore_eos=False,
            )  # fmt: skip
            if rng.random() < 0.3:
                choices = tuple((rng.randint(1, 3),) * rng.randint(0, 4) for _ in range(3))
                request = ScoreRequest(rng.choice(prefixes), choices, rng.random() < 0.5)
            engine.submit(request)
            pending.append(request)
        elif action < 0.7 and pending:
            engine.cancel(pending.pop(rng.randrange(len(pending))))
        elif action < 0.8 and len(prefixes) > 1:
            del prefixes[rng.randrange(1, len(prefixes))]
        else:
            for result in engine.step():
                pending.remove(result.request)
                if isinstance(result, GenResult):
                    prefixes.append(result.prefix)
                elif isinstance(result, ScoreResult):
                    prefixes.append(rng.choice(result.prefixes))
        assert engine.num_kv_tokens <= 400
    while not engine.is_idle:
        for result in engine.step():
            pending.remove(result.request)
    assert not pending
    del prefixes, request
    result = None
    assert engine.num_kv_tokens == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_types_stay_close_to_fp32(new_engine, tiny, run, gen, naive_logits, dtype) -> None:
    contexts = random_contexts(random.Random(5), 6)
    engine = new_engine(model=tiny(dtype))
    requests = [gen(engine.extend(engine.root, c), max_tokens=20, logprobs=0) for c in contexts]
    results = run(engine, requests)
    differences = []
    for context, request in zip(contexts, requests, strict=True):
        result = results[request]
        exact = naive_logits([*context, *result.token_ids]).log_softmax(-1)
        for place, report in enumerate(result.logprobs):
            differences.append(
                abs(report.logprob - float(exact[len(context) - 1 + place, report.id]))
            )
    assert sum(differences) / len(differences) < (0.1 if dtype == torch.bfloat16 else 0.02)


def test_other_threads_may_drop_prefixes(new_engine, run, gen) -> None:
    engine = new_engine()
    held = [engine.extend(engine.root, [1, 2, n]) for n in range(3, 20)]
    run(engine, [gen(prefix, max_tokens=2) for prefix in held])
    assert engine.num_kv_tokens > 0
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert engine.num_kv_tokens == 0
