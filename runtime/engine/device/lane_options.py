"""What the sampler on the device has to know of each gen, written when the gen gets its lane.

Masks, ways to stop, biases and constraint tables are shared: lanes name them by number, and each
distinct one is sent once.
Law: numbers given out stay valid; what is replaced by something larger lives until the device is
done with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.codegen.automata.constraint import TokenTable
from sglc.kernels.lane_tensors import RUNNING, ConstraintTables, LaneTensors, bit_mask
from sglc.runtime.engine.device.table_store import TableStore
from sglc.runtime.engine.device.transfer import send
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.request import Sampling
from sglc.runtime.engine.stop import Codes, StopTables
from sglc.runtime.engine.table_rows import TableWalk
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]
NO_STOPS = Sampling()  # a constrained gen ends with its value

WHOLE = (
    "counts", "positions", "states", "status", "may_stop", "top_k", "max_tokens", "min_tokens",
    "mask", "early_mask", "stop_way", "bias_start", "bias_end", "table",
)  # fmt: skip
REAL = ("temperature", "top_p", "min_p", "repetition", "frequency", "presence")


class LaneOptions:
    """`tensors` are the lanes on the device; `codes` [P, V] says on the host what each token does
    in each way to stop, and `stop_way` [lanes] which way is a lane's."""

    def __init__(
        self,
        num_lanes: int,
        tokenizer: Tokenizer,
        vocab_size: int,
        thinking: Sequence[str],
        device: torch.device,
    ) -> None:
        self._device = device
        self._V = vocab_size
        self.tensors = LaneTensors.new(num_lanes, 256, vocab_size, device)
        self._whole, self._real, self._long = _in_blocks(self.tensors)
        self.tensors.eos = bit_mask(sorted(tokenizer.eos_ids), vocab_size).to(device)
        marks = {tokenizer.control_id(name) for name in thinking} - {None}
        self._banned = tokenizer.control_ids - tokenizer.eos_ids
        self._banned |= frozenset(range(tokenizer.vocab_size, vocab_size))
        self._thinking = self._banned & marks
        self._eos = tokenizer.eos_ids
        self._stops = StopTables(
            [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)], tokenizer.eos_ids
        )
        self._masks: dict[tuple[bool, bool, tuple[int, ...] | None], int] = {}
        self._ways: dict[tuple[object, ...], int] = {}
        self._biases: dict[tuple[tuple[int, float], ...], tuple[int, int]] = {(): (0, 0)}
        self._tables = TableStore(max(vocab_size, tokenizer.vocab_size), device)
        self._tables_used: set[int] = set()  # by lanes, as last written
        self._table_of: Indices = np.full(num_lanes, -1, dtype=np.int64)
        self._bias_ids: list[int] = []
        self._bias_values: list[float] = []
        self._replaced: list[object] = []
        self._is_stale = True
        self.codes: Codes = np.zeros((0, vocab_size), dtype=np.uint8)
        self.stop_way: Indices = np.zeros(num_lanes, dtype=np.int64)

    def write(self, jobs: Sequence[GenJob], lanes: Indices) -> None:
        """Tell the device of gens whose next token is to be sampled."""
        self._tables_used = set(self._table_of.tolist())
        whole = np.array([self._whole_options(job) for job in jobs], dtype=np.int32)
        real = np.array([_real_options(job.gen.sampling) for job in jobs], dtype=np.float32)
        seeds = np.array([job.gen.seed & 0xFFFFFFFFFFFFFFFF for job in jobs], dtype=np.uint64)
        self.stop_way[lanes] = whole[:, WHOLE.index("stop_way")]
        self._table_of[lanes] = whole[:, WHOLE.index("table")]
        longest = max(job.growth for job in jobs)
        if longest > self.tensors.sampled.shape[1]:
            self._widen(longest)
        if self._is_stale:
            self._refresh()
        packed = np.concatenate(
            [
                lanes.astype(np.int32)[:, None],
                whole,
                real.view(np.int32),
                seeds.view(np.int32).reshape(-1, 2),
            ],
            axis=1,
        )
        there = send(np.ascontiguousarray(packed.T), self._device)  # [1 + options, n]
        index = there[0].long()
        end = 1 + len(WHOLE)
        self._whole.index_copy_(1, index, there[1:end])
        self._real.index_copy_(1, index, there[end : end + len(REAL)].view(torch.float32))
        self._long.index_copy_(0, index, there[end + len(REAL) :].t().contiguous())
        for job, lane in zip(jobs, lanes.tolist(), strict=True):
            if job.tokens:
                known = send(np.array(job.tokens, dtype=np.int32), self._device)
                self.tensors.sampled[lane, : len(known)] = known

    def _whole_options(self, job: GenJob) -> list[int]:
        sampling = job.gen.sampling
        walk = job.walk if isinstance(job.walk, TableWalk) else None
        known = len(job.tokens)
        bias = self._bias(sampling.logit_bias)
        return [
            known,
            job.node.end + known - 1,
            walk.state if walk is not None else 0,
            RUNNING,
            0,
            sampling.top_k,
            job.growth,
            sampling.min_tokens,
            self._mask(sampling, None),
            self._mask(sampling, sampling.stop_token_ids) if sampling.min_tokens else 0,
            self._way(sampling if job.walk is None else NO_STOPS),
            *bias,
            -1 if walk is None else self._table(walk.table),
        ]

    def _mask(self, sampling: Sampling, early: tuple[int, ...] | None) -> int:
        """The row of tokens that are never sampled; `early` are stop ids before min_tokens."""
        key = (sampling.allows_thinking, sampling.ignore_eos, early)
        row = self._masks.get(key)
        if row is None:
            row = self._masks[key] = len(self._masks)
            ids = set(self._banned - self._thinking if sampling.allows_thinking else self._banned)
            if sampling.ignore_eos or early is not None:
                ids |= self._eos
            ids |= set(early or ())
            bits = bit_mask(sorted(ids), self._V)[None].to(self._device)
            self._replace("masks", bits if row == 0 else torch.cat([self.tensors.masks, bits]))
        return row

    def _way(self, sampling: Sampling) -> int:
        key = (sampling.stop, sampling.stop_token_ids, bool(sampling.stop_regex))
        row = self._ways.get(key)
        if row is None:
            row = self._ways[key] = len(self._ways)
            codes = np.zeros((1, self._V), dtype=np.uint8)
            known = self._stops.codes(sampling)
            codes[0, : len(known)] = known
            self.codes = np.concatenate([self.codes, codes])
            self._replace("stop_codes", torch.from_numpy(self.codes).to(self._device))
        return row

    def _bias(self, bias: tuple[tuple[int, float], ...]) -> tuple[int, int]:
        place = self._biases.get(bias)
        if place is None:
            start = len(self._bias_ids)
            summed: dict[int, float] = {}
            for id, value in bias:
                summed[id] = summed.get(id, 0.0) + value
            self._bias_ids += summed
            self._bias_values += summed.values()
            place = self._biases[bias] = (start, len(self._bias_ids))
            ids = torch.tensor(self._bias_ids, dtype=torch.int32)
            values = torch.tensor(self._bias_values, dtype=torch.float32)
            self._replace("bias_ids", ids.to(self._device))
            self._replace("bias_values", values.to(self._device))
        return place

    def _table(self, table: TokenTable) -> int:
        row = self._tables.row(table, self._tables_used)
        self._tables_used.add(row)
        if self._tables.tensors is not self.tensors.tables:
            self._replace("tables", self._tables.tensors)
        return row

    def _widen(self, longest: int) -> None:
        for name in ("sampled", "logprobs"):
            old = getattr(self.tensors, name)
            wider = old.new_zeros((old.shape[0], max(longest, 2 * old.shape[1])))
            wider[:, : old.shape[1]] = old
            self._replace(name, wider)

    def _replace(self, name: str, value: Tensor | ConstraintTables) -> None:
        self._replaced.append(getattr(self.tensors, name))
        setattr(self.tensors, name, value)
        self._is_stale = True

    def _refresh(self) -> None:
        self.tensors.refresh()
        # what was launched before has read the old ones when this comes back
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        self._replaced.clear()
        self._is_stale = False


def _in_blocks(tensors: LaneTensors) -> tuple[Tensor, Tensor, Tensor]:
    """Make the options views of three tensors, so that one copy each writes all of them: [options,
    lanes] int32 and fp32, and the seeds as [lanes, 2] int32."""
    whole = torch.stack([getattr(tensors, name) for name in WHOLE])
    real = torch.stack([getattr(tensors, name) for name in REAL])
    for names, block in ((WHOLE, whole), (REAL, real)):
        for row, name in enumerate(names):
            setattr(tensors, name, block[row])
    return whole, real, tensors.seeds.view(torch.int32).view(-1, 2)


def _real_options(sampling: Sampling) -> list[float]:
    return [
        sampling.temperature,
        sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty,
        sampling.frequency_penalty,
        sampling.presence_penalty,
    ]


assert {*WHOLE, *REAL} <= {field.name for field in fields(LaneTensors)}
