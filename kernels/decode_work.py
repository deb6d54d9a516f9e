"""Who sees what in a decode step on the GPU: what `kernels/decode_attention.py` reads.

A row's slots are two parts. The shared part is planned by the host: units, each a run of slots with
the rows that see all of it. The own part is a table of blocks that the row alone reads; its length
is on the device and grows by one a step without the host. Order does not matter to attention, so an
extent that is not worth a unit is read as own blocks of each of its rows: `is_shared` decides.
Law: each row is shown each slot of its root path exactly once, in a unit or in its own part.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]
BLOCK = 64  # most slots of an own block
NARROW = 16  # query rows (sequences x query heads a kv head) of a unit with few sequences
WIDE = 64  # and of one with many


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of the attention that is planned for."""

    H: int
    K: int
    D: int
    itemsize: int  # bytes of a number of K and V
    num_sms: int = 132  # multiprocessors of the device


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """What the host fills of a `DecodeWork`: int32, as long as need be."""

    units: NDArray[np.int32]  # [U, 4]
    entries: NDArray[np.int32]  # [E, 2]
    parts: NDArray[np.int32]  # [B, 2]
    own_slots: NDArray[np.int32]  # [B, M]
    own_counts: NDArray[np.int32]  # [B, M]
    own_len: NDArray[np.int32]  # [B]


@dataclass(frozen=True, slots=True)
class DecodeWork:
    """Tensors of fixed size that a captured graph reads; all int32 but the partial results.

    units [U, 4]: first slot, number of slots, first entry, number of entries. Those from
        `num_units` [1] on are not looked at.
    entries [E, 2]: a row of the unit, and the partial result that it writes.
    parts [B, 2]: a row's first partial result and how many; those of a row lie together.
    own_slots, own_counts [B, M]: first slot of each own block, and how many of its BLOCK slots hold
        tokens. A block that still grows counts as full.
    own_len [B]: a row's own part ends there, in slots of the table: block `own_len // BLOCK`, slot
        `own_len % BLOCK` is where the next token goes. 0 for rows of the batch that are not taken.
    partial_y [P, H, D] fp32, partial_lse [P, H] fp32 (base 2): scratch, where
        P = E + B * (num_splits - 1).
    num_done [B, K]: partial results that are written; zero between launches.
    num_splits: programs that share a row's own part if it is long, for batches that would not fill
        the device.
    """

    units: Tensor
    num_units: Tensor
    entries: Tensor
    parts: Tensor
    own_slots: Tensor
    own_counts: Tensor
    own_len: Tensor
    partial_y: Tensor
    partial_lse: Tensor
    num_done: Tensor
    num_splits: int

    @staticmethod
    def empty(
        geometry: Geometry,
        num_rows: int,
        max_blocks: int,
        max_units: int,
        max_entries: int,
        device: torch.device,
        num_splits: int | None = None,
    ) -> DecodeWork:
        """Room for `num_rows` rows, of which none is taken yet."""
        if num_splits is None:
            num_splits = splits_for(geometry, num_rows, max_blocks)
        num_partials = max_entries + num_rows * (num_splits - 1)

        def ints(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        return DecodeWork(
            units=ints(max_units, 4),
            num_units=ints(1),
            entries=ints(max_entries, 2),
            parts=ints(num_rows, 2),
            own_slots=ints(num_rows, max_blocks),
            own_counts=ints(num_rows, max_blocks),
            own_len=ints(num_rows),
            partial_y=torch.empty((num_partials, geometry.H, geometry.D), device=device),
            partial_lse=torch.empty((num_partials, geometry.H), device=device),
            num_done=ints(num_rows, geometry.K),
            num_splits=num_splits,
        )

    def load(self, plan: DecodePlan) -> None:
        """Copy `plan` in, which must fit; what it does not reach is left as not taken."""
        self.num_units.fill_(len(plan.units))
        self.parts.zero_()
        self.own_len.zero_()
        for field in fields(plan):
            values = torch.from_numpy(getattr(plan, field.name))
            into = getattr(self, field.name)
            into[tuple(slice(n) for n in values.shape)].copy_(values, non_blocking=True)


def splits_for(geometry: Geometry, num_rows: int, max_blocks: int) -> int:
    """Programs for each row's own part: enough to fill the device."""
    fill = 3 * geometry.num_sms // (2 * num_rows * geometry.K)
    return int(max(1, min(fill, max_blocks, 16)))


def plan_decode(
    geometry: Geometry,
    extents: Indices,
    row_ends: Indices,
    rows: Indices,
    own: Indices,
    tail_blocks: Indices,
    tail_lens: Indices,
    is_unit: NDArray[np.bool_] | None = None,
) -> DecodePlan:
    """Plan a step of B = len(tail_lens) rows.

    extents [n, 2]: slot and number of slots of each run that several rows see whole; extent i is
        seen by rows[row_ends[i - 1] : row_ends[i]].
    own [3, m]: row, slot and number of slots of runs that one row sees and that do not grow.
    tail_blocks [2, t]: row and first slot of the blocks of BLOCK slots that rows grow into, in
        order; tail_lens [B]: how many tokens lie in them.
    is_unit [n]: the extents to read once for all their rows; `is_shared` says where not given.
    """
    extents = extents.reshape(-1, 2)
    num_rows = np.diff(row_ends, prepend=0)
    if is_unit is None:
        is_unit = is_shared(geometry, extents[:, 1], num_rows)
    extent_of_row = np.repeat(np.arange(len(extents)), num_rows)
    is_unit_row = is_unit[extent_of_row]
    flat = extent_of_row[~is_unit_row]
    pieces = np.concatenate(
        [own, np.stack([rows[~is_unit_row], extents[flat, 0], extents[flat, 1]])], axis=1
    )
    units, entries, parts = _units(
        geometry, extents[is_unit], num_rows[is_unit], rows[is_unit_row], len(tail_lens)
    )
    return DecodePlan(units, entries, parts, *_own_table(pieces, tail_blocks, tail_lens))


def is_shared(geometry: Geometry, num_tokens: Indices, num_rows: Indices) -> NDArray[np.bool_]:
    """Whether each extent is faster read once for all its rows than by each of them.

    | bytes        | once for all        | by each row                             |
    |--------------|---------------------|-----------------------------------------|
    | K and V      | tokens * kv         | tokens * kv * max(1, rows / CACHE_RATE) |
    | y and lse    | rows * K * MERGE_BYTES | 0                                    |
    | any of them  | START_BYTES         | 0                                       |

    kv = 2 * K * D * itemsize. Arithmetic counts as the bytes that could be moved meanwhile.
    """
    K, D, G = geometry.K, geometry.D, geometry.H // geometry.K
    kv = 2 * K * D * geometry.itemsize
    per_unit = np.where(num_rows * G <= NARROW, NARROW, WIDE)
    padded = -(-num_rows * G // per_unit) * per_unit * K  # rows of the products
    arithmetic = 4 * padded * num_tokens * D / FLOPS_PER_BYTE
    once = np.maximum(num_tokens * kv, arithmetic) + num_rows * K * MERGE_BYTES
    saved = num_tokens * kv * np.maximum(1, num_rows / CACHE_RATE) - once
    is_worth: NDArray[np.bool_] = saved > 0
    if saved[is_worth].sum() < START_BYTES:
        is_worth[:] = False
    return is_worth


# fitted to tree and plain times of 140 batches of 32 to 512 rows with 2 to 512 sharers of 16 to
# 4096 tokens; H100, bf16, H=32, K=8, D=128, 2026-11
CACHE_RATE = 1.8  # how much faster than memory the L2 cache gives what another row has read
MERGE_BYTES = 15e3  # of a row's partial result for one kv head, the waiting and merging counted in
START_BYTES = 15e6  # of a launch that has units at all
FLOPS_PER_BYTE = 100.0  # what the products of units reach over the copy bandwidth


def _units(
    geometry: Geometry, extents: Indices, num_rows: Indices, rows: Indices, B: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Units, entries and parts of the extents that are shared."""
    group = geometry.H // geometry.K
    is_narrow = num_rows * group <= NARROW
    rows_per_unit = np.where(is_narrow, NARROW // group, WIDE // group)
    num_cuts = -(-num_rows // rows_per_unit)  # of the rows
    programs = max(1, int(num_cuts.sum()) * geometry.K)
    num_splits = np.clip(
        UNIT_PROGRAMS * geometry.num_sms // programs, 1, -(-extents[:, 1] // SPLIT_TOKENS)
    )
    # entries: each extent's rows once for each of its splits
    part, split = _expand(num_splits)  # of each (extent, split)
    first_rows = np.cumsum(num_rows) - num_rows
    pair, nth = _expand(num_rows[part])  # of each entry
    entry_rows = rows[first_rows[part[pair]] + nth]
    order = np.argsort(entry_rows, kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    counts = np.bincount(entry_rows, minlength=B)
    parts = np.stack([np.cumsum(counts) - counts, counts], axis=1)
    # units: each (extent, split) once for each cut of its rows
    first_entries = np.cumsum(num_rows[part]) - num_rows[part]
    owner, cut = _expand(num_cuts[part])
    extent = part[owner]
    tokens_per_split = -(-extents[extent, 1] // num_splits[extent])
    begin = split[owner] * tokens_per_split
    end = np.minimum(begin + tokens_per_split, extents[extent, 1])
    first = cut * rows_per_unit[extent]
    count = np.minimum(rows_per_unit[extent], num_rows[extent] - first)
    units = np.stack(
        [extents[extent, 0] + begin, end - begin, first_entries[owner] + first, count], axis=1
    )
    entries = np.stack([entry_rows, places], axis=1)
    return units.astype(np.int32), entries.astype(np.int32), parts.astype(np.int32)


UNIT_PROGRAMS = 4  # of all units a multiprocessor, where extents are cut
SPLIT_TOKENS = 128  # least slots of a unit that is one of several for the same rows


def _own_table(
    pieces: Indices, tail_blocks: Indices, tail_lens: Indices
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Pieces [3, m] (row, slot, tokens) cut into blocks, and the tail's blocks behind them."""
    B = len(tail_lens)
    piece, nth = _expand(-(-pieces[2] // BLOCK))
    row = np.concatenate([pieces[0][piece], tail_blocks[0]])
    slot = np.concatenate([pieces[1][piece] + nth * BLOCK, tail_blocks[1]])
    count = np.concatenate(
        [
            np.minimum(pieces[2][piece] - nth * BLOCK, BLOCK),
            np.full(tail_blocks.shape[1], BLOCK),
        ]
    )
    order = np.argsort(row, kind="stable")
    num_blocks = np.bincount(row, minlength=B)
    sorted_row, place = _expand(num_blocks)
    slots = np.zeros((B, max(1, int(num_blocks.max(initial=0)))), dtype=np.int32)
    counts = np.zeros_like(slots)
    slots[sorted_row, place] = slot[order]
    counts[sorted_row, place] = count[order]
    own_len = np.bincount(pieces[0][piece], minlength=B) * BLOCK + tail_lens
    return slots, counts, own_len.astype(np.int32)


def _expand(counts: Indices) -> tuple[Indices, Indices]:
    """For `counts[i]` elements of each i, one after another: their i, and their number within
    it."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
