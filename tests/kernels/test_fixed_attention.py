"""Fixed attention against the reference in fp64, and the same bits wherever a row stands."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from sglc.kernels.fixed_attention import CHUNK, SPAN, bytes_moved, fixed_attention
from sglc.kernels.testing import ERROR_RATIO, error_ratio, poison
from sglc.kernels.tree_attention import tree_attention_ref
from sglc.runtime.engine.fixed_work import FixedPlanner

T, K, G, D, N = 16, 2, 3, 16, 4000


def random_contexts(rng: random.Random) -> list[tuple[np.ndarray, int]]:
    """Contexts that share beginnings; one is longer than a span of chunks."""
    trunk = rng.sample(range(N - 1), CHUNK * SPAN + 70)
    contexts = [(np.array(trunk), len(trunk))]
    while len(contexts) < T:
        kept = rng.choice([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 500])
        slots = np.array([*trunk[:kept], *rng.sample(range(N - 1), rng.randint(1, 150))])
        contexts.append((slots, rng.randint(1, len(slots))))
    return contexts


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"]
)
def test_equals_the_reference(dtype) -> None:
    contexts = random_contexts(random.Random(0))
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(T, K * G, D, generator=generator).to(dtype)
    k, v = (torch.randn(N, K, D, generator=generator).to(dtype) for _ in range(2))
    visible = [torch.from_numpy(slots[:length]) for slots, length in contexts]
    seen = torch.cat([torch.tensor([N - 1]), *visible]).unique()
    k, v = poison(k, seen, float("nan")), poison(v, seen, 1e4)
    work = FixedPlanner(T, N - 1, q.device).plan(contexts)
    y = fixed_attention(q, k, v, work)
    expected = tree_attention_ref(q.double(), k.double(), v.double(), visible)
    assert error_ratio(y, expected) < ERROR_RATIO[dtype]


def test_a_row_has_the_same_bits_anywhere() -> None:
    rng = random.Random(1)
    generator = torch.Generator().manual_seed(1)
    k, v = (torch.randn(N, K, D, generator=generator) for _ in range(2))
    contexts = random_contexts(rng)
    q = torch.randn(T, K * G, D, generator=generator)
    planner = FixedPlanner(T, N - 1, q.device)
    expected = fixed_attention(q, k, v, planner.plan(contexts))
    order = list(range(T))
    for _ in range(5):
        rng.shuffle(order)
        y = fixed_attention(q[order], k, v, planner.plan([contexts[row] for row in order]))
        assert torch.equal(y, expected[order])
    filler = (np.array([N - 1]), 1)
    for row in range(0, T, 3):
        alone = torch.zeros_like(q)
        alone[T - 1] = q[row]
        y = fixed_attention(alone, k, v, planner.plan([filler] * (T - 1) + [contexts[row]]))
        assert torch.equal(y[T - 1], expected[row])


def test_bytes_moved() -> None:
    work = FixedPlanner(T, N - 1, torch.device("cpu")).plan([(np.arange(65), 65)] * T)
    # two chunks of 16 rows in items of 8: four items, one group of 32
    assert bytes_moved(work, T, 6, 2, 16, 4) == (2 * 32 * 64 * 32 + 2 * 16 * 96) * 4
