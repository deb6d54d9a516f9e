"""The decode step: one token for each of a batch of lanes, without the host once it is launched.

A step reads all that varies from tensors that stay in place: which lanes, who sees what, where the
next token's KV goes. So on a GPU it is captured as a graph, one for each size of batch and of
attention work that comes up twice, and then is one launch; a step whose rows are those of the last
one needs nothing but that launch, since lengths and positions grow on the device.
Law: rows that only pad write to the scratch slot and advance no lane.
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
from sglc.kernels.sample_step import sample_step
from sglc.runtime.engine.device.forward import forward_over
from sglc.runtime.engine.device.transfer import send
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.models.transformer import Transformer

Indices = NDArray[np.int64]
FINE, COARSE = 16, 64  # batch sizes: powers of two to 8, then in these steps, the first to 64


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of a batch and the room for its attention work: what a graph is captured for. A step
    that `samples` ends with the lanes' next tokens, another with the logits."""

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


def padded_rows(count: int) -> int:
    """The batch size that `count` rows run in."""
    if count <= 8:
        return 1 << (count - 1).bit_length()
    step = FINE if count <= 64 else COARSE
    return -(-count // step) * step


def _room(count: int, least: int) -> int:
    """0, or the lowest of least, 4 * least, 16 * least, ... that holds `count`."""
    room = least if count else 0
    while room < count:
        room *= 4
    return room


@dataclass(slots=True)
class Batch:
    """The tensors of one size. `fixed` holds what is written whole each time; `rows` are lanes or
    -1, `steps` [B] is 1 for rows that are taken; `ended` [B, 3] are the rows' tokens, statuses and
    constraint states after the step."""

    samples: bool
    fixed: Tensor
    rows: Tensor
    steps: Tensor
    work: DecodeWork
    logits: Tensor | None = None
    ended: Tensor | None = None
    graph: torch.cuda.CUDAGraph | None = None
    num_runs: int = 0


class DecodeStep:
    """Runs decode steps of `model` over KV in `pool` for lanes `tensors`."""

    def __init__(
        self, model: Transformer, pool: KVPool, tensors: LaneTensors, geometry: Geometry
    ) -> None:
        self._forward = forward_over(model, pool)
        self._pool = pool
        self._tensors = tensors
        self._geometry = geometry
        self._device = model.device
        self._batches: dict[Size, Batch] = {}
        self._memory = torch.cuda.graph_pool_handle() if self._device.type == "cuda" else None
        self._current: Batch | None = None
        self._partials: tuple[Tensor, Tensor] | None = None

    def load(self, lanes: Indices, plan: DecodePlan, *, samples: bool) -> None:
        """Set the rows of the next steps."""
        size = size_of(len(lanes), plan, samples)
        batch = self._batches.get(size)
        if batch is None:
            batch = self._batches[size] = self._new_batch(size)
        self._write(batch, size, lanes, plan)
        self._current = batch

    def run(self) -> Batch:
        """One step of the rows last loaded."""
        batch = self._current
        assert batch is not None
        batch.num_runs += 1
        if batch.graph is not None:
            batch.graph.replay()
            return batch
        if self._memory is not None and batch.num_runs > 1:
            self._capture(batch)
            assert batch.graph is not None
            batch.graph.replay()
            return batch
        self._step(batch)
        return batch

    def _capture(self, batch: Batch) -> None:
        batch.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(batch.graph, pool=self._memory):
            self._step(batch)

    def _step(self, batch: Batch) -> None:
        tensors, work, pool = self._tensors, batch.work, self._pool
        lanes = batch.rows.clamp_min(0).long()
        block = (work.own_len // BLOCK).long()
        slots = work.own_slots.gather(1, block[:, None])[:, 0] + work.own_len % BLOCK
        slots = slots.long()
        work.own_len.add_(batch.steps)

        def attend(layer: int, q: Tensor) -> Tensor:
            return decode_attention(q, pool.k[layer], pool.v[layer], work)

        tokens, positions = tensors.tokens[lanes], tensors.positions[lanes].long()
        batch.logits = self._forward(tokens, positions, slots, attend, None)
        if not batch.samples:
            return
        sample_step(batch.logits, batch.rows, tensors)
        batch.ended = outcome(tensors, lanes)

    def _new_batch(self, size: Size) -> Batch:
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
        return Batch(size.samples, fixed, rows, steps, work)

    def _scratch(self, count: int) -> tuple[Tensor, Tensor]:
        """Room for partial results; batches take turns, so they share it."""
        H, D = self._geometry.H, self._geometry.D
        if self._partials is None or len(self._partials[0]) < count:
            self._partials = (
                torch.empty((count, H, D), device=self._device),
                torch.empty((count, H), device=self._device),
            )
        return self._partials

    def _write(self, batch: Batch, size: Size, lanes: Indices, plan: DecodePlan) -> None:
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


def outcome(tensors: LaneTensors, lanes: Tensor) -> Tensor:
    """What the host reads of a step: the lanes' last tokens, statuses and constraint states
    [R, 3] int32."""
    return torch.stack(
        (tensors.tokens[lanes].int(), tensors.status[lanes], tensors.states[lanes]), dim=1
    )
