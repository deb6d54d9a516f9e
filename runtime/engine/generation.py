"""The running gens from logits on: sample, look for stops, and say which gens are over and how.

Law: a step costs a few operations on whole batches; only rows that may be over are looked at one by
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.lanes import Lanes
from sglc.runtime.engine.request import TokenLogprob
from sglc.runtime.engine.sampling import Logprobs, Sampler, TokenMasks
from sglc.runtime.engine.stop import ENDS, MAY_STOP, Kept, StopTables, find_stop, keep
from sglc.runtime.model.spec import Tokenizer


@dataclass(frozen=True, slots=True)
class Finished:
    """A gen that is over. `tokens` are all sampled ones; the first `kept.num_tokens` stay."""

    job: GenJob
    tokens: list[int]
    kept: Kept
    finish_reason: str
    logprobs: tuple[TokenLogprob, ...]


class Generation:
    def __init__(
        self, lanes: Lanes, tokenizer: Tokenizer, thinking: Sequence[str], device: torch.device
    ) -> None:
        self._lanes = lanes
        self._device = device
        self._masks = TokenMasks(tokenizer, thinking, device)
        self._token_bytes = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
        self._stops = StopTables(self._token_bytes, tokenizer.eos_ids)
        self._sampler = Sampler([], self._masks, device)
        self._jobs: list[GenJob] = []  # what the sampler was made for
        self._codes = torch.zeros((0, 0), dtype=torch.uint8, device=device)  # [ways to stop, V]
        self._code_keys: tuple[int, ...] = ()
        self._code_rows = torch.zeros(0, dtype=torch.int64, device=device)
        self._logprobs: dict[GenJob, list[TokenLogprob]] = {}

    def advance(self, logits: Tensor) -> list[Finished]:
        """Sample a token for each running gen from its row of `logits` [R, V], which are
        overwritten. Gens that are over leave the batch."""
        lanes = self._lanes
        if self._jobs is not lanes.jobs:
            self._prepare()
        counts = lanes.counts[lanes.active]
        tokens, logprobs = self._sampler.draw(logits, counts, lanes.sampled, lanes.active_tensor)
        lanes.take(tokens)
        codes = self._codes[self._code_rows, tokens].cpu().numpy()  # waits for the device
        if logprobs is not None:
            self._note(logprobs, tokens)
        is_full = lanes.counts[lanes.active] >= self._max_tokens
        finished = []
        for row in np.flatnonzero((codes > 0) | is_full).tolist():
            over = self._check(lanes.jobs[row], int(codes[row]), bool(is_full[row]))
            if over is not None:
                finished.append(over)
        if finished:
            lanes.stop([over.job for over in finished])
            self._jobs = []
        return finished

    def forget(self, job: GenJob) -> None:
        """`job` was cancelled."""
        self._jobs = []
        self._logprobs.pop(job, None)
        self._lanes.stop([job])

    def _prepare(self) -> None:
        jobs = self._lanes.jobs
        self._sampler = Sampler([job.gen for job in jobs], self._masks, self._device)
        self._max_tokens = np.array([job.growth for job in jobs], dtype=np.int64)
        places: dict[int, int] = {}
        tables = [self._stops.codes(job.gen.sampling) for job in jobs]
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

    def _check(self, job: GenJob, code: int, is_full: bool) -> Finished | None:
        """Whether the last token of `job` ends it."""
        lane = job.lane
        count = int(self._lanes.counts[lane])
        tokens: list[int] = self._lanes.sampled[lane, :count].tolist()
        sampling = job.gen.sampling
        pieces = [self._token_bytes[token] for token in tokens]
        stop_at = None
        reason = "stop"
        if code == ENDS:
            pieces.pop()
        else:
            stop_at = find_stop(pieces, sampling) if code == MAY_STOP else None
            if stop_at is None:
                if not is_full:
                    return None
                reason = "length"
        kept = keep(pieces, stop_at)
        logprobs = self._logprobs.pop(job, [])[: kept.num_tokens]
        return Finished(job, tokens, kept, reason, tuple(logprobs))

    def _note(self, logprobs: Logprobs, tokens: Tensor) -> None:
        for index, row in enumerate(logprobs.rows):
            job = self._lanes.jobs[row]
            report = logprobs.of(index, int(tokens[row]), job.gen.sampling.logprobs or 0)
            self._logprobs.setdefault(job, []).append(report)
