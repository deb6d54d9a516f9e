"""From pieces of KV that a few rows see to the cache blocks of `kernels/tree_attention.py`.

Rows of one segment see the same of what stands before it: they are a group, for which a block is
read once. A running gen's row is a group by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sglc.kernels.ragged import expand
from sglc.kernels.tree_attention import BLOCK, OwnBlocks
from sglc.runtime.engine.prefill import Segment

Indices = NDArray[np.int64]
SIZES = (1, 8, 32)  # rows of a group are filled up to one of these, or cut
DENSE_AT = 0.5  # used share of a range of blocks from which it is viewed whole, not gathered


@dataclass(frozen=True, slots=True)
class Groups:
    """`rows` of each group, by number; `of_segment` are the numbers of each segment's groups."""

    rows: list[range]
    of_segment: list[list[int]]


def group_rows(num_decodes: int, segments: Sequence[Segment], most: int = SIZES[-1]) -> Groups:
    """The rows of a step in groups of at most `most`: row r of a running gen is group r."""
    rows = [range(row, row + 1) for row in range(num_decodes)]
    of_segment = []
    for segment in segments:
        parts = [segment.rows[at : at + most] for at in range(0, len(segment), most)]
        of_segment.append(list(range(len(rows), len(rows) + len(parts))))
        rows += parts
    return Groups(rows, of_segment)


def own_blocks(
    pieces: Indices, groups: Groups, num_rows: int, level: int, device: torch.device
) -> list[OwnBlocks]:
    """Pieces [3, pieces] (a group, the first slot and the number of slots that it sees), cut at
    block boundaries: blocks that one group sees as a view of the range that they lie in, if they
    fill it well; the slots of all others gathered, on the next level."""
    lens = np.array([len(rows) for rows in groups.rows])[pieces[0]]
    found: list[OwnBlocks] = []
    for size, fewer in zip(SIZES, (0, *SIZES), strict=False):
        some = pieces[:, (lens > fewer) & (lens <= size)]
        if some.shape[1]:
            numbers, some[0] = np.unique(some[0], return_inverse=True)
            table = np.full((len(numbers) + 1, size), num_rows)  # the last group is nobody
            for place, number in enumerate(numbers.tolist()):
                table[place, : len(groups.rows[number])] = groups.rows[number]
            found += _blocks(some, table, num_rows, level, device)
    return found


def _blocks(
    pieces: Indices, table: Indices, num_rows: int, level: int, device: torch.device
) -> list[OwnBlocks]:
    """Blocks for groups of one size: the rows `table[i]` are group i of `pieces`."""
    owners, slots, counts = pieces
    rows = torch.from_numpy(table).to(device)
    real = torch.from_numpy(np.flatnonzero(table < num_rows)).to(device)
    first = slots // BLOCK
    piece, within = expand((slots + counts - 1) // BLOCK - first + 1)
    block = first[piece] + within
    lo = np.maximum(slots[piece] - block * BLOCK, 0)
    hi = np.minimum(slots[piece] + counts[piece] - block * BLOCK, BLOCK)
    owner = owners[piece]
    used, where, num_owners = np.unique(block, return_index=True, return_counts=True)
    low, span = used[0], used[-1] - used[0] + 1
    alone = num_owners == 1
    found: list[OwnBlocks] = []
    is_left = np.ones(len(block), dtype=bool)
    if alone.sum() >= DENSE_AT * span:
        used, where = used[alone], where[alone]
        columns = [np.full(span, fill) for fill in (len(table) - 1, 0, 0)]
        for column, values in zip(columns, (owner, lo, hi), strict=True):
            column[used - low] = values[where]
        is_left[where] = False
        its_owners, mask = (
            torch.from_numpy(x).to(device) for x in (columns[0], _mask(*columns[1:]))
        )
        found.append(OwnBlocks(rows, real, its_owners, mask, level, first_block=int(low)))
        level += 1
    if is_left.any():
        left = np.stack([owner, block * BLOCK + lo, hi - lo])[:, is_left]
        its_owners, mask, its_slots = (torch.from_numpy(x).to(device) for x in _gathered(left))
        found.append(OwnBlocks(rows, real, its_owners, mask, level, slots=its_slots))
    return found


def _mask(lo: Indices, hi: Indices) -> NDArray[np.float32]:
    """Hides what is outside of [lo, hi) of each block; nothing where that is all."""
    at = np.arange(BLOCK)
    is_hidden = (at < lo[:, None]) | (at >= hi[:, None])
    is_hidden[lo >= hi] = False
    return np.where(is_hidden, np.float32(-np.inf), np.float32(0))


def _gathered(pieces: Indices) -> tuple[Indices, NDArray[np.float32], Indices]:
    """Blocks made of each group's pieces one after another: owners, mask and slots."""
    owners, slots, counts = pieces[:, np.argsort(pieces[0], kind="stable")]
    piece, within = expand(counts)
    slot = slots[piece] + within
    owners, tokens = np.unique(owners[piece], return_counts=True)
    num_blocks = -(-tokens // BLOCK)
    owner, place = expand(num_blocks)  # of each block
    _, token = expand(tokens)  # of each slot, its number in the group
    begins = (np.cumsum(num_blocks) - num_blocks) * BLOCK
    block_slots = np.zeros(len(owner) * BLOCK, dtype=np.int64)
    block_slots[np.repeat(begins, tokens) + token] = slot
    hi = np.minimum(tokens[owner] - place * BLOCK, BLOCK)
    return owners[owner], _mask(np.zeros_like(hi), hi), block_slots
