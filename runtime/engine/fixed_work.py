"""From rows and their contexts to the items of `kernels/fixed_attention.py`.

Law: which items a row is in, and in which order, depends on its own context only; the items that it
shares with others are found by the slots that they see, not by how the tree is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from sglc.kernels.fixed_attention import CHUNK, GROUP, ROWS, SPAN, FixedGroup, FixedWork
from sglc.runtime.engine.step_rows import StepRows
from sglc.runtime.engine.tree import Node

Indices = NDArray[np.int64]
Context = tuple[Indices, int]  # slots by position, and how many of them the row sees


@dataclass(slots=True)
class Item:
    """A chunk's number and slots, the rows that see it, and how many of its slots each sees."""

    chunk: int
    slots: Indices  # [1 .. CHUNK]
    rows: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


def contexts_of(rows: StepRows) -> list[Context]:
    """The context of each row. Rows of one segment share the slots."""
    contexts: list[Context] = []
    for job in rows.lanes.jobs:
        assert job.tail is not None
        length = int(rows.lanes.positions[job.lane]) + 1
        contexts.append((_slots(job.tail, length - job.node.end), length))
    for segment in rows.segments:
        slots = _slots(segment.node, segment.end)
        start = segment.node.start
        contexts += [(slots, start + at + 1) for at in range(segment.begin, segment.end)]
    return contexts


def tile_order(rows: StepRows) -> Indices:
    """The rows in an order that keeps each after those it sees, with the rows whose logits are read
    as much together as that allows: a tile gives logits of all its rows or of none."""
    can_wait = np.zeros(len(rows.tokens), dtype=bool)
    can_wait[rows.logit_rows.cpu().numpy()] = True
    seen = set()
    for segment in rows.segments:
        node = segment.node.parent
        while node is not None and node not in seen:
            seen.add(node)
            node = node.parent
    for segment in rows.segments:
        # only the last row of a segment that no other row goes on from is seen by none
        last = segment.first_row + len(segment) - 1
        can_wait[segment.first_row : last] = False
        can_wait[last] &= segment.node not in seen
    return np.concatenate([np.flatnonzero(~can_wait), np.flatnonzero(can_wait)])


def _slots(node: Node, count: int) -> Indices:
    """Slots of the whole path above `node` and of its first `count` tokens."""
    extents = [extent for above in node.path()[:-1] for extent in above.extents]
    extents += node.slots(0, count)
    return np.concatenate([np.arange(extent.slot, extent.end) for extent in extents])


class FixedPlanner:
    """Plans tiles of `tile` rows; `scratch` is the slot that stands where there is none."""

    def __init__(self, tile: int, scratch: int, device: torch.device) -> None:
        self._tile = tile
        self._scratch = scratch
        self._device = device

    def plan(self, contexts: Sequence[Context]) -> FixedWork:
        """Items of a tile, row r of which has `contexts[r]`."""
        num_chunks = -(-max(length for _, length in contexts) // CHUNK)
        items: list[list[Item]] = [[] for _ in range(-(-num_chunks // SPAN))]
        for chunk in range(num_chunks):
            items[chunk // SPAN] += _items(contexts, chunk)
        return [
            [self._group(span[at : at + GROUP]) for at in range(0, len(span), GROUP)]
            for span in items
        ]

    def _group(self, items: list[Item]) -> FixedGroup:
        slots = np.full((GROUP, CHUNK), self._scratch)
        rows = np.full((GROUP, ROWS), self._tile)
        counts = np.full((GROUP, ROWS), CHUNK)
        places = np.full((GROUP, ROWS), self._tile * SPAN)
        for at, item in enumerate(items):
            n = len(item.rows)
            slots[at, : len(item.slots)] = item.slots
            rows[at, :n] = item.rows
            counts[at, :n] = item.counts
            places[at, :n] = np.array(item.rows) * SPAN + item.chunk % SPAN
        hidden = np.arange(CHUNK) >= counts[:, :, None]
        columns = (slots.ravel(), rows.ravel(), hidden, places.ravel())
        return FixedGroup(*(torch.from_numpy(column).to(self._device) for column in columns))


def _items(contexts: Sequence[Context], chunk: int) -> list[Item]:
    """Items of the rows that reach `chunk`: rows whose slots there are equal go together."""
    low = chunk * CHUNK
    keys: dict[int, bytes] = {}  # by identity of the context's slots
    open_items: dict[bytes, Item] = {}
    items = []
    for row, (slots, length) in enumerate(contexts):
        if length <= low:
            continue
        key = keys.get(id(slots))
        if key is None:
            key = keys[id(slots)] = slots[low : low + CHUNK].tobytes()
        item = open_items.get(key)
        if item is None or len(item.rows) == ROWS:
            item = open_items[key] = Item(chunk, slots[low : low + CHUNK])
            items.append(item)
        item.rows.append(row)
        item.counts.append(min(length - low, CHUNK))
    return items
