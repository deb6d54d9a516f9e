"""Who sees what in a prefill on the GPU: what `kernels/prefill_attention.py` reads.

A segment is a run of new tokens that follow one another; its KV, and that of its root path, lies in
extents of slots. Each extent is known by the position of its first token, so one rule is enough for
causal segments, forks and tries of choices alike.
Law: a query sees the tokens of its segment's extents whose position is at most its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.ragged import expand

Indices = NDArray[np.int64]
QUERIES = 128  # query rows (positions x query heads a kv head) of a program


@dataclass(frozen=True, slots=True)
class PrefillPlan:
    """What the host fills of a `PrefillWork`: int32, as long as need be."""

    units: NDArray[np.int32]  # [U, 5]
    extents: NDArray[np.int32]  # [X, 3]


@dataclass(frozen=True, slots=True)
class PrefillWork:
    """Tensors of fixed size, int32.

    units [U, 5]: first row of q, number of rows, position of the first row's token, first extent,
        end of the extents. Those from `num_units` [1] on are not looked at.
    extents [X, 3]: first slot, number of slots, position of the first slot's token.
    """

    units: Tensor
    num_units: Tensor
    extents: Tensor

    @staticmethod
    def empty(max_units: int, max_extents: int, device: torch.device) -> PrefillWork:
        def ints(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        return PrefillWork(ints(max_units, 5), ints(1), ints(max_extents, 3))

    @staticmethod
    def of(plan: PrefillPlan, device: torch.device) -> PrefillWork:
        """Just large enough for `plan`."""
        work = PrefillWork.empty(len(plan.units), len(plan.extents), device)
        work.load(plan)
        return work

    def load(self, plan: PrefillPlan) -> None:
        """Copy `plan` in, which must fit."""
        self.num_units.fill_(len(plan.units))
        for field in fields(plan):
            values = torch.from_numpy(getattr(plan, field.name))
            getattr(self, field.name)[: len(values)].copy_(values, non_blocking=True)


def cut_rows(num_rows: Indices, most: int) -> tuple[Indices, Indices, Indices]:
    """Cut runs of `num_rows` [n] rows into units of `most` at most: the run of each unit, its first
    row there, and its number of rows."""
    run, within = expand(-(-num_rows // most))
    first = within * most
    return run, first, np.minimum(most, num_rows[run] - first)


def plan_prefill(
    group: int, segments: Indices, extent_ends: Indices, extents: Indices
) -> PrefillPlan:
    """Plan segments [n, 3] (first row of q, number of rows, position of the first row's token).

    Segment i sees extents[extent_ends[i - 1] : extent_ends[i]], [X, 2] of slot and number of slots,
    which hold its root path from position 0 on and its own tokens, in order. `group` is the number
    of query heads a kv head. The units with most to do come first.
    """
    tokens = extents[:, 1]
    num_extents = np.diff(extent_ends, prepend=0)
    first_extents = extent_ends - num_extents
    before = np.cumsum(tokens) - tokens
    positions = before - np.repeat(before[first_extents], num_extents)
    segment, first, count = cut_rows(segments[:, 1], QUERIES // group)
    position = segments[segment, 2] + first
    units = np.stack(
        [
            segments[segment, 0] + first,
            count,
            position,
            first_extents[segment],
            extent_ends[segment],
        ],
        axis=1,
    )
    units = units[np.argsort(-(position + count), kind="stable")]
    placed = np.concatenate([extents, positions[:, None]], axis=1)
    return PrefillPlan(units.astype(np.int32), placed.astype(np.int32))
