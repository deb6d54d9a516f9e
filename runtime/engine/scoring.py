"""Score requests from logits on: log-probabilities of choices, and the unconditional ones.

Unconditional values depend on the choice alone; those of recent choices are kept, so a `select`
that is run for every row scores its choices after the start token once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sglc.runtime.engine.job import ScoreJob
from sglc.runtime.engine.prefill import Read
from sglc.runtime.engine.request import ScoreRequest, ScoreResult
from sglc.runtime.engine.tree import Handle, Tree

Choice = tuple[int, ...]
MAX_KEPT = 100_000  # choices whose unconditional values are kept


class Scoring:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._unconditional: dict[Choice, tuple[float, ...]] = {(): ()}

    def start_job(self, job: ScoreJob, start: Handle | None) -> ScoreJob | None:
        """The job that scores what is not known yet of `job`'s choices after `start`."""
        if not job.score.unconditional:
            return None
        known = self._unconditional
        job.unconditional = {c: known[c] for c in job.score.choices if c in known}
        choices = tuple(dict.fromkeys(c for c in job.score.choices if c not in known))
        if not choices:
            return None
        assert start is not None
        ends = [self._tree.extend(start.node, choice) for choice in choices]
        request = ScoreRequest(start, choices, order=job.order)
        inner = ScoreJob(request, start, ends)
        inner.outer = job
        return inner

    def read(self, reads: Sequence[Read], logits: Tensor) -> None:
        """Take the scores of `reads`, whose rows are `logits` [R, V]."""
        jobs = [(read.job.choices, read.entry) for read in reads if isinstance(read.job, ScoreJob)]
        counts = [len(choices.children[entry]) for choices, entry in jobs]
        tokens = [choices.tokens[e] for choices, entry in jobs for e in choices.children[entry]]
        rows = torch.arange(len(jobs)).repeat_interleave(torch.tensor(counts)).to(logits.device)
        values = logits.log_softmax(-1)[rows, torch.tensor(tokens).to(logits.device)].tolist()
        at = 0
        for (choices, entry), count in zip(jobs, counts, strict=True):
            choices.read(entry, values[at : at + count])
            at += count

    def keep_unconditional(self, inner: ScoreJob) -> None:
        """`inner` is complete: its values are known from now on, and `inner.outer` gets them."""
        values = dict(zip(inner.score.choices, inner.choices.result(), strict=True))
        if len(self._unconditional) + len(values) > MAX_KEPT:
            self._unconditional = {(): ()}
        self._unconditional.update(values)
        assert inner.outer is not None
        inner.outer.unconditional.update(values)

    def result(self, job: ScoreJob) -> ScoreResult:
        """Of a job that is complete, its start job included."""
        unconditional = None
        if job.score.unconditional:
            unconditional = tuple(job.unconditional[choice] for choice in job.score.choices)
        prefixes = tuple(job.ends)
        if job.is_copy:
            prefix = self._tree.extend(self._tree.root, job.node.tokens)
            prefixes = tuple(self._tree.extend(prefix.node, c) for c in job.score.choices)
        return ScoreResult(job.score, job.choices.result(), unconditional, prefixes)
