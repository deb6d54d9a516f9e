"""From the rows of a step to the items of `kernels/tree_attention.py`.

Rows below a node see all of it: one item for all of them where that pays, else cache blocks of each
group of rows (`own_blocks.py`). Nodes that the same rows see, and whose slots touch, count as one.
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

from sglc.kernels.tree_attention import SHARE_AT, CausalRuns, SharedExtent, TreeWork
from sglc.runtime.engine.memory import Extent
from sglc.runtime.engine.own_blocks import SIZES, Groups, group_rows, own_blocks
from sglc.runtime.engine.prefill import Segment
from sglc.runtime.engine.step_rows import StepRows
from sglc.runtime.engine.tail import join
from sglc.runtime.engine.tree import Node

Indices = NDArray[np.int64]
Piece = tuple[int, int, int]  # a group, the first slot and the number of slots that it sees
SHORT_RUN = 128  # tokens of a segment up to which segments of about one length go together


@dataclass(slots=True)
class Chain:
    """Extents that the same groups of rows see whole, and the chain above."""

    groups: list[int]
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
        self._most = SIZES[-1] if tree else 1  # rows of a group
        self._kept: Shared | None = None
        self._version = -1

    def plan(self, rows: StepRows) -> TreeWork:
        lanes, device = rows.lanes, self._device
        groups = group_rows(len(lanes), rows.segments, self._most)
        if rows.segments or self._kept is None or self._version != lanes.version:
            shared = self._share(rows, groups)
            self._kept = None if rows.segments else shared
            self._version = lanes.version
        else:
            shared = self._kept
        causal = causal_runs(rows.segments, 0, device)
        level = int(bool(causal))
        pieces = np.concatenate([shared.pieces, lanes.views()], axis=1)
        own = own_blocks(pieces, groups, len(rows.tokens), level, device)
        level = max((blocks.level + 1 for blocks in own), default=level)
        items = [
            SharedExtent(item.slot, item.num_tokens, item.rows, level + item.level)
            for item in shared.items
        ]
        return TreeWork(level + shared.depth, tuple(items), tuple(causal), tuple(own))

    def _share(self, rows: StepRows, groups: Groups) -> Shared:
        chains = chains_of(rows.lanes.rows_at(), rows.segments, groups)
        return shared_items(chains, rows.lanes.own(), groups, self._device, self._share_at)


def chains_of(
    rows_at: dict[Node, list[int]], segments: Sequence[Segment], groups: Groups
) -> list[Chain]:
    """Chains of all nodes that more than one row may see, parents first: above the nodes of
    `rows_at` (these included; it gives the groups that see all of a node's path), above the
    segments, and of the part of each node that comes before its segment."""
    below: dict[Node, list[int]] = {}
    of_segments = list(zip(segments, groups.of_segment, strict=True))
    ends = [*rows_at.items(), *((segment.node.parent, its) for segment, its in of_segments)]
    for node, its in ends:
        at = node
        while at is not None and at.parent is not None:
            below.setdefault(at, []).extend(its)
            at = at.parent
    chains: list[Chain] = []
    chain_of: dict[Node, Chain] = {}

    def chain(above: Chain | None, its: list[int]) -> Chain:
        # groups below a child are among those below its parent: equal numbers are equal sets
        if above is None or len(above.groups) != len(its):
            above = Chain(its, [], above)
            chains.append(above)
        return above

    for node in sorted(below, key=lambda node: node.start):
        assert node.parent is not None
        found = chain_of[node] = chain(chain_of.get(node.parent), below[node])
        join(found.extents, node.slots(0, len(node.tokens)))
    for segment, its in of_segments:
        if segment.begin:
            assert segment.node.parent is not None
            found = chain(chain_of.get(segment.node.parent), its)
            join(found.extents, segment.node.slots(0, segment.begin))
    return chains


def shared_items(
    chains: Sequence[Chain],
    own: list[Piece],
    groups: Groups,
    device: torch.device,
    share_at: int = SHARE_AT,
) -> Shared:
    """An item for each extent that is worth one: from `share_at` groups x tokens on; the others,
    and those of `own`, are pieces."""
    items: list[SharedExtent] = []
    pieces: list[Piece] = []
    depth = 0
    for chain in chains:
        chain.depth = chain.above.depth if chain.above else 0
        rows: slice | Tensor | None = None
        for slot, count in chain.extents:
            if len(chain.groups) * count < share_at:
                pieces += [(group, slot, count) for group in chain.groups]
                continue
            if rows is None:
                rows = row_index([r for g in chain.groups for r in groups.rows[g]], device)
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
