"""Plans a decode step's attention: what is read once for many rows, for a few, and by each row.

Order does not matter to attention, so each extent that several rows see is read in one of three
ways: as a unit, once for all its rows, whose partial results are merged; as near blocks of the
groups of its rows, once for each group; or as own blocks of each of its rows. Rows that are
siblings in the tree are a group: their query rows fill the products that one row leaves three
quarters empty, and nothing needs merging. `is_shared` decides by bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.decode_work import (
    BLOCK,
    NARROW,
    WIDE,
    DecodePlan,
    Geometry,
    Indices,
    splits_for,
)
from sglc.kernels.ragged import expand
from sglc.kernels.row_groups import (
    CACHE_RATE,
    Groups,
    are_worth_it,
    deepest_shared,
    membership,
    sibling_groups,
)


def plan_decode(
    geometry: Geometry,
    extents: Indices,
    row_ends: Indices,
    rows: Indices,
    own: Indices,
    tail_blocks: Indices,
    tail_lens: Indices,
    is_unit: NDArray[np.bool_] | None = None,
    groups: Groups | None = None,
) -> DecodePlan:
    """Plan a step of B = len(tail_lens) rows.

    extents [n, 2]: slot and number of slots of each run that several rows see whole; extent i is
        seen by rows[row_ends[i - 1] : row_ends[i]].
    own [3, m]: row, slot and number of slots of runs that one row sees and that do not grow.
    tail_blocks [2, t]: row and first slot of the blocks of BLOCK slots that rows grow into, in
        order; tail_lens [B]: how many tokens lie in them.
    is_unit [n], groups [B', R]: what to read how, where bytes are not to say.
    """
    extents = extents.reshape(-1, 2)
    num_rows = np.diff(row_ends, prepend=0)
    B = len(tail_lens)
    extent_of = np.repeat(np.arange(len(extents)), num_rows)  # of each entry of `rows`
    if groups is None:
        groups = _groups(geometry, extents[:, 1], num_rows, extent_of, rows, B)
    group_of, size = membership(groups, B)
    # readers: who sees an extent together
    reader, entry_reader, num_seeing = np.unique(
        extent_of * len(size) + group_of[rows], return_inverse=True, return_counts=True
    )
    extent_read, group_reading = np.divmod(reader, len(size))
    if is_unit is None:
        num_readers = np.bincount(extent_read, minlength=len(extents))
        is_unit = is_shared(geometry, B, extents[:, 1], num_rows, num_readers)
    is_near = ~is_unit[extent_read] & (num_seeing > 1) & (num_seeing == size[group_reading])
    near = _pieces(group_reading[is_near], extents[extent_read[is_near]])
    is_own = ~is_unit[extent_of] & ~is_near[entry_reader]
    own = np.concatenate([own, _pieces(rows[is_own], extents[extent_of[is_own]])], axis=1)
    units, entries, parts = _units(
        geometry, extents[is_unit], num_rows[is_unit], rows[is_unit[extent_of]], B
    )
    near_slots, near_counts, num_near = _table(*_blocks(near), len(groups))
    return DecodePlan(
        units, entries, parts,
        groups, near_slots, near_counts, num_near.astype(np.int32),
        *_own_table(own, tail_blocks, tail_lens),
    )  # fmt: skip


def _pieces(owners: Indices, extents: Indices) -> Indices:
    return np.stack([owners, extents[:, 0], extents[:, 1]])


def _groups(
    geometry: Geometry,
    num_tokens: Indices,
    num_rows: Indices,
    extent_of: Indices,
    rows: Indices,
    B: int,
) -> Groups:
    """Siblings together where that pays."""
    alone: Groups = np.zeros((0, geometry.group_size), dtype=np.int32)
    if not len(rows):
        return alone
    deepest = deepest_shared(num_rows, extent_of, rows, B)
    groups = sibling_groups(deepest, geometry.group_size)
    return groups if are_worth_it(geometry, groups, deepest, num_tokens) else alone


def is_shared(
    geometry: Geometry, B: int, num_tokens: Indices, num_rows: Indices, num_readers: Indices
) -> NDArray[np.bool_]:
    """Whether each extent is faster read once for all its rows, in a batch of B, than by each of
    its readers: groups, and rows that are alone.

    | bytes        | once for all           | by each reader                             |
    |--------------|------------------------|--------------------------------------------|
    | K and V      | tokens * kv            | tokens * kv * max(1, readers / CACHE_RATE) |
    | y and lse    | rows * K * MERGE_BYTES | 0                                          |
    | any of them  | START_BYTES            | 0                                          |

    kv = 2 * K * D * itemsize. Arithmetic counts as the bytes that could be moved meanwhile.
    A batch that does not fill the device waits for tokens that are read one after another, not for
    bytes: units are more programs, and own parts are merged there anyway.
    """
    if splits_for(geometry, B, BLOCK) > 1:
        return num_tokens >= SERIAL_TOKENS
    K, D, G = geometry.K, geometry.D, geometry.H // geometry.K
    kv = 2 * K * D * geometry.itemsize
    per_unit = np.where(num_rows * G <= NARROW, NARROW, WIDE)
    padded = -(-num_rows * G // per_unit) * per_unit * K  # rows of the products
    arithmetic = 4 * padded * num_tokens * D / FLOPS_PER_BYTE
    once = np.maximum(num_tokens * kv, arithmetic) + num_rows * K * MERGE_BYTES
    saved = num_tokens * kv * np.maximum(1, num_readers / CACHE_RATE) - once
    is_worth: NDArray[np.bool_] = saved > 0
    if saved[is_worth].sum() < START_BYTES:
        is_worth[:] = False
    return is_worth


SERIAL_TOKENS = 192  # that take longer one after another than a unit's merging
# fitted to tree and plain times of 140 batches of 32 to 512 rows with 2 to 512 sharers of 16 to
# 4096 tokens; H100, bf16, H=32, K=8, D=128, 2026-11
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
    part, split = expand(num_splits)  # of each (extent, split)
    first_rows = np.cumsum(num_rows) - num_rows
    pair, nth = expand(num_rows[part])  # of each entry
    entry_rows = rows[first_rows[part[pair]] + nth]
    order = np.argsort(entry_rows, kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    counts = np.bincount(entry_rows, minlength=B)
    parts = np.stack([np.cumsum(counts) - counts, counts], axis=1)
    # units: each (extent, split) once for each cut of its rows
    first_entries = np.cumsum(num_rows[part]) - num_rows[part]
    owner, cut = expand(num_cuts[part])
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


def _blocks(pieces: Indices) -> tuple[Indices, Indices, Indices]:
    """Owners, slots and counts of the blocks of pieces [3, m] (owner, slot, tokens)."""
    piece, nth = expand(-(-pieces[2] // BLOCK))
    left = pieces[2][piece] - nth * BLOCK
    return pieces[0][piece], pieces[1][piece] + nth * BLOCK, np.minimum(left, BLOCK)


def _table(
    owners: Indices, slots: Indices, counts: Indices, num_owners: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], Indices]:
    """Tables [num_owners, M] of slots and counts, M >= 1, each owner's blocks in their order, and
    how many each has."""
    order = np.argsort(owners, kind="stable")
    num_blocks = np.bincount(owners, minlength=num_owners)
    owner, place = expand(num_blocks)
    table = np.zeros((2, num_owners, int(num_blocks.max(initial=1))), dtype=np.int32)
    table[:, owner, place] = slots[order], counts[order]
    return table[0], table[1], num_blocks


def _own_table(
    pieces: Indices, tail_blocks: Indices, tail_lens: Indices
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Blocks of the pieces (row, slot, tokens), and the tail's blocks behind them."""
    B = len(tail_lens)
    owners, slots, counts = _blocks(pieces)
    own_slots, own_counts, _ = _table(
        np.concatenate([owners, tail_blocks[0]]),
        np.concatenate([slots, tail_blocks[1]]),
        np.concatenate([counts, np.full(tail_blocks.shape[1], BLOCK)]),
        B,
    )
    own_len = np.bincount(owners, minlength=B) * BLOCK + tail_lens
    return own_slots, own_counts, own_len.astype(np.int32)
