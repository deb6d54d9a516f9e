"""Decode steps whose rows are the same bits in any batch: each reads its own context, in the order
of positions.

The table of a lane's slots is made when the lane starts, as long as the gen can get, and lies on
the device by lane; from then on a step needs the lanes' positions alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.decode_work import Geometry
from sglc.kernels.lane_tensors import LaneTensors
from sglc.kernels.table_attention import table_attention
from sglc.kernels.table_work import SPAN, TableWork, slots_by_position
from sglc.runtime.engine.device.decode import Batch, DecodeStep, padded_rows
from sglc.runtime.engine.device.forward import Attend
from sglc.runtime.engine.device.lanes import DeviceLanes
from sglc.runtime.engine.device.transfer import send
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.models.transformer import Transformer

Indices = NDArray[np.int64]
WIDTH = 1024  # tokens that tables hold at first


@dataclass(slots=True, kw_only=True)
class TableBatch(Batch):
    """As in `TableWork`: `num_spans` is 0 where a program has all spans of a row."""

    num_spans: int
    num_done: Tensor


class TableDecode(DecodeStep[TableBatch]):
    """For `num_lanes` lanes."""

    def __init__(
        self,
        model: Transformer,
        pool: KVPool,
        tensors: LaneTensors,
        geometry: Geometry,
        num_lanes: int,
    ) -> None:
        super().__init__(model, pool, tensors, deterministic=True)
        self._geometry = geometry
        self._tables = torch.zeros((num_lanes, WIDTH), dtype=torch.int32, device=self._device)
        self._lens: Indices = np.zeros(num_lanes, dtype=np.int64)
        self._serial: Indices = np.full(num_lanes, -1, dtype=np.int64)  # whose table it is

    def load(self, lanes: DeviceLanes, *, samples: bool) -> None:
        rows = lanes.rows
        self._write_tables(lanes)
        B = padded_rows(len(rows))
        num_spans = self._num_spans(B, int(self._lens[rows].max()))
        key = (B, num_spans, samples)
        batch = self._batches.get(key)
        if batch is None:
            num_done = torch.zeros((B, self._geometry.K), dtype=torch.int32, device=self._device)
            batch = self._batches[key] = TableBatch(
                samples, num_done.new_empty(B), num_spans=num_spans, num_done=num_done
            )
        padded = np.full(B, -1, dtype=np.int32)
        padded[: len(rows)] = rows
        batch.rows.copy_(send(padded, self._device))
        self._current = batch

    def _num_spans(self, num_rows: int, longest: int) -> int:
        """Spans that have programs of their own: a power of two; 0 where rows fill the device, or
        none has a second span."""
        geometry = self._geometry
        if longest <= SPAN or num_rows * geometry.K >= 2 * geometry.num_sms:
            return 0
        return 1 << (-(-longest // SPAN) - 1).bit_length()

    def _write_tables(self, lanes: DeviceLanes) -> None:
        """Make the tables of the lanes that started."""
        fresh = lanes.rows[lanes.serial[lanes.rows] != self._serial[lanes.rows]]
        if not len(fresh):
            return
        paths = [lanes.lane(lane).extents() for lane in fresh.tolist()]
        lens = np.array([sum(count for _, count in path) for path in paths], dtype=np.int64)
        if lens.max() > self._tables.shape[1]:
            self._widen(int(lens.max()))
            return self._write_tables(lanes)
        extents = np.array([extent for path in paths for extent in path], dtype=np.int64).T
        places = np.stack([fresh * self._tables.shape[1], lens])
        there = send(np.concatenate([extents, places], axis=1), self._device)
        total, X = int(lens.sum()), extents.shape[1]
        into = slots_by_position(there[:, X:], total)
        self._tables.view(-1)[into] = slots_by_position(there[:, :X], total)
        self._lens[fresh] = lens
        self._serial[fresh] = lanes.serial[fresh]

    def _widen(self, longest: int) -> None:
        """Room for `longest` tokens; all tables are to be made again."""
        width = max(longest, 2 * self._tables.shape[1])
        self._tables = self._tables.new_zeros((len(self._tables), width))
        self._serial.fill(-1)
        self._forget_batches()

    def _see(self, batch: TableBatch, lanes: Tensor) -> tuple[Tensor, Attend]:
        is_taken = batch.rows >= 0
        positions = torch.where(is_taken, self._tensors.positions[lanes], 0)
        slots = torch.where(is_taken, self._tables[lanes, positions.long()], self._pool.scratch)
        index = torch.arange(len(lanes), device=self._device)
        units = torch.stack((index, is_taken, positions, lanes * self._tables.shape[1]), dim=1)
        work = TableWork(units.int(), self._tables.view(-1), batch.num_spans, batch.num_done)
        pool = self._pool

        def attend(layer: int, q: Tensor) -> Tensor:
            return table_attention(q, pool.k[layer], pool.v[layer], work)

        return slots.long(), attend
