"""From rows and their places in the tree to the items of `kernels/tree_attention.py`.

Rows below a node see all of it: one item for all of them where that pays, else cache blocks of each
row's own. Nodes that the same rows see, and whose slots touch, count as one.
Law: each row is shown each slot of its root path up to its own token exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.tree_attention import BLOCK, SHARE_AT, CausalRuns, OwnBlocks, SharedExtent
from sglc.runtime.engine.memory import Extent
from sglc.runtime.engine.prefill import Segment
from sglc.runtime.engine.tree import Node

Indices = NDArray[np.int64]
DENSE_AT = 0.5  # used share of a range of blocks from which it is viewed whole, not gathered
SHORT_RUN = 128  # tokens of a segment up to which segments of about one length go together


@dataclass(slots=True)
class Chain:
    """Extents that the same rows see whole, and the chain above."""

    rows: list[int]
    extents: list[Extent]
    above: Chain | None
    depth: int = 0  # items on it and above, once numbered


def join(extents: list[Extent], extent: Extent) -> None:
    """Append `extent`, or lengthen the last one where they touch."""
    if extents and extents[-1].end == extent.slot:
        last = extents[-1]
        extents[-1] = Extent(last.slot, last.num_tokens + extent.num_tokens)
    else:
        extents.append(extent)


class Pieces:
    """Slots that single rows see."""

    def __init__(self) -> None:
        self.extents: dict[int, list[Extent]] = {}  # by row
        self._columns: Indices | None = None

    def add(self, row: int, extent: Extent) -> None:
        join(self.extents.setdefault(row, []), extent)
        self._columns = None

    def columns(self) -> Indices:
        """Rows, first slots and numbers of slots of all pieces, [3, pieces]."""
        if self._columns is None:
            flat = [(row, *extent) for row, extents in self.extents.items() for extent in extents]
            self._columns = np.array(flat, dtype=np.int64).reshape(-1, 3).T
        return self._columns


def chains_above(rows_at: dict[Node, list[int]]) -> tuple[list[Chain], dict[Node, Chain]]:
    """Chains of the nodes on the way to each node of `rows_at`, that node included, parents first;
    and each node's. `rows_at` gives the rows that see all of a node's path."""
    rows_below: dict[Node, list[int]] = {}
    for node, rows in rows_at.items():
        at: Node | None = node
        while at is not None and at.parent is not None:
            rows_below.setdefault(at, []).extend(rows)
            at = at.parent
    chains: list[Chain] = []
    chain_of: dict[Node, Chain] = {}
    for node in sorted(rows_below, key=lambda node: node.start):
        rows = rows_below[node]
        above = chain_of.get(node.parent) if node.parent else None
        # rows below a child are among those below its parent: equal numbers are equal sets
        if above is None or len(above.rows) != len(rows):
            above = Chain(rows, [], above)
            chains.append(above)
        for extent in node.slots(0, len(node.tokens)):
            join(above.extents, extent)
        chain_of[node] = above
    return chains, chain_of


def segment_chains(segments: Sequence[Segment]) -> list[Chain]:
    """Chains above the segments, and of the part of each node that comes before its segment."""
    rows_at: dict[Node, list[int]] = {}
    for segment in segments:
        assert segment.node.parent is not None
        rows_at.setdefault(segment.node.parent, []).extend(segment.rows)
    chains, chain_of = chains_above(rows_at)
    for segment in segments:
        assert segment.node.parent is not None
        if not segment.begin:
            continue
        chain = chain_of.get(segment.node.parent)
        if chain is None or len(chain.rows) != len(segment):
            chain = Chain(list(segment.rows), [], chain)
            chains.append(chain)
        for extent in segment.node.slots(0, segment.begin):
            join(chain.extents, extent)
    return chains


def shared_items(
    chains: Iterable[Chain], pieces: Pieces, device: torch.device
) -> tuple[list[SharedExtent], int]:
    """Items of the extents that are worth one, their levels from 0, and the number of levels; the
    other extents go to `pieces`."""
    items: list[SharedExtent] = []
    num_levels = 0
    for chain in chains:
        chain.depth = chain.above.depth if chain.above else 0
        rows: slice | Tensor | None = None
        for extent in chain.extents:
            if len(chain.rows) * extent.num_tokens < SHARE_AT:
                for row in chain.rows:
                    pieces.add(row, extent)
                continue
            if rows is None:
                rows = row_index(chain.rows, device)
            items.append(SharedExtent(extent.slot, extent.num_tokens, rows, chain.depth))
            chain.depth += 1
        num_levels = max(num_levels, chain.depth)
    return items, num_levels


def row_index(rows: list[int], device: torch.device) -> slice | Tensor:
    """`rows` as a slice where they are consecutive."""
    if rows == list(range(rows[0], rows[0] + len(rows))):
        return slice(rows[0], rows[0] + len(rows))
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


def own_blocks(
    pieces: Indices,
    num_rows: int,
    level: int,
    device: torch.device,
) -> list[OwnBlocks]:
    """Pieces (columns of `Pieces`) cut at block boundaries: blocks of one row as a view of the
    range they lie in, if they fill it well; blocks that more rows see (and all of them, if not)
    gathered, on the next level."""
    rows, slots, counts = pieces
    if not len(rows):
        return []
    first = slots // BLOCK
    num_blocks = (slots + counts - 1) // BLOCK - first + 1
    piece = np.repeat(np.arange(len(rows)), num_blocks)
    within = np.arange(len(piece)) - np.repeat(np.cumsum(num_blocks) - num_blocks, num_blocks)
    block = first[piece] + within
    lo = np.maximum(slots[piece] - block * BLOCK, 0)
    hi = np.minimum(slots[piece] + counts[piece] - block * BLOCK, BLOCK)
    owner = rows[piece]

    used, where = np.unique(block, return_index=True)
    low, span = used[0], used[-1] - used[0] + 1
    found: list[OwnBlocks] = []

    def tensor(values: Indices) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    gathered = np.ones(len(block), dtype=bool)
    if len(used) >= DENSE_AT * span:
        columns = [np.full(span, fill, dtype=np.int64) for fill in (num_rows, 0, 0)]
        for column, values in zip(columns, (owner, lo, hi), strict=True):
            column[used - low] = values[where]
        gathered[where] = False
        owners, los, his = map(tensor, columns)
        found.append(OwnBlocks(owners, los, his, level, first_block=int(low)))
        level += 1
    if gathered.any():
        owners, los, his, blocks = (tensor(x[gathered]) for x in (owner, lo, hi, block))
        found.append(OwnBlocks(owners, los, his, level, blocks=blocks))
    return found
