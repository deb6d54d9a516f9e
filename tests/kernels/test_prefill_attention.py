"""Prefill attention against fp64: random trees of segments, poisoned slots; Triton runs through its
interpreter where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from devices import DEVICE, DTYPES, needs_gpu
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.kernels.contract import KernelError
from sglc.kernels.prefill_attention import (
    prefill_attention,
    prefill_attention_triton,
    prefill_flops,
)
from sglc.kernels.prefill_work import PrefillWork, plan_prefill
from sglc.kernels.testing import ERROR_RATIO, error_ratio, poison
from sglc.kernels.tree_attention import tree_attention_ref


class RandomForest:
    """Nodes of tokens below one another, each node's slots in one or two extents; some nodes are in
    the pool already, the others are this step's segments. `seen` are the slots of each row."""

    def __init__(self, rng: np.random.Generator, num_nodes: int, longest: int):
        self.num_slots = self.num_rows = 0
        self.seen: list[list[int]] = []
        segments, extents, ends = [], [], []
        paths: list[list[tuple[int, int]]] = []
        for node in range(num_nodes):
            parent = int(rng.integers(-1, node)) if node else -1
            above = paths[parent] if parent >= 0 else []
            length = int(rng.integers(1, longest))
            cut = int(rng.integers(1, length + 1))
            own = [self.take(n, rng) for n in (cut, length - cut) if n]
            paths.append(above + own)
            if rng.random() < 0.3:
                continue
            # a part of the node may be there already
            begin = int(rng.integers(0, length))
            position = sum(n for _, n in above)
            slots = [slot for first, n in paths[-1] for slot in range(first, first + n)]
            segments.append((self.num_rows, length - begin, position + begin))
            self.seen += [slots[: position + i + 1] for i in range(begin, length)]
            self.num_rows += length - begin
            extents += paths[-1]
            ends.append(len(extents))
        self.segments = np.array(segments, dtype=np.int64).reshape(-1, 3)
        self.extents = np.array(extents, dtype=np.int64).reshape(-1, 2)
        self.ends = np.array(ends, dtype=np.int64)

    def take(self, count: int, rng: np.random.Generator) -> tuple[int, int]:
        slot = self.num_slots
        self.num_slots += count + int(rng.integers(0, 3))
        return slot, count


def check(
    forest: RandomForest,
    heads: tuple[int, int, int],
    dtype: torch.dtype,
    attend: Callable[..., torch.Tensor] = prefill_attention_triton,
) -> None:
    H, K, D = heads
    T = forest.num_rows
    plan = plan_prefill(H // K, forest.segments, forest.ends, forest.extents)
    work = PrefillWork.empty(len(plan.units) + 2, len(plan.extents) + 1, DEVICE)
    work.units.fill_(10**9)  # nobody may look there
    work.load(plan)
    generator = torch.Generator().manual_seed(T)
    q, k, v = (
        torch.randn(n, heads, D, generator=generator).to(dtype)
        for n, heads in ((T + 1, H), (forest.num_slots, K), (forest.num_slots, K))
    )
    visible = [torch.tensor(slots) for slots in forest.seen]
    if visible:
        seen = torch.cat(visible).unique()
        k, v = (poison(pool, seen, float("nan")) for pool in (k, v))
    out = torch.full_like(q, 7.0).to(DEVICE)
    attend(q.to(DEVICE), k.to(DEVICE), v.to(DEVICE), work, out=out)
    assert bool((out[T] == 7.0).all()), "a row of no segment was written"
    assert prefill_flops(work, H, D) == 4 * H * D * sum(map(len, forest.seen))
    if T:
        expected = tree_attention_ref(q[:T].double(), k.double(), v.double(), visible)
        assert error_ratio(out[:T].cpu(), expected) < ERROR_RATIO[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("heads", [(8, 2, 16), (3, 1, 32), (2, 2, 16)], ids=str)
def test_equals_the_reference(heads, dtype) -> None:
    check(RandomForest(np.random.default_rng(1), 6, 100), heads, dtype)


@needs_gpu
@pytest.mark.parametrize("heads", [(8, 2, 128), (3, 3, 128), (9, 3, 64), (20, 4, 64)], ids=str)
@pytest.mark.parametrize("longest", [2, 40, 900])
def test_the_kernel_for_hopper(heads, longest) -> None:
    assert heads[2] in (64, 128)
    for seed in range(3):
        forest = RandomForest(np.random.default_rng(seed), 8, longest)
        check(forest, heads, torch.bfloat16, prefill_attention)


@given(st.integers(0, 10**6), st.integers(0, 8))
@settings(max_examples=8, deadline=None)
def test_random_forests(seed, num_nodes) -> None:
    heads = [(2, 1, 16), (6, 2, 16), (8, 1, 16)][seed % 3]
    check(RandomForest(np.random.default_rng(seed), num_nodes, 40), heads, torch.float32)


def test_a_later_token_does_not_reach_an_earlier_one() -> None:
    """Another value of a segment's last token changes its last row only, bit for bit."""
    plan = plan_prefill(2, np.array([[0, 40, 0]]), np.array([1]), np.array([[5, 40]]))
    work = PrefillWork.of(plan, DEVICE)
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(40, 2, 16, generator=generator).to(DEVICE)
    pool = torch.randn(50, 1, 16, generator=generator).to(DEVICE)
    before = prefill_attention_triton(q, pool, pool, work)
    pool[44] = 100.0
    after = prefill_attention_triton(q, pool, pool, work)
    assert torch.equal(before[:39], after[:39])
    assert not torch.equal(before[39], after[39])


def test_the_plan() -> None:
    """Long segments are cut, the units with most to see come first, positions follow the path."""
    plan = plan_prefill(
        4,
        np.array([[0, 5, 10], [5, 70, 0]]),
        np.array([2, 3]),
        np.array([[8, 10], [30, 5], [50, 70]]),
    )
    assert plan.units.tolist() == [
        [69, 6, 64, 2, 3],
        [37, 32, 32, 2, 3],
        [5, 32, 0, 2, 3],
        [0, 5, 10, 0, 2],
    ]
    assert plan.extents.tolist() == [[8, 10, 0], [30, 5, 10], [50, 70, 0]]


def test_without_a_gpu_the_reference_runs() -> None:
    plan = plan_prefill(1, np.array([[0, 3, 0]]), np.array([1]), np.array([[0, 3]]))
    q = pool = torch.eye(3, 16)[:, None]
    y = prefill_attention(q, pool, pool, PrefillWork.of(plan, torch.device("cpu")))
    assert torch.equal(y[0], pool[0])


def test_refuses_head_sizes() -> None:
    q = torch.zeros(1, 2, 48)
    work = PrefillWork.empty(1, 1, DEVICE)
    with pytest.raises(KernelError, match="wanted head size 16 to 256, got 48"):
        prefill_attention_triton(q, q, q, work)


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE.type == "cpu", reason="no CUDA device")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("heads", [(32, 8, 128), (9, 3, 64)], ids=str)
def test_full_size(heads, dtype) -> None:
    check(RandomForest(np.random.default_rng(2), 10, 700), heads, dtype)
