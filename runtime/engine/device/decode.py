"""The decode step: one token for each of a batch of lanes, without the host once it is launched.

A step reads all that varies from tensors that stay in place: which lanes, who sees what, where the
next token's KV goes. So on a GPU it is captured as a graph, one for each size of batch and of
attention work that comes up twice, and then is one launch; a step whose rows are those of the last
one needs nothing but that launch, since lengths and positions grow on the device.
How rows see what they see is a subclass's: `shared_decode.py`, `table_decode.py`.
Law: rows that only pad write to the scratch slot and advance no lane.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from sglc.kernels.lane_tensors import LaneTensors
from sglc.kernels.sample_step import sample_step
from sglc.runtime.engine.device.forward import Attend, forward_over
from sglc.runtime.engine.device.lanes import DeviceLanes
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.models.transformer import Transformer

FINE, COARSE = 16, 64  # batch sizes: powers of two to 8, then in these steps, the first to 64


def padded_rows(count: int) -> int:
    """The batch size that `count` rows run in."""
    if count <= 8:
        return 1 << (count - 1).bit_length()
    step = FINE if count <= 64 else COARSE
    return -(-count // step) * step


@dataclass(slots=True)
class Batch:
    """The tensors of one size. `rows` [B] int32 are lanes or -1; a step that `samples` ends with
    the rows' tokens, statuses and constraint states, `ended` [B, 3], another with the logits."""

    samples: bool
    rows: Tensor
    logits: Tensor | None = None
    ended: Tensor | None = None
    graph: torch.cuda.CUDAGraph | None = None
    num_runs: int = 0


BatchT = TypeVar("BatchT", bound=Batch)


class DecodeStep(Generic[BatchT]):
    """Runs decode steps of `model` over KV in `pool` for lanes `tensors`. A subclass makes batches
    and says what their rows see."""

    def __init__(
        self, model: Transformer, pool: KVPool, tensors: LaneTensors, *, deterministic: bool = False
    ) -> None:
        self._forward = forward_over(model, pool, deterministic=deterministic)
        self._pool = pool
        self._tensors = tensors
        self._device = model.device
        self._batches: dict[Hashable, BatchT] = {}
        self._memory = torch.cuda.graph_pool_handle() if self._device.type == "cuda" else None
        self._current: BatchT | None = None

    def load(self, lanes: DeviceLanes, *, samples: bool) -> None:
        """Set the rows of the next steps."""
        raise NotImplementedError

    def _see(self, batch: BatchT, lanes: Tensor) -> tuple[Tensor, Attend]:
        """The slots [B] int64 of the next tokens of `batch`, and the attention of its step. `lanes`
        [B] int64 are its rows', or 0. Captured with the step."""
        raise NotImplementedError

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

    def _forget_batches(self) -> None:
        """What batches read is replaced: make them anew."""
        if self._device.type == "cuda":
            # their graphs may still run, and memory for graphs is not given to others after them
            torch.cuda.current_stream(self._device).synchronize()
            self._memory = torch.cuda.graph_pool_handle()
        self._batches.clear()

    def _capture(self, batch: BatchT) -> None:
        batch.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(batch.graph, pool=self._memory):
            self._step(batch)

    def _step(self, batch: BatchT) -> None:
        tensors = self._tensors
        lanes = batch.rows.clamp_min(0).long()
        slots, attend = self._see(batch, lanes)
        tokens, positions = tensors.tokens[lanes], tensors.positions[lanes].long()
        batch.logits = self._forward(tokens, positions, slots, attend, None)
        if not batch.samples:
            return
        sample_step(batch.logits, batch.rows, tensors)
        batch.ended = outcome(tensors, lanes)


def outcome(tensors: LaneTensors, lanes: Tensor) -> Tensor:
    """What the host reads of a step: the lanes' last tokens, statuses and constraint states
    [R, 3] int32."""
    return torch.stack(
        (tensors.tokens[lanes].int(), tensors.status[lanes], tensors.states[lanes]), dim=1
    )
