"""Who sees what in a decode step on the GPU: what `kernels/decode_attention.py` reads.

A row's slots are three parts. Units are runs of slots with many rows that see all of each. Rows
come in groups of a few, and the near part of a group is a table of blocks that all of its rows see.
The own part is a table of blocks that the row alone reads; its length is on the device and grows by
one a step without the host. `kernels/decode_plan.py` decides what is read where.
Law: each row is shown each slot of its root path exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]
BLOCK = 64  # most slots of an own block
NARROW = 16  # query rows (sequences x query heads a kv head) of a group, or a unit with few
WIDE = 64  # and of a unit with many


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of the attention that is planned for."""

    H: int
    K: int
    D: int
    itemsize: int  # bytes of a number of K and V
    num_sms: int = 132  # multiprocessors of the device

    @property
    def group_size(self) -> int:
        """Most rows of a group: each takes a power of two of query rows."""
        return NARROW >> (self.H // self.K - 1).bit_length()


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """What the host fills of a `DecodeWork`: int32, as long as need be."""

    units: NDArray[np.int32]  # [U, 4]
    entries: NDArray[np.int32]  # [E, 2]
    parts: NDArray[np.int32]  # [B, 2]
    groups: NDArray[np.int32]  # [B', R], B' = 0: all rows are alone
    near_slots: NDArray[np.int32]  # [B', S]
    near_counts: NDArray[np.int32]  # [B', S]
    num_near: NDArray[np.int32]  # [B']
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
    groups [B, R]: the rows of each group, behind them -1; each row of the batch is in one. With
        [0, R] all rows are alone, which is a little faster.
    near_slots, near_counts [B, S]: first slot of each near block of a group, and how many of its
        BLOCK slots hold tokens. num_near [B]: how many blocks; 0 for a row alone.
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
    groups: Tensor
    near_slots: Tensor
    near_counts: Tensor
    num_near: Tensor
    own_slots: Tensor
    own_counts: Tensor
    own_len: Tensor
    partial_y: Tensor
    partial_lse: Tensor
    num_done: Tensor
    num_splits: int

    @property
    def has_groups(self) -> bool:
        return len(self.groups) > 0

    @staticmethod
    def empty(
        geometry: Geometry,
        num_rows: int,
        max_blocks: int,
        max_units: int,
        max_entries: int,
        device: torch.device,
        num_splits: int | None = None,
        max_near: int = 0,
    ) -> DecodeWork:
        """Room for `num_rows` rows, of which none is taken yet; for groups if `max_near`."""
        if num_splits is None:
            num_splits = splits_for(geometry, num_rows, max_blocks)
        num_partials = max_entries + num_rows * (num_splits - 1)
        num_groups = num_rows if max_near else 0

        def ints(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        return DecodeWork(
            units=ints(max_units, 4),
            num_units=ints(1),
            entries=ints(max_entries, 2),
            parts=ints(num_rows, 2),
            groups=ints(num_groups, geometry.group_size),
            near_slots=ints(num_groups, max_near),
            near_counts=ints(num_groups, max_near),
            num_near=ints(num_groups),
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
        for rest in (self.parts, self.num_near, self.own_len):
            rest.zero_()
        if self.has_groups:
            self.groups.copy_(torch.from_numpy(all_groups(plan, len(self.groups))))
        for field in fields(plan):
            if field.name != "groups":
                values = torch.from_numpy(getattr(plan, field.name))
                into = getattr(self, field.name)
                into[tuple(slice(n) for n in values.shape)].copy_(values, non_blocking=True)


def splits_for(geometry: Geometry, num_rows: int, max_blocks: int) -> int:
    """Programs for each row's own part: enough to fill the device."""
    fill = 3 * geometry.num_sms // (2 * num_rows * geometry.K)
    return int(max(1, min(fill, max_blocks, 16)))


def all_groups(plan: DecodePlan, num_rows: int) -> NDArray[np.int32]:
    """The plan's groups [num_rows, R] in a batch of so many rows, of which the plan takes the
    first; the others, all of them where it has no groups, are alone, and behind them come groups
    of none."""
    taken, size = plan.groups.shape
    groups = np.full((num_rows, size), -1, dtype=np.int32)
    groups[:taken] = plan.groups
    others = np.arange(len(plan.own_len) if taken else 0, num_rows)
    groups[taken : taken + len(others), 0] = others
    return groups
