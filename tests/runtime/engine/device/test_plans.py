"""What the GPU engine plans on the host: who sees what, whose turn it is, padded batches."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.kernels.decode_work import BLOCK
from sglc.runtime.engine.device.decode import padded_rows
from sglc.runtime.engine.device.lanes import tail_runs
from sglc.runtime.engine.device.sight import share
from sglc.runtime.engine.device.turns import FULL_STEP, MOST_STEPS, Turns
from sglc.runtime.engine.memory import Extent


@given(st.integers(1, 4096))
def test_a_batch_is_padded_by_less_than_half(count: int) -> None:
    padded = padded_rows(count)
    assert count <= padded < 2 * count or padded == count
    assert padded == padded_rows(padded)


@given(st.lists(st.integers(1, 4 * BLOCK), min_size=1, max_size=6))
def test_runs_of_a_tail_hold_its_slots_in_blocks(sizes: list[int]) -> None:
    extents, slot = [], 7
    for size in sizes:
        extents.append(Extent(slot, size))
        slot += size + 5
    runs = tail_runs(extents)
    expected = [s for extent in extents for s in range(extent.slot, extent.end)]
    begin = 0
    for run in runs:
        # token i of the run lies in block i // BLOCK
        tokens = range(run.end - begin)
        found = [int(run.blocks[i // BLOCK]) + i % BLOCK for i in tokens]
        assert found == expected[begin : run.end]
        begin = run.end
    assert begin == len(expected)


@st.composite
def trees(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """Each row's extents from the root: paths in a random tree, slots that may touch."""
    nodes: list[list[tuple[int, int]]] = [[]]
    slot = 0
    for _ in range(draw(st.integers(1, 12))):
        above = draw(st.sampled_from(nodes))
        slot += draw(st.sampled_from([0, 0, 3]))
        size = draw(st.integers(1, 40))
        nodes.append([*above, (slot, size)])
        slot += size
    return draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=10))


@settings(max_examples=200, deadline=None)
@given(trees())
def test_each_row_is_shown_its_path_once(paths: list[list[tuple[int, int]]]) -> None:
    rows = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
    flat = np.array([piece for path in paths for piece in path], dtype=np.int64).reshape(-1, 2)
    extents, row_ends, shared_rows, own = share(rows, flat[:, 0], flat[:, 1])
    seen: list[list[int]] = [[] for _ in paths]
    begin = 0
    for (slot, count), end in zip(extents.tolist(), row_ends.tolist(), strict=True):
        for row in shared_rows[begin:end].tolist():
            seen[row] += range(slot, slot + count)
        begin = end
    for row, slot, count in own.T.tolist():
        seen[row] += range(slot, slot + count)
    for path, slots in zip(paths, seen, strict=True):
        assert sorted(slots) == sorted(s for slot, n in path for s in range(slot, slot + n))


def test_rows_that_see_the_same_share_one_extent() -> None:
    """Two touching extents that three rows see, then one of each row's own."""
    slots = np.array([0, 10, 100, 0, 10, 200, 0, 10, 300])
    counts = np.array([10, 6, 4, 10, 6, 4, 10, 6, 4])
    extents, row_ends, rows, own = share(np.repeat(np.arange(3), 3), slots, counts)
    assert extents.tolist() == [[0, 16]]
    assert row_ends.tolist() == [3]
    assert rows.tolist() == [0, 1, 2]
    assert own.T.tolist() == [[0, 100, 4], [1, 200, 4], [2, 300, 4]]


class _Node:
    num_computed = 0

    def __init__(self, size: int) -> None:
        self.tokens = array("i", range(size))


class _Job:
    def __init__(self, *nodes: _Node) -> None:
        self._nodes = nodes

    def prompt(self) -> Sequence[_Node]:
        return self._nodes


def decode_steps_before_prefill(num_tokens: int, num_waiting: int, num_running: int) -> int:
    turns = Turns(8192)
    for _ in range(num_waiting):
        turns.add(_Job(_Node(num_tokens)))  # type: ignore[arg-type]
    steps = 0
    while not turns.is_prefill_due(num_waiting, num_running):
        turns.note_decode(num_waiting)
        steps += 1
    return steps


@pytest.mark.parametrize(
    ("num_tokens", "num_waiting", "num_running", "steps"),
    [
        (5, 1, 0, 0),  # nothing else to do
        (FULL_STEP, 1, 500, 0),  # a step full of arithmetic
        (5, 50, 450, 10),  # waiting for ten steps has cost as much as a step of all 500
        (5, 200, 100, 2),
        (5, 1, 1000, MOST_STEPS),
    ],
)
def test_prompts_wait_until_waiting_costs_a_step(
    num_tokens: int, num_waiting: int, num_running: int, steps: int
) -> None:
    assert decode_steps_before_prefill(num_tokens, num_waiting, num_running) == steps


def test_a_text_that_many_wait_for_is_counted_once_and_until_it_is_run() -> None:
    """Eight questions of 96 tokens about each of 8 documents of 1,024, in steps of 4,096."""
    turns = Turns(4096)
    for _ in range(8):
        document = _Node(1024)
        for _ in range(8):
            turns.add(_Job(document, _Node(96)))  # type: ignore[arg-type]
    total = 8 * (1024 + 8 * 96)
    for done in range(4096, total, 4096):
        assert turns.is_prefill_due(64, 1000)
        turns.note_prefill(4096, 64)
        assert turns.is_prefill_due(64, 1000) == (total - done + 64 >= FULL_STEP)


def test_text_that_grows_is_counted_as_it_grows() -> None:
    turns = Turns(8192)
    tail = _Node(0)
    for _ in range(FULL_STEP // 16):
        assert not turns.is_prefill_due(1, 1000)
        tail.tokens.extend(range(15))
        turns.add(_Job(tail))  # type: ignore[arg-type]
    assert turns.is_prefill_due(1, 1000)
