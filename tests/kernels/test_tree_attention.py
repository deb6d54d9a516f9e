"""Tree attention against the reference in fp64: every kind of item, odd sizes, poisoned slots."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.kernels.contract import KernelError
from sglc.kernels.testing import ERROR_RATIO, error_ratio, poison
from sglc.kernels.tree_attention import (
    BLOCK,
    CausalRuns,
    OwnBlocks,
    SharedExtent,
    TreeWork,
    bytes_moved,
    tree_attention,
    tree_attention_ref,
)


def random_work(generator: torch.Generator, num_blocks: int, T: int, levels: int):
    """Items of all kinds at random, and what they show: the slots of each row.

    This step's rows have their KV in the pool's last T slots, which no other item touches.
    """
    N = num_blocks * BLOCK

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    visible = [[] for _ in range(T)]
    # causal runs: the rows cut into two runs of different length, in one padded item
    cut = number(1, T)
    runs = [list(range(cut)), list(range(cut, T))] if cut < T else [list(range(T))]
    n = max(map(len, runs))
    rows = torch.tensor([run + [run[-1]] * (n - len(run)) for run in runs])
    real = torch.tensor([i * n + j for i, run in enumerate(runs) for j in range(len(run))])
    for run in runs:
        for place, row in enumerate(run):
            visible[row] += [N - T + seen for seen in run[: place + 1]]
    free = N - T
    shared = []
    for level in range(1, levels):
        slot = number(0, free - 1)
        count = number(1, min(70, free - slot))
        if number(0, 1):
            chosen = sorted({number(0, T - 1) for _ in range(4)})
            index = torch.tensor(chosen)
        else:
            first = number(0, T - 1)
            chosen = list(range(first, number(first + 1, T)))
            index = slice(chosen[0], chosen[-1] + 1)
        shared.append(SharedExtent(slot, count, index, level))
        for row in chosen:
            visible[row] += range(slot, slot + count)
    own = []
    for level, gathers in ((levels, False), (levels + 1, True)):
        k = number(1, max(1, free // BLOCK))
        first_block = number(0, free // BLOCK - k) if not gathers else 0
        slots = torch.randint(0, free, (k * BLOCK,), generator=generator)
        # rows in groups of up to three, and a group of none at the end
        order = torch.randperm(T, generator=generator).tolist()
        groups = [order[at : at + 3] for at in range(0, T, 3)]
        table = torch.tensor([group + [T] * (3 - len(group)) for group in [*groups, []]])
        members = (table.view(-1) < T).nonzero()[:, 0]
        owners = torch.tensor([number(0, len(groups) - gathers) for _ in range(k)])
        begins = [number(0, BLOCK - 1) for _ in range(k)]
        ends = [number(begin + 1, BLOCK) for begin in begins]
        lo, hi, at = torch.tensor(begins), torch.tensor(ends), torch.arange(BLOCK)
        is_hidden = (at < lo[:, None]) | (at >= hi[:, None])
        mask = torch.zeros(k, BLOCK).masked_fill_(is_hidden, -torch.inf)
        gathered = slots if gathers else None
        own.append(OwnBlocks(table, members, owners, mask, level, first_block, gathered))
        for i in range(k):
            where = slots.tolist() if gathers else range(first_block * BLOCK, N)
            begin = i * BLOCK
            for row in groups[owners[i]] if owners[i] < len(groups) else ():
                visible[row] += where[begin + int(lo[i]) : begin + int(hi[i])]
    work = TreeWork(levels + 2, tuple(shared), (CausalRuns(rows, real, 0),), tuple(own))
    return work, [torch.tensor(slots) for slots in visible]


def check(seed: int, T: int, K: int, G: int, D: int, levels: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    num_blocks = 4 + T // BLOCK
    N = num_blocks * BLOCK

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    q, k_pool, v_pool = randn(T, K * G, D), randn(N, K, D), randn(N, K, D)
    work, visible = random_work(generator, num_blocks, T, levels)
    seen = torch.cat(visible).unique()
    k_pool = poison(k_pool, seen, -1e4)
    v_pool = poison(v_pool, seen, 1e4)
    rows = slice(N - T, N)
    y = tree_attention(q, k_pool, v_pool, k_pool[rows], v_pool[rows], work)
    expected = tree_attention_ref(q.double(), k_pool.double(), v_pool.double(), visible)
    assert y.dtype == dtype
    assert error_ratio(y, expected) < ERROR_RATIO[dtype]


@pytest.mark.parametrize("dtype", list(ERROR_RATIO), ids=["fp64", "fp32", "fp16", "bf16"])
@pytest.mark.parametrize(
    ("T", "K", "G", "D", "levels"),
    [(1, 1, 1, 8, 1), (7, 3, 3, 64, 3), (33, 2, 4, 40, 4), (100, 5, 1, 16, 3), (12, 1, 13, 8, 3)],
    ids=lambda value: str(value),
)
def test_equals_the_reference(T, K, G, D, levels, dtype) -> None:
    check(0, T, K, G, D, levels, dtype)


@given(
    st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([1, 2, 3, 4, 8]), st.integers(1, 4)
)
@settings(max_examples=60, deadline=None)
def test_random_items(seed, T, K, G) -> None:
    check(seed, T, K, G, 8, 1 + seed % 4, torch.float32)


def test_rows_do_not_change_each_other() -> None:
    """Garbage in one row's query leaves the others' results as they were, bit for bit."""
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(9, 6, 16, generator=generator)
    pool = torch.randn(5 * BLOCK, 2, 16, generator=generator)
    work, _ = random_work(generator, 5, 9, 3)
    k = pool[-9:]
    before = tree_attention(q, pool, pool, k, k, work)
    q[4] = float("nan")
    after = tree_attention(q, pool, pool, k, k, work)
    others = [row for row in range(9) if row != 4]
    assert torch.equal(before[others], after[others])


def test_refuses_a_pool_of_broken_blocks() -> None:
    q, pool = torch.zeros(1, 2, 8), torch.zeros(33, 1, 8)
    with pytest.raises(KernelError, match="wanted a pool of whole blocks of 32, got 33 slots"):
        tree_attention(q, pool, pool, pool[:1], pool[:1], TreeWork(0))


def test_bytes_moved() -> None:
    zero = torch.zeros(3).long()
    own = OwnBlocks(zero[:1, None], zero[:1], zero, torch.zeros(3, BLOCK), 0)
    work = TreeWork(2, (SharedExtent(0, 100, slice(0, 5), 1),), (), (own,))
    # K and V of 100 + 3 * 32 tokens of 2 heads of 8; q and y of 5 rows of 4 heads
    assert bytes_moved(work, 5, 4, 2, 8, 2) == (2 * 196 * 16 + 2 * 5 * 32) * 2
