"""A step that was launched and whose results the host has not read yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.row_logsumexp import row_logsumexp
from sglc.runtime.engine.device.transfer import Fetch, send
from sglc.runtime.engine.job import GenJob, ScoreJob
from sglc.runtime.engine.prefill import Read
from sglc.runtime.engine.request import TokenLogprob

Indices = NDArray[np.int64]


class ScoreReads:
    """Log-probabilities that score requests asked of a step's logits."""

    def __init__(self, reads: Sequence[Read], logits: Tensor, places: Sequence[int]) -> None:
        """`places[i]` is the row of `logits` [R, V] of read i. The entries count as asked."""
        self.jobs: list[ScoreJob] = []
        self._reads = reads
        self._counts: list[int] = []
        tokens: list[int] = []
        for read in reads:
            assert isinstance(read.job, ScoreJob)
            self.jobs.append(read.job)
            choices = read.job.choices
            choices.ask(read.entry)
            children = choices.children[read.entry]
            tokens += [choices.tokens[entry] for entry in children]
            self._counts.append(len(children))
        rows = np.repeat(np.array(places, dtype=np.int64), self._counts)
        index = send(np.stack([rows, np.array(tokens, dtype=np.int64)]), logits.device)
        picked = logits[index[0], index[1]]
        self.values = Fetch(picked - row_logsumexp(logits)[index[0]])

    def deliver(self) -> None:
        """Give the jobs their values; waits for the device."""
        values = self.values.array().tolist()
        at = 0
        for job, read, count in zip(self.jobs, self._reads, self._counts, strict=True):
            job.choices.read(read.entry, values[at : at + count])
            at += count


class Reports:
    """Log-probabilities of tokens of gens that report them, and of the likeliest others."""

    def __init__(self, jobs: Sequence[GenJob], raw: Tensor) -> None:
        """`raw` [N, V] are the model's logits from which `jobs[i]` gets its next token."""
        self._jobs = jobs
        self._logprobs = raw - row_logsumexp(raw)[:, None]
        most = max(job.gen.sampling.logprobs or 0 for job in jobs)
        ids = _likeliest(self._logprobs, min(most, raw.shape[1]))
        self._top_ids, self._top = Fetch(ids), Fetch(self._logprobs.gather(1, ids))

    def pick(self, tokens: Tensor) -> None:
        """The tokens [N] are known on the device."""
        self._sampled = Fetch(self._logprobs.gather(1, tokens[:, None])[:, 0])
        self._tokens = Fetch(tokens)

    @staticmethod
    def of_forced(reads: Sequence[Read], logits: Tensor, places: Mapping[Read, int]) -> Reports:
        """Of the forced tokens that stand where `reads` report."""
        jobs = []
        tokens = []
        for read in reads:
            job = read.job
            assert isinstance(job, GenJob)
            jobs.append(job)
            tokens.append(job.tokens[0 if read.node is job.node else read.offset + 1])
        device = logits.device
        reports = Reports(jobs, logits[torch.tensor([places[read] for read in reads]).to(device)])
        reports.pick(torch.tensor(tokens).to(device))
        return reports

    def tokens(self) -> list[tuple[GenJob, TokenLogprob]]:
        """Waits for the device."""
        ids, values = self._tokens.array().tolist(), self._sampled.array().tolist()
        top_ids, top = self._top_ids.array().tolist(), self._top.array().tolist()
        found = []
        for i, job in enumerate(self._jobs):
            count = job.gen.sampling.logprobs or 0
            best = tuple(zip(top_ids[i][:count], top[i][:count], strict=True))
            found.append((job, TokenLogprob(ids[i], values[i], best)))
        return found


def _likeliest(logprobs: Tensor, count: int) -> Tensor:
    """The ids [N, count] of each row's highest values, highest first. Ties go to the lowest id,
    which the library's search leaves open: it is given keys of which no two are equal."""
    bits = logprobs.view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()  # as the floats are
    last = logprobs.shape[1] - 1
    keys = (ordered << 32) | (last - torch.arange(last + 1, device=logprobs.device))
    return last - (keys.topk(count, dim=-1).values & 0xFFFFFFFF)


@dataclass(slots=True)
class Flight:
    """`lanes` got a token each, and were those of `serials` then; `outcome` is on its way."""

    lanes: Indices
    serials: Indices
    outcome: Fetch | None = None
    scores: ScoreReads | None = None
    reports: list[Reports] = field(default_factory=list)

    @property
    def is_there(self) -> bool:
        """Reading it would not wait."""
        return all(fetch.is_there for fetch in self._fetches())

    def wait(self) -> float:
        """Until it is there; returns the seconds."""
        begin = perf_counter()
        for fetch in self._fetches():
            fetch.array()
        return perf_counter() - begin

    def _fetches(self) -> list[Fetch]:
        found = [] if self.outcome is None else [self.outcome]
        return found if self.scores is None else [*found, self.scores.values]
