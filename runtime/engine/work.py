"""From the rows of a step to the items of `kernels/tree_attention.py`.

Rows below a node see all of it: one item for all of them where that pays, else cache blocks of each
row's own. Nodes that the same rows see, and whose slots touch, count as one.
Law: each row is shown each slot of its root path up to its own token exactly once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.tree_attention import (
    BLOCK,
    SHARE_AT,
    CausalRuns,
    OwnBlocks,
    SharedExtent,
    TreeWork,
)
from sglc.runtime.engine.memory import Extent
from sglc.runtime.engine.prefill import Segment
from sglc.runtime.engine.step_rows import StepRows
from sglc.runtime.engine.tail import join
from sglc.runtime.engine.tree import Node

Indices = NDArray[np.int64]
Piece = tuple[int, int, int]  # a row, the first slot and the number of slots that it sees
DENSE_AT = 0.5  # used share of a range of blocks from which it is viewed whole, not gathered
SHORT_RUN = 128  # tokens of a segment up to which segments of about one length go together


@dataclass(slots=True)
class Chain:
    """Extents that the same rows see whole, and the chain above."""

    rows: list[int]
    extents: list[Extent]
    above: Chain | None
    depth: int = 0  # items on it and above, once numbered


@dataclass(frozen=True, slots=True)
class Shared:
    """Items with levels from 0 to `depth`, and `pieces` that are not worth one."""

    items: list[SharedExtent]
    depth: int
    pieces: Indices  # [3, pieces]


class WorkPlanner:
    """Plans each step; what running gens share is planned again only when it changes. Without
    `tree` each row is shown all it sees by itself."""

    def __init__(self, device: torch.device, *, tree: bool = True) -> None:
        self._device = device
        self._share_at = SHARE_AT if tree else sys.maxsize
        self._kept: Shared | None = None
        self._version = -1

    def plan(self, rows: StepRows) -> TreeWork:
        lanes, device = rows.lanes, self._device
        if rows.segments or self._kept is None or self._version != lanes.version:
            shared = self._share(rows)
            self._kept = None if rows.segments else shared
            self._version = lanes.version
        else:
            shared = self._kept
        causal = causal_runs(rows.segments, 0, device)
        level = int(bool(causal))
        pieces = np.concatenate([shared.pieces, lanes.views()], axis=1)
        own = own_blocks(pieces, len(rows.tokens), level, device)
        level += len(own)
        items = [
            SharedExtent(item.slot, item.num_tokens, item.rows, level + item.level)
            for item in shared.items
        ]
        return TreeWork(level + shared.depth, tuple(items), tuple(causal), tuple(own))

    def _share(self, rows: StepRows) -> Shared:
        chains = chains_of(rows.lanes.rows_at(), rows.segments)
        return shared_items(chains, rows.lanes.own(), self._device, self._share_at)


def chains_of(rows_at: dict[Node, list[int]], segments: Sequence[Segment]) -> list[Chain]:
    """Chains of all nodes that more than one row may see, parents first: above the nodes of
    `rows_at` (these included; it gives the rows that see all of a node's path), above the segments,
    and of the part of each node that comes before its segment."""
    rows_below: dict[Node, list[int]] = {}
    ends = [*rows_at.items(), *((s.node.parent, s.rows) for s in segments)]
    for node, rows in ends:
        at = node
        while at is not None and at.parent is not None:
            rows_below.setdefault(at, []).extend(rows)
            at = at.parent
    chains: list[Chain] = []
    chain_of: dict[Node, Chain] = {}

    def chain(above: Chain | None, rows: Sequence[int]) -> Chain:
        # rows below a child are among those below its parent: equal numbers are equal sets
        if above is None or len(above.rows) != len(rows):
            above = Chain(list(rows), [], above)
            chains.append(above)
        return above

    for node in sorted(rows_below, key=lambda node: node.start):
        assert node.parent is not None
        found = chain_of[node] = chain(chain_of.get(node.parent), rows_below[node])
        join(found.extents, node.slots(0, len(node.tokens)))
    for segment in segments:
        if segment.begin:
            assert segment.node.parent is not None
            found = chain(chain_of.get(segment.node.parent), segment.rows)
            join(found.extents, segment.node.slots(0, segment.begin))
    return chains


def shared_items(
    chains: Sequence[Chain], own: list[Piece], device: torch.device, share_at: int = SHARE_AT
) -> Shared:
    """An item for each extent that is worth one: from `share_at` rows x tokens on; the others, and
    those of `own`, are pieces."""
    items: list[SharedExtent] = []
    pieces: list[Piece] = []
    depth = 0
    for chain in chains:
        chain.depth = chain.above.depth if chain.above else 0
        rows: slice | Tensor | None = None
        for slot, count in chain.extents:
            if len(chain.rows) * count < share_at:
                pieces += [(row, slot, count) for row in chain.rows]
                continue
            if rows is None:
                rows = row_index(chain.rows, device)
            items.append(SharedExtent(slot, count, rows, chain.depth))
            chain.depth += 1
        depth = max(depth, chain.depth)
    num_long: dict[int, int] = {}
    for row, slot, count in own:
        if count < SHARE_AT:
            pieces.append((row, slot, count))
            continue
        place = num_long[row] = num_long.get(row, -1) + 1
        items.append(SharedExtent(slot, count, slice(row, row + 1), depth + place))
    depth += max(num_long.values(), default=-1) + 1
    return Shared(items, depth, np.array(pieces, dtype=np.int64).reshape(-1, 3).T)


def row_index(rows: list[int], device: torch.device) -> slice | Tensor:
    """`rows` as a slice where they are consecutive."""
    rows = sorted(rows)
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(rows, device=device)


def causal_runs(segments: Sequence[Segment], level: int, device: torch.device) -> list[CausalRuns]:
    """Each segment's rows see one another; short segments of about one length go together."""
    groups: dict[int, list[Segment]] = {}
    alone = []
    for segment in segments:
        if len(segment) > SHORT_RUN:
            alone.append([segment])
        else:
            groups.setdefault((len(segment) - 1).bit_length(), []).append(segment)
    runs = []
    for group in [*groups.values(), *alone]:
        firsts = np.array([segment.first_row for segment in group])[:, None]
        lens = np.array([len(segment) for segment in group])[:, None]
        offsets = np.arange(lens.max())
        rows = torch.from_numpy(firsts + np.minimum(offsets, lens - 1)).to(device)
        real = torch.from_numpy(np.flatnonzero(offsets < lens)).to(device)
        runs.append(CausalRuns(rows, real, level))
    return runs


def own_blocks(pieces: Indices, num_rows: int, level: int, device: torch.device) -> list[OwnBlocks]:
    """Pieces [3, pieces], cut at block boundaries: blocks that one row sees as a view of the range
    that they lie in, if they fill it well; the slots of all others gathered, on the next level."""
    rows, slots, counts = pieces
    if not len(rows):
        return []
    first = slots // BLOCK
    piece, within = _expand((slots + counts - 1) // BLOCK - first + 1)
    block = first[piece] + within
    lo = np.maximum(slots[piece] - block * BLOCK, 0)
    hi = np.minimum(slots[piece] + counts[piece] - block * BLOCK, BLOCK)
    owner = rows[piece]
    used, where, num_owners = np.unique(block, return_index=True, return_counts=True)
    low, span = used[0], used[-1] - used[0] + 1
    alone = num_owners == 1
    found: list[OwnBlocks] = []
    is_left = np.ones(len(block), dtype=bool)
    if alone.sum() >= DENSE_AT * span:
        used, where = used[alone], where[alone]
        columns = [np.full(span, fill, dtype=np.int64) for fill in (num_rows, 0, 0)]
        for column, values in zip(columns, (owner, lo, hi), strict=True):
            column[used - low] = values[where]
        is_left[where] = False
        owners, los, his = (torch.from_numpy(column).to(device) for column in columns)
        found.append(OwnBlocks(owners, los, his, level, first_block=int(low)))
        level += 1
    if is_left.any():
        left = np.stack([owner, block * BLOCK + lo, hi - lo])[:, is_left]
        found.append(_gathered(left, level, device))
    return found


def _gathered(pieces: Indices, level: int, device: torch.device) -> OwnBlocks:
    """Blocks made of each row's pieces one after another."""
    rows, slots, counts = pieces[:, np.argsort(pieces[0], kind="stable")]
    piece, within = _expand(counts)
    slot = slots[piece] + within
    owners, tokens = np.unique(rows[piece], return_counts=True)
    num_blocks = -(-tokens // BLOCK)
    owner, place = _expand(num_blocks)  # of each block
    _, token = _expand(tokens)  # of each slot, its number in the row
    row_begins = (np.cumsum(num_blocks) - num_blocks) * BLOCK
    block_slots = np.zeros(len(owner) * BLOCK, dtype=np.int64)
    block_slots[np.repeat(row_begins, tokens) + token] = slot
    hi = np.minimum(tokens[owner] - place * BLOCK, BLOCK)
    columns = (owners[owner], np.zeros_like(hi), hi, block_slots)
    row, lo, end, gathered = (torch.from_numpy(column).to(device) for column in columns)
    return OwnBlocks(row, lo, end, level, slots=gathered)


def _expand(counts: Indices) -> tuple[Indices, Indices]:
    """For `counts[i]` elements of each i, one after another: their i, and their number within
    it."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
