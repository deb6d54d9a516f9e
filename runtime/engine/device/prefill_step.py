"""The prefill step: many segments packed into one batch, and the logits that are read of it.

Nothing of the layout is a tensor of its own on the host: a few transfers carry all of it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.prefill_attention import prefill_attention
from sglc.kernels.prefill_work import PrefillWork, plan_prefill
from sglc.kernels.ragged import expand
from sglc.kernels.table_attention import table_attention
from sglc.kernels.table_work import TableWork, plan_units, slots_by_position
from sglc.runtime.engine.device.forward import Attend, forward_over
from sglc.runtime.engine.device.transfer import send
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.engine.prefill import Prefill, Read
from sglc.runtime.models.transformer import Transformer

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """Tokens, positions and slots [T] of the rows, and `logit_rows` [R]; read i of the prefill has
    its logits in row `places[i]` of those. `segments`, `extent_ends` and `extents` are as
    `plan_prefill` takes them."""

    tokens: Indices
    positions: Indices
    slots: Indices
    logit_rows: Indices
    places: Indices
    segments: Indices
    extent_ends: Indices
    extents: Indices


def lay_out(prefill: Prefill, scratch: int) -> Layout:
    """Number the rows. Tokens that are run again write their KV to slot `scratch`."""
    tokens = array("i")
    segments: list[tuple[int, int, int]] = []
    extents: list[tuple[int, int]] = []
    written: list[tuple[int, int, int]] = []  # first slot, rows, and how much the next row's adds
    extent_ends: list[int] = []
    num_rows = 0
    for segment in prefill.segments.values():
        node, begin, end = segment.node, segment.begin, segment.end
        segment.first_row = num_rows
        segments.append((num_rows, end - begin, node.start + begin))
        num_rows += end - begin
        tokens += node.tokens[begin:end]
        fresh = max(begin, min(node.num_computed, end))
        if fresh > begin:
            written.append((scratch, fresh - begin, 0))
        written += [(slot, count, 1) for slot, count in node.slots(fresh, end)]
        for above in node.path()[:-1]:
            extents += above.extents
        extents += node.slots(0, end)
        extent_ends.append(len(extents))
    _, num_tokens, first_positions = np.array(segments, dtype=np.int64).T
    rows = [
        (segment := prefill.segments[read.node]).first_row + read.offset - segment.begin
        for read in prefill.reads
    ]
    logit_rows, places = np.unique(np.array(rows, dtype=np.int64), return_inverse=True)
    return Layout(
        np.array(tokens, dtype=np.int64),
        _counted(first_positions, num_tokens),
        _counted(*np.array(written, dtype=np.int64).T),
        logit_rows,
        places,
        np.array(segments, dtype=np.int64),
        np.array(extent_ends, dtype=np.int64),
        np.array(extents, dtype=np.int64),
    )


def _counted(firsts: Indices, counts: Indices, step: Indices | None = None) -> Indices:
    """first, first + step (1), ... for each of `firsts`, `counts` of them, one after another."""
    index, within = expand(counts)
    if step is not None:
        within *= step[index]
    found: Indices = firsts[index] + within
    return found


class PrefillStep:
    """Runs prefill steps of `model`, with KV in `pool`; if `deterministic`, a token's row is the
    same bits whatever else is run."""

    def __init__(self, model: Transformer, pool: KVPool, *, deterministic: bool = False) -> None:
        self._forward = forward_over(model, pool, deterministic=deterministic)
        self._attend = self._by_tables if deterministic else self._by_extents
        self._device = model.device
        self._pool = pool
        self._group = model.config.num_heads // model.config.num_kv_heads

    def run(self, prefill: Prefill) -> tuple[Tensor, dict[Read, int]]:
        """Logits [R, V] fp32, and the row of each read in them. KV of all segments is in the pool
        for whatever is launched later."""
        layout = lay_out(prefill, self._pool.scratch)
        arrays = (layout.tokens, layout.positions, layout.slots, layout.logit_rows)
        T, R = len(layout.tokens), len(layout.logit_rows)
        there = send(np.concatenate(arrays), self._device)
        tokens, positions, slots, logit_rows = torch.split(there, [T, T, T, R])
        logits = self._forward(tokens, positions, slots, self._attend(layout), logit_rows)
        places = dict(zip(prefill.reads, layout.places.tolist(), strict=True))
        return logits, places

    def _by_extents(self, layout: Layout) -> Attend:
        plan = plan_prefill(self._group, layout.segments, layout.extent_ends, layout.extents)
        U, X = plan.units.size, plan.extents.size
        num_units = np.array([len(plan.units)], dtype=np.int32)
        planned = send(
            np.concatenate([plan.units.reshape(-1), plan.extents.reshape(-1), num_units]),
            self._device,
        )
        units, extents, count = torch.split(planned, [U, X, 1])
        work = PrefillWork(units.view(-1, 5), count, extents.view(-1, 3))
        pool = self._pool
        return lambda layer, q: prefill_attention(q, pool.k[layer], pool.v[layer], work)

    def _by_tables(self, layout: Layout) -> Attend:
        ends = np.cumsum(layout.extents[:, 1])[layout.extent_ends - 1]  # of the segments' tables
        units = plan_units(self._group, layout.segments, np.concatenate([[0], ends[:-1]]))
        extents = send(np.ascontiguousarray(layout.extents.T), self._device)
        work = TableWork(send(units, self._device), slots_by_position(extents, int(ends[-1])))
        pool = self._pool
        return lambda layer, q: table_attention(q, pool.k[layer], pool.v[layer], work)
