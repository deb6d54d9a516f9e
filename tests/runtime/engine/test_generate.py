"""Greedy tokens: batched, alone, prefilled in parts, short of memory, all equal to plain recomputation."""

from __future__ import annotations

import random

import pytest


def random_trie(rng: random.Random, count: int) -> list[list[int]]:
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
    contexts = random_trie(random.Random(step_tokens), 12)
    engine = new_engine(step_tokens=step_tokens)
    requests = [gen(engine.extend(engine.root, c), max_tokens=9) for c in contexts]
    results = run(engine, requests)
    for context, request in zip(contexts, requests, strict=True):
        assert list(results[request].token_ids) == naive_greedy(context, 9)
    assert engine.stats.prefilled_tokens == trie_size(contexts)
    assert engine.stats.recomputed_tokens == 0
    del requests, request, results
    assert engine.num_kv_tokens == 0
