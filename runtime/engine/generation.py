"""The running gens from logits on: sample, look for stops, and say which gens are over and how,
and which leave the batch to have forced text run.

Law: a step costs a few operations on whole batches; only rows that may be over are looked at one by
one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sglc.runtime.engine.constrained import Constrained, ConstrainedBatch
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.lanes import Lanes
from sglc.runtime.engine.last_token import LastTokens, Left
from sglc.runtime.engine.request import Sampling
from sglc.runtime.engine.sampling import Logprobs, Sampler, TokenMasks, report
from sglc.runtime.engine.stop import ENDS, MAY_STOP, StopTables
from sglc.runtime.model.spec import Tokenizer

NO_STOPS = Sampling()  # a constrained gen ends with its value


class Generation:
    """`mask_seconds` is what constraints cost in the last step."""

    def __init__(
        self,
        lanes: Lanes,
        tokenizer: Tokenizer,
        thinking: Sequence[str],
        constrained: Constrained,
        device: torch.device,
    ) -> None:
        self._lanes = lanes
        self._constrained = constrained
        self._batch: ConstrainedBatch | None = None
        self.mask_seconds = 0.0
        self._device = device
        self._masks = TokenMasks(tokenizer, thinking, device)
        self._last = LastTokens(tokenizer)
        self._stops = StopTables(self._last.token_bytes, tokenizer.eos_ids)
        self._sampler = Sampler([], [], self._masks, device)
        self._jobs: list[GenJob] = []  # what the sampler was made for
        self._codes = torch.zeros((0, 0), dtype=torch.uint8, device=device)  # [ways to stop, V]
        self._code_keys: tuple[int, ...] = ()
        self._code_rows = torch.zeros(0, dtype=torch.int64, device=device)

    def advance(self, logits: Tensor) -> Left:
        """Sample a token for each running gen from its row of `logits` [R, V], which are
        overwritten."""
        lanes = self._lanes
        self.mask_seconds = 0.0
        if self._jobs is not lanes.jobs:
            self._prepare()
        counts = lanes.counts[lanes.active]
        batch = self._batch
        tokens, logprobs = self._sampler.draw(
            logits, counts, lanes.sampled, lanes.active_tensor, batch
        )
        lanes.take(tokens)
        codes = self._codes[self._code_rows, tokens].cpu().numpy()  # waits for the device
        if logprobs is not None:
            self._note(logprobs, tokens)
        is_full = lanes.counts[lanes.active] >= self._max_tokens
        may_end = (codes > 0) | is_full
        if batch is not None:
            may_end[batch.take(tokens.cpu().numpy())] = True
        rows = np.flatnonzero(may_end).tolist()
        left = Left()
        if rows:
            self._settle()
        for row in rows:
            self._look(row, int(codes[row]), left)
        gone = [over.job for over in left.over] + [job for job, _ in left.forced]
        if gone:
            lanes.stop(gone)
            self._dissolve()
        self.mask_seconds = batch.seconds if batch is not None else 0.0
        return left

    def note_forced(self, job: GenJob, logits: Tensor) -> None:
        """`logits` [N, V] are those from which the last N tokens of `job` would have been
        sampled, had they not been forced."""
        ids = job.tokens[-len(logits) :]
        count = job.gen.sampling.logprobs or 0
        tokens = torch.tensor(ids, dtype=torch.int64).to(logits.device)
        found = report(list(range(len(ids))), logits, tokens, count)
        self._last.note(job, [found.of(index, id, count) for index, id in enumerate(ids)])

    def forget(self, job: GenJob) -> None:
        """`job`, in a lane or not, was cancelled."""
        self._last.forget(job)
        if job.lane >= 0:
            self._settle()
            self._dissolve()
            self._lanes.stop([job])

    def _settle(self) -> None:
        if self._batch is not None:
            self._batch.settle()

    def _dissolve(self) -> None:
        """The set of rows has changed, and walks may go on without the batch."""
        self._jobs, self._batch = [], None

    def _prepare(self) -> None:
        self._settle()
        jobs = self._lanes.jobs
        self._batch = self._constrained.batch(jobs)
        options = [job.gen.sampling for job in jobs]
        seeds = [job.gen.seed for job in jobs]
        self._sampler = Sampler(options, seeds, self._masks, self._device)
        self._max_tokens = np.array([job.growth for job in jobs], dtype=np.int64)
        tables = [
            self._stops.codes(job.gen.sampling if job.walk is None else NO_STOPS) for job in jobs
        ]
        unique = {id(table): table for table in tables}
        places = {key: place for place, key in enumerate(unique)}
        if tuple(unique) != self._code_keys:
            stacked = np.stack(list(unique.values())) if unique else np.zeros((0, 0), np.uint8)
            self._codes = torch.from_numpy(stacked).to(self._device)
            self._code_tables = list(unique.values())  # alive, so that their ids stay theirs
            self._code_keys = tuple(unique)
        rows = [places[id(table)] for table in tables]
        self._code_rows = torch.tensor(rows, dtype=torch.int64).to(self._device)
        self._jobs = jobs

    def _look(self, row: int, code: int, left: Left) -> None:
        """Note it in `left` if the gen of `row` leaves the batch after its last token."""
        job = self._lanes.jobs[row]
        tokens: list[int] = self._lanes.sampled[job.lane, : self._lanes.counts[job.lane]].tolist()
        self._last.look(job, tokens, left, ends=code == ENDS, may_stop=code == MAY_STOP)

    def _note(self, logprobs: Logprobs, tokens: Tensor) -> None:
        for index, row in enumerate(logprobs.rows):
            job = self._lanes.jobs[row]
            report = logprobs.of(index, int(tokens[row]), job.gen.sampling.logprobs or 0)
            self._last.note(job, [report])
