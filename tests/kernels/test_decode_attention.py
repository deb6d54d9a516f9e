"""Decode attention against fp64: random trees, poisoned slots; Triton runs through its interpreter
where there is no GPU."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from devices import DEVICE, DTYPES
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.kernels.contract import KernelError
from sglc.kernels.decode_attention import decode_bytes, visible_slots
from sglc.kernels.decode_attention_triton import decode_attention_triton
from sglc.kernels.decode_plan import is_shared, plan_decode
from sglc.kernels.decode_work import BLOCK, DecodePlan, DecodeWork, Geometry, splits_for
from sglc.kernels.row_groups import deepest_shared, sibling_groups
from sglc.kernels.testing import ERROR_RATIO, error_ratio, poison
from sglc.kernels.tree_attention import tree_attention_ref

Slots = list[list[int]]


class RandomTree:
    """A tree of extents with rows at some of its nodes, each with pieces and a tail of its own.

    `seen` are the slots of each row, in no order, found without the planner.
    """

    def __init__(self, rng: np.random.Generator, num_rows: int, num_nodes: int, longest: int):
        self.rng = rng
        self.at = int(rng.integers(0, 5))
        parents = [int(rng.integers(-1, node)) if node else -1 for node in range(num_nodes)]
        node_of = rng.integers(-1, num_nodes, num_rows).tolist()
        self.seen: Slots = [[] for _ in range(num_rows)]
        below: Slots = [[] for _ in range(num_nodes)]
        for row, node in enumerate(node_of):
            while node >= 0:
                below[node].append(row)
                node = parents[node]
        extents, rows = [], []
        for node in range(num_nodes):
            if below[node]:
                extents.append(self.take(int(rng.integers(1, longest)), below[node]))
                rows.append(below[node])
        self.extents = np.array(extents, dtype=np.int64).reshape(-1, 2)
        self.row_ends = np.cumsum([len(r) for r in rows], dtype=np.int64)
        self.rows = np.array(list(itertools.chain(*rows)), dtype=np.int64)
        own = [
            (row, *self.take(int(rng.integers(1, longest)), [row]))
            for row in rng.integers(0, num_rows, num_rows // 2)
        ]
        self.own = np.array(own, dtype=np.int64).reshape(-1, 3).T
        self.tail_lens = rng.integers(0, 2 * BLOCK, num_rows)
        blocks = []
        for row, length in enumerate(self.tail_lens.tolist()):
            for block in range(0, length, BLOCK):
                slot, _ = self.take(BLOCK, [])
                blocks.append((row, slot))
                self.seen[row] += range(slot, slot + min(BLOCK, length - block))
        self.tail_blocks = np.array(blocks, dtype=np.int64).reshape(-1, 2).T

    def take(self, count: int, rows: list[int]) -> tuple[int, int]:
        """An extent of `count` new slots that `rows` see."""
        slot = self.at
        self.at += count + int(self.rng.integers(0, 3))
        for row in rows:
            self.seen[row] += range(slot, slot + count)
        return slot, count

    def plan(self, geometry: Geometry, is_unit: np.ndarray, has_groups: bool) -> DecodePlan:
        num_rows = np.diff(self.row_ends, prepend=0)
        extent_of = np.repeat(np.arange(len(num_rows)), num_rows)
        deepest = deepest_shared(num_rows, extent_of, self.rows, len(self.seen))
        return plan_decode(
            geometry, self.extents, self.row_ends, self.rows, self.own,
            self.tail_blocks, self.tail_lens, is_unit,
            sibling_groups(deepest if has_groups else deepest[:0], geometry.group_size),
        )  # fmt: skip


def work_of(plan: DecodePlan, geometry: Geometry, splits: int) -> DecodeWork:
    """Work with more room than `plan` takes."""
    B, M = plan.own_slots.shape
    work = DecodeWork.empty(
        geometry, B + 1, M + 1, len(plan.units) + 2, len(plan.entries) + 3, DEVICE, splits,
        plan.near_slots.shape[1] + 1 if len(plan.groups) else 0,
    )  # fmt: skip
    tables = (work.near_slots, work.near_counts, work.own_slots, work.own_counts)
    for tensor in (work.units, work.entries, *tables):
        tensor.fill_(10**9)  # nobody may look there
    work.load(plan)
    return work


def check(
    tree: RandomTree, heads: tuple[int, int, int], dtype: torch.dtype, splits: int
) -> None:  # fmt: skip
    H, K, D = heads
    geometry = Geometry(H, K, D, dtype.itemsize, num_sms=4)
    rng, B = tree.rng, len(tree.seen)
    plan = tree.plan(geometry, rng.random(len(tree.extents)) < 0.5, rng.random() < 0.7)
    work = work_of(plan, geometry, splits)
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 30)))
    q, k, v = (
        torch.randn(n, heads, D, generator=generator).to(dtype)
        for n, heads in ((B + 1, H), (tree.at + BLOCK, K), (tree.at + BLOCK, K))
    )
    seen = torch.tensor(sorted({slot for slots in tree.seen for slot in slots}))
    k, v = (poison(pool, seen, float("nan")) if len(seen) else pool for pool in (k, v))
    out = torch.full_like(q, float("nan")).to(DEVICE)
    pools = k.to(DEVICE), v.to(DEVICE)
    for _ in range(2):  # the second launch finds what the first left
        decode_attention_triton(q.to(DEVICE), *pools, work, out=out)
    visible = [torch.tensor(slots, dtype=torch.int64) for slots in tree.seen]
    taken = [row for row in range(B) if len(visible[row])]
    expected = tree_attention_ref(
        q[taken].double(), k.double(), v.double(), [visible[row] for row in taken]
    )
    assert not work.num_done.any()
    others = [row for row in range(B + 1) if row not in taken]
    assert torch.equal(out[others].cpu(), torch.zeros_like(q[others]))
    if taken:
        assert error_ratio(out[taken].cpu(), expected) < ERROR_RATIO[dtype]
    for row, slots in enumerate(visible_slots(work)[:B]):
        assert sorted(slots.tolist()) == sorted(tree.seen[row])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("heads", [(8, 2, 16), (3, 1, 32)], ids=str)
def test_equals_the_reference(heads, dtype) -> None:
    check(RandomTree(np.random.default_rng(0), 7, 4, 90), heads, dtype, 2)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 6), st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_random_trees(seed, num_rows, num_nodes, splits) -> None:
    rng = np.random.default_rng(seed)
    heads = [(2, 1, 16), (6, 2, 16), (8, 1, 16)][seed % 3]
    check(RandomTree(rng, num_rows, num_nodes, 80), heads, torch.float32, splits)


def test_many_rows_fill_wide_units() -> None:
    """19 rows under one extent: units of many rows, and one that is not full."""
    tree = RandomTree(np.random.default_rng(3), 1, 0, 2)
    tree.seen = [[] for _ in range(19)]
    tree.extents = np.array([tree.take(100, list(range(19)))])
    tree.row_ends, tree.rows = np.array([19]), np.arange(19)
    tree.own, tree.tail_blocks = np.zeros((3, 0), np.int64), np.zeros((2, 0), np.int64)
    tree.tail_lens = np.zeros(19, np.int64)
    tree.rng = np.random.default_rng(3)  # its first draw is below 0.5: a unit
    check(tree, (4, 1, 16), torch.float32, 1)


def siblings(num_families: int, size: int, prefix: int) -> RandomTree:
    """Families of rows, each below an extent of its own, all below one; 5 own tokens a row."""
    tree = RandomTree(np.random.default_rng(0), 1, 0, 2)
    B = num_families * size
    tree.seen = [[] for _ in range(B)]
    families = [list(range(first, first + size)) for first in range(0, B, size)]
    all_rows = [list(range(B)), *families]
    tree.extents = np.array([tree.take(prefix, rows) for rows in all_rows])
    tree.row_ends, tree.rows = np.cumsum([B] + [size] * num_families), np.concatenate(all_rows)
    tree.own, tree.tail_lens = np.zeros((3, 0), np.int64), np.full(B, 5)
    tree.tail_blocks = np.array([(row, tree.take(BLOCK, [])[0]) for row in range(B)]).T
    for row, slot in tree.tail_blocks.T.tolist():
        tree.seen[row] += range(slot, slot + 5)
    return tree


@pytest.mark.parametrize("size", [2, 3, 4, 5, 11])
def test_siblings_are_groups(size) -> None:
    """Families of at most 4 rows are one group, larger ones are cut evenly; what is above all of
    them is near to each where it is no unit."""
    tree = siblings(3, size, 70)
    geometry = Geometry(8, 2, 16, 4)
    plan = tree.plan(geometry, np.zeros(4, bool), True)
    groups = [{row for row in rows if row >= 0} for rows in plan.groups.tolist()]
    assert sorted(row for group in groups for row in group) == list(range(3 * size))
    assert all(len({row // size for row in group}) == 1 for group in groups)
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1
    assert len(groups) == 3 * -(-size // 4)
    assert plan.num_near.tolist() == [2 * 2] * len(groups)
    assert plan.own_len.tolist() == [5] * 3 * size
    assert not len(plan.units)
    check(tree, (8, 2, 16), torch.float32, 1)


@pytest.mark.parametrize(
    ("families", "size", "tokens", "expected"),
    [
        (10, 3, 1000, 0),  # too few to fill the device
        (85, 3, 1000, 0),  # the last third of the programs would run by themselves
        (171, 3, 1000, 171),
        (171, 3, 60, 0),  # too little to save beyond what the cache does
        (256, 2, 250, 0),
        (256, 2, 1000, 256),
        (128, 4, 60, 128),  # full groups
        (128, 4, 1, 0),
    ],
)
def test_groups_are_where_they_were_measured_to_be_faster(families, size, tokens, expected) -> None:
    tree = siblings(families, size, tokens)
    plan = plan_decode(
        Geometry(32, 8, 128, 2), tree.extents, tree.row_ends, tree.rows,
        tree.own, tree.tail_blocks, tree.tail_lens,
    )  # fmt: skip
    assert len(plan.groups) == expected


def test_own_parts_grow_on_the_device() -> None:
    """Adding one to `own_len` shows one slot more, across a block's end."""
    geometry = Geometry(2, 1, 16, 4)
    tail = np.array([[0, 0], [3, 200]])
    nothing = np.zeros(0, np.int64)
    plan = plan_decode(
        geometry, nothing, nothing, nothing, np.array([[0], [100], [10]]), tail, np.array([62])
    )
    work = DecodeWork.empty(geometry, 1, 3, 0, 0, DEVICE, 1)
    work.load(plan)
    seen = [*range(100, 110), *range(3, 65)]
    for new in (65, 66, 200, 201):
        assert visible_slots(work)[0].tolist() == seen
        work.own_len.add_(1)
        seen.append(new)
    pool = torch.randn(300, 1, 16, generator=torch.Generator().manual_seed(0))
    q = torch.ones(1, 2, 16)
    y = decode_attention_triton(q.to(DEVICE), *[pool.to(DEVICE)] * 2, work)
    expected = tree_attention_ref(q.double(), pool.double(), pool.double(), [torch.tensor(seen)])
    assert error_ratio(y.cpu(), expected) < ERROR_RATIO[torch.float32]


def test_the_gate_weighs_bytes() -> None:
    geometry = Geometry(32, 8, 128, 2)
    tokens = np.array([1, 1024, 1024, 1024, 16, 64, 4096])
    rows = np.array([512, 1, 4, 512, 2, 512, 2])
    assert is_shared(geometry, 512, tokens, rows, rows).tolist() == [
        False, False, True, True, False, True, True
    ]  # fmt: skip


def test_a_launch_that_gains_little_has_no_units() -> None:
    geometry = Geometry(32, 8, 128, 2)
    four = np.array([4])
    assert not is_shared(geometry, 64, np.array([1024]), four, four).any()
    four = np.full(16, 4)
    assert is_shared(geometry, 64, np.full(16, 1024), four, four).all()
    assert not is_shared(geometry, 64, np.full(16, 1024), four, np.full(16, 1)).any()


def test_units_fill_the_device_where_rows_do_not() -> None:
    geometry, two = Geometry(32, 8, 128, 2), np.array([2, 2])
    assert is_shared(geometry, 8, np.array([64, 256]), two, two).tolist() == [False, True]
    assert not is_shared(geometry, 64, np.array([64, 256]), two, two).any()


def test_few_rows_are_cut_to_fill_the_device() -> None:
    geometry = Geometry(32, 8, 128, 2)
    assert splits_for(geometry, 512, 64) == 1
    assert 4 <= splits_for(geometry, 1, 64) <= 16
    assert splits_for(geometry, 1, 2) == 2


def test_bytes() -> None:
    geometry = Geometry(4, 2, 8, 2)
    plan = plan_decode(
        geometry, np.array([[0, 100]]), np.array([3]), np.arange(3),
        np.array([[1], [200], [5]]), np.array([[0], [300]]), np.array([7, 0, 0]),
        np.array([True]),
    )  # fmt: skip
    work = DecodeWork.empty(geometry, 3, 2, 8, 8, torch.device("cpu"))
    work.load(plan)
    # K and V of 100 shared and 12 own tokens; 3 partial results written and read; q and y
    expected = 2 * 112 * 2 * 8 * 2 + 2 * 3 * 4 * 9 * 4 + 2 * 3 * 4 * 8 * 2
    assert decode_bytes(work, 4, 2, 8, 2) == expected


def test_bytes_of_near_blocks_count_once() -> None:
    geometry = Geometry(4, 2, 8, 2)
    plan = plan_decode(
        geometry, np.array([[0, 100]]), np.array([10]), np.arange(10), np.zeros((3, 0), np.int64),
        np.stack([np.arange(10), np.arange(10) * 64 + 200]), np.full(10, 7), np.array([False]),
        sibling_groups(np.zeros(10, np.int64), geometry.group_size),
    )  # fmt: skip
    work = DecodeWork.empty(geometry, 10, 1, 0, 0, torch.device("cpu"), max_near=2)
    work.load(plan)
    assert len(plan.groups) == 2
    assert decode_bytes(work, 4, 2, 8, 2) == 2 * 170 * 2 * 8 * 2 + 2 * 10 * 4 * 8 * 2


def test_work_for_groups_takes_a_plan_without() -> None:
    geometry = Geometry(4, 2, 8, 2)
    nothing = np.zeros(0, np.int64)
    plan = plan_decode(
        geometry, nothing, nothing, nothing, np.zeros((3, 0), np.int64),
        np.array([[0, 1], [64, 128]]), np.array([2, 3]),
    )  # fmt: skip
    work = DecodeWork.empty(geometry, 3, 1, 0, 0, torch.device("cpu"), max_near=2)
    work.load(plan)
    assert sorted(work.groups[work.groups >= 0].tolist()) == [0, 1, 2]


def test_refuses_head_counts() -> None:
    q, pool = torch.zeros(1, 5, 16), torch.zeros(8, 2, 16)
    work = DecodeWork.empty(Geometry(4, 2, 16, 4), 1, 1, 0, 0, torch.device("cpu"))
    with pytest.raises(KernelError, match="wanted query heads a multiple of 2 kv heads, got 5"):
        decode_attention_triton(q, pool, pool, work)


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE.type == "cpu", reason="no CUDA device")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("heads", [(32, 8, 128), (9, 3, 64)], ids=str)
@pytest.mark.parametrize(("num_rows", "splits"), [(1, 7), (40, 3), (300, 1)])
def test_full_size(heads, dtype, num_rows, splits) -> None:
    tree = RandomTree(np.random.default_rng(num_rows), num_rows, 12, 1500)
    check(tree, heads, dtype, splits)
