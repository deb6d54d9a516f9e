"""Decode steps that read what several rows see once for all of them.

Who reads what together depends on the batch, so the last bits of a row do too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.decode_attention import decode_attention
from sglc.kernels.decode_work import (
    BLOCK,
    DecodePlan,
    DecodeWork,
    Geometry,
    all_groups,
    splits_for,
)
from sglc.kernels.lane_tensors import LaneTensors
from sglc.runtime.engine.device.decode import Batch, DecodeStep, padded_rows
from sglc.runtime.engine.device.forward import Attend
from sglc.runtime.engine.device.lanes import DeviceLanes
from sglc.runtime.engine.device.sight import plan_rows
from sglc.runtime.engine.device.transfer import send
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.models.transformer import Transformer

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of a batch and the room for its attention work: what a graph is captured for."""

    rows: int
    blocks: int
    units: int
    entries: int
    near: int
    samples: bool


def size_of(num_rows: int, plan: DecodePlan, samples: bool) -> Size:
    return Size(
        padded_rows(num_rows),
        _room(plan.own_slots.shape[1], 16),
        _room(len(plan.units), 16),
        _room(len(plan.entries), 64),
        _room(plan.near_slots.shape[1], 4) if len(plan.groups) else 0,
        samples,
    )


def _room(count: int, least: int) -> int:
    """0, or the lowest of least, 4 * least, 16 * least, ... that holds `count`."""
    room = least if count else 0
    while room < count:
        room *= 4
    return room


@dataclass(slots=True, kw_only=True)
class SharedBatch(Batch):
    """`fixed` holds what is written whole each time; `steps` [B] is 1 for rows that are taken."""

    fixed: Tensor
    steps: Tensor
    work: DecodeWork


class SharedDecode(DecodeStep[SharedBatch]):
    """Without `tree` each row reads all it sees for itself."""

    def __init__(
        self,
        model: Transformer,
        pool: KVPool,
        tensors: LaneTensors,
        geometry: Geometry,
        *,
        tree: bool = True,
    ) -> None:
        super().__init__(model, pool, tensors)
        self._geometry = geometry
        self._has_tree = tree
        self._partials: tuple[Tensor, Tensor] | None = None

    def load(self, lanes: DeviceLanes, *, samples: bool) -> None:
        plan = plan_rows(lanes, self._geometry, tree=self._has_tree)
        size = size_of(len(lanes.rows), plan, samples)
        batch = self._batches.get(size)
        if batch is None:
            batch = self._batches[size] = self._new_batch(size)
        self._write(batch, size, lanes.rows, plan)
        self._current = batch

    def _see(self, batch: SharedBatch, lanes: Tensor) -> tuple[Tensor, Attend]:
        work, pool = batch.work, self._pool
        block = (work.own_len // BLOCK).long()
        slots = work.own_slots.gather(1, block[:, None])[:, 0] + work.own_len % BLOCK
        slots = slots.long()
        work.own_len.add_(batch.steps)

        def attend(layer: int, q: Tensor) -> Tensor:
            return decode_attention(q, pool.k[layer], pool.v[layer], work)

        return slots, attend

    def _new_batch(self, size: Size) -> SharedBatch:
        B, device = size.rows, self._device
        num_groups = B if size.near else 0
        sizes = [2 * B, B, B, B, 1, num_groups, num_groups * self._geometry.group_size]
        fixed = torch.zeros(sum(sizes), dtype=torch.int32, device=device)
        parts, own_len, rows, steps, num_units, num_near, groups = torch.split(fixed, sizes)
        num_splits = splits_for(self._geometry, B, size.blocks)
        y, lse = self._scratch(size.entries + B * num_splits)

        def ints(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        work = DecodeWork(
            units=ints(size.units, 4),
            num_units=num_units,
            entries=ints(size.entries, 2),
            parts=parts.view(B, 2),
            groups=groups.view(-1, self._geometry.group_size),
            near_slots=ints(num_groups, size.near),
            near_counts=ints(num_groups, size.near),
            num_near=num_near,
            own_slots=ints(B, size.blocks),
            own_counts=ints(B, size.blocks),
            own_len=own_len,
            partial_y=y,
            partial_lse=lse,
            num_done=ints(B, self._geometry.K),
            num_splits=num_splits,
        )
        return SharedBatch(size.samples, rows, fixed=fixed, steps=steps, work=work)

    def _scratch(self, count: int) -> tuple[Tensor, Tensor]:
        """Room for partial results; batches take turns, so they share it."""
        H, D = self._geometry.H, self._geometry.D
        if self._partials is None or len(self._partials[0]) < count:
            self._partials = (
                torch.empty((count, H, D), device=self._device),
                torch.empty((count, H), device=self._device),
            )
        return self._partials

    def _write(self, batch: SharedBatch, size: Size, lanes: Indices, plan: DecodePlan) -> None:
        """Copy rows and plan in: one transfer, and a copy on the device for each table."""
        B, R, M = size.rows, len(lanes), plan.own_slots.shape[1]
        N, S = plan.near_slots.shape
        fixed = np.zeros(5 * B + 1, dtype=np.int32)
        fixed[: 2 * R] = plan.parts.reshape(-1)
        fixed[2 * B : 2 * B + R] = plan.own_len
        fixed[3 * B : 4 * B] = -1
        fixed[3 * B : 3 * B + R] = lanes
        fixed[4 * B : 4 * B + R] = 1
        fixed[5 * B] = len(plan.units)
        if N:
            num_near = np.zeros(B, dtype=np.int32)
            num_near[:N] = plan.num_near
            fixed = np.concatenate([fixed, num_near, all_groups(plan, B).reshape(-1)])
        slots = np.full((B, M), self._pool.scratch, dtype=np.int32)
        slots[:R] = plan.own_slots
        work = batch.work
        pieces: list[tuple[Tensor, NDArray[np.int32]]] = [
            (batch.fixed, fixed),
            (work.own_slots[:, :M], slots),
            (work.own_counts[:R, :M], plan.own_counts),
            (work.near_slots[:N, :S], plan.near_slots),
            (work.near_counts[:N, :S], plan.near_counts),
            (work.units[: len(plan.units)], plan.units),
            (work.entries[: len(plan.entries)], plan.entries),
        ]
        there = send(np.concatenate([values.reshape(-1) for _, values in pieces]), self._device)
        at = 0
        for into, values in pieces:
            if values.size:
                into.copy_(there[at : at + values.size].view(values.shape))
                at += values.size
