"""Each row is shown each slot of its root path exactly once, whatever the tree and its extents."""

from __future__ import annotations

import random
from array import array
from collections import Counter

import numpy as np
import pytest
import torch

from sglc.kernels.tree_attention import BLOCK, TreeWork
from sglc.runtime.engine import work
from sglc.runtime.engine.memory import Extent, SlotAllocator
from sglc.runtime.engine.own_blocks import group_rows, own_blocks
from sglc.runtime.engine.prefill import Segment
from sglc.runtime.engine.tree import Node, Tree

CPU = torch.device("cpu")


def scattered(rng: random.Random, slots: SlotAllocator, count: int) -> list[Extent]:
    """Slots in one extent or in several."""
    extents: list[Extent] = []
    while count:
        part = rng.randint(1, count)
        extents += slots.allocate(part)
        count -= part
        if rng.random() < 0.3:
            slots.allocate(1)  # a gap
    return extents


def random_tree(rng: random.Random, slots: SlotAllocator) -> list[Node]:
    tree = Tree(slots)
    nodes = [tree.root]
    for _ in range(rng.randint(1, 12)):
        parent = rng.choice(nodes)
        size = rng.choice([1, 3, 31, 32, 40, 200, 700])
        node = tree.add(parent, array("i", range(size)), is_generated=True)
        node.extents = scattered(rng, slots, size)
        node.num_computed = size
        nodes.append(node)
    return nodes[1:]


def path_slots(node: Node, count: int) -> list[int]:
    """Slots above `node`, and of its first `count` tokens."""
    extents = [extent for above in node.path()[:-1] for extent in above.extents]
    extents += node.slots(0, count)
    return [slot for extent in extents for slot in range(extent.slot, extent.end)]


def shown(tree_work: TreeWork, num_rows: int) -> list[Counter[int]]:
    """Slots that the items show to each row, with how often; a row's levels are told apart too."""
    slots: list[Counter[int]] = [Counter() for _ in range(num_rows)]
    levels: list[Counter[int]] = [Counter() for _ in range(num_rows)]
    for item in tree_work.shared:
        rows = torch.arange(num_rows)[item.rows].tolist()
        for row in rows:
            slots[row].update(range(item.slot, item.slot + item.num_tokens))
            levels[row][item.level] += 1
    for own in tree_work.own:
        groups = [[row for row in group if row < num_rows] for group in own.groups.tolist()]
        members = [row for group in groups for row in group]
        assert members == own.groups.view(-1)[own.real].tolist()
        for i, owner in enumerate(own.owners.tolist()):
            first = own.first_block * BLOCK
            where = range(first, 1 << 40) if own.slots is None else own.slots.tolist()
            begin = i * BLOCK
            seen = [where[begin + at] for at in range(BLOCK) if own.mask[i, at] == 0]
            for row in groups[owner]:
                slots[row].update(seen)
        for row in members:
            levels[row][own.level] += 1
    for row_levels in levels:
        assert set(row_levels.values()) <= {1}
        assert all(0 <= level < tree_work.num_levels for level in row_levels)
    return slots


@pytest.mark.parametrize("seed", range(60))
def test_segments_see_their_paths(seed) -> None:
    rng = random.Random(seed)
    nodes = random_tree(rng, SlotAllocator(20_000))
    decoding = [(rng.choice(nodes), rng.choice(nodes)) for _ in range(rng.randint(0, 9))]
    segments = []
    num_rows = len(decoding)
    for node in rng.sample(nodes, rng.randint(1, len(nodes))):
        begin = rng.randint(0, len(node.tokens) - 1)
        segment = Segment(node, begin, rng.randint(begin + 1, len(node.tokens)))
        segment.first_row = num_rows
        num_rows += len(segment)
        segments.append(segment)
    # rows of running gens stand below nodes, too, and see long extents of their own
    rows_at: dict[Node, list[int]] = {}
    for place, (node, _) in enumerate(decoding):
        rows_at.setdefault(node, []).append(place)
    alone = [
        (place, extent.slot, extent.num_tokens)
        for place, (_, node) in enumerate(decoding)
        for extent in node.extents
    ]
    groups = group_rows(len(decoding), segments, rng.choice([1, 5, 32]))
    shared = work.shared_items(work.chains_of(rows_at, segments, groups), alone, groups, CPU)
    own = own_blocks(shared.pieces, groups, num_rows, shared.depth, CPU)
    tree_work = TreeWork(shared.depth + 2, tuple(shared.items), (), tuple(own))
    found = shown(tree_work, num_rows)
    for place, (node, other) in enumerate(decoding):
        expected = Counter(path_slots(node, len(node.tokens)))
        expected.update(s for e in other.extents for s in range(e.slot, e.end))
        assert found[place] == expected
    for segment in segments:
        # what comes before the segment; its own rows see each other causally
        expected = Counter(path_slots(segment.node, segment.begin))
        assert all(found[row] == expected for row in segment.rows)
    runs = work.causal_runs(segments, 0, CPU)
    rows = sorted(int(r.rows.view(-1)[at]) for r in runs for at in r.real)
    assert rows == list(range(len(decoding), num_rows))


@pytest.mark.parametrize("seed", range(10))
def test_blocks_of_pieces(seed) -> None:
    """Pieces that share blocks, leave gaps, and lie far apart."""
    rng = random.Random(seed)
    slots = SlotAllocator(50_000)
    pieces: list[tuple[int, int, int]] = []
    expected: list[Counter[int]] = [Counter() for _ in range(9)]
    for _ in range(40):
        row = rng.randint(0, 8)
        for extent in scattered(rng, slots, rng.randint(1, 100)):
            pieces.append((row, *extent))
            expected[row].update(range(extent.slot, extent.end))
        if rng.random() < 0.2:
            slots.allocate(rng.choice([5, 2000]))
    own = own_blocks(np.array(pieces).T, group_rows(9, []), 9, 0, CPU)
    assert shown(TreeWork(len(own), (), (), tuple(own)), 9) == expected
