"""Which requests run when, and in what memory: an engine but for the running itself.

Requests become jobs and wait; each step admits what surely fits, depth-first over the tree, and
says which of their tokens are run next. Whoever runs them tells what came of it.
Law: nothing here depends on what the model says but through the tokens that gens are told to have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from sglc.runtime.engine.admission import Admission
from sglc.runtime.engine.chains import shorten
from sglc.runtime.engine.constrained import Constrained
from sglc.runtime.engine.intake import Intake
from sglc.runtime.engine.job import GenJob, Job, ScoreJob
from sglc.runtime.engine.last_token import Finished
from sglc.runtime.engine.memory import SlotAllocator
from sglc.runtime.engine.outlook import Outlook
from sglc.runtime.engine.prefill import Prefill, PrefillPlanner, Segment
from sglc.runtime.engine.request import (
    EngineStats,
    GenResult,
    Prefix,
    Request,
    RequestError,
    Result,
)
from sglc.runtime.engine.residency import Residency
from sglc.runtime.engine.scoring import Scoring
from sglc.runtime.engine.tree import Handle, Tree
from sglc.runtime.engine.waiting import WaitingQueue
from sglc.runtime.engine.way import Limits, Way
from sglc.runtime.model.spec import Tokenizer


class ScheduledEngine:
    """All of `request.Engine` but `step`, for contexts of `context_len` tokens and memory for
    `num_slots`; with `whole_tails` gens get the slots of all their tokens when they are admitted,
    and chains of gens that nobody else can come to become one node. Unless requests `share`, each
    has the KV of its whole context for itself: for measuring. Its `way` to share memory that is
    short is None where it is found out when a run begins what serves its rows best.

    A subclass's step begins with `_next`, runs the prefill and a token of each running gen, and
    ends with `_note_segments`, `_finish_scores` and `_finish_gen`."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        context_len: int,
        num_slots: int,
        device: torch.device,
        *,
        max_batch: int,
        step_tokens: int,
        whole_tails: bool = False,
        share: bool = True,
    ) -> None:
        self._is_device = whole_tails
        self.max_batch = max_batch
        self.way: Way | None = None if share else Way.SAVE_STEPS
        self._is_undecided = False
        self._step_tokens = step_tokens
        self._slots = SlotAllocator(num_slots, spread=whole_tails)
        self._tree = Tree(self._slots)
        self._root = Handle(self._tree, self._tree.root)
        self._queue = WaitingQueue(self._tree.root)
        self._admission = Admission(self._tree, self._queue)
        self._residency = Residency(self._tree, self._admission, whole_tails=whole_tails)
        self.stats = EngineStats()
        self._constrained = Constrained(tokenizer, device, self.stats.notes)
        self._intake = Intake(
            self._tree, tokenizer, self._constrained, context_len, num_slots, share=share
        )
        self._scoring = Scoring(self._tree)
        self._jobs: dict[Request, Job] = {}  # unanswered
        self._prefilling: list[Job] = []  # admitted, in order
        self._ready: list[Result] = []  # known before any step

    @property
    def root(self) -> Prefix:
        return self._root

    @property
    def is_idle(self) -> bool:
        return not (self._jobs or self._ready)

    @property
    def num_kv_tokens(self) -> int:
        """Slots in use now."""
        self._tree.collect()
        return self._slots.num_used

    def expect(self, outlook: Outlook | None) -> None:
        self._admission.outlook = None if self.way is Way.SAVE_STEPS else outlook
        # of rows that do not go on, nothing is computed twice depth-first
        self._admission.way = Way.SAVE_STEPS if outlook is None else self.way or Way.SAVE_STEPS
        self._is_undecided = outlook is not None and self.way is None

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        assert isinstance(prefix, Handle)
        self._tree.collect()
        if self._is_device:
            shorten(self._tree, prefix.node)
        return self._tree.extend(prefix.node, tokens)

    def submit(self, request: Request) -> None:
        self.stats.prompt_tokens += request.prefix.num_tokens
        job = self._intake.job(request)
        if isinstance(job, RequestError):
            self._ready.append(job)
            return
        if isinstance(job, GenJob):
            text = job.begin()
            if text is not None:
                reason = "length" if job.walk is None else "stop"
                self._ready.append(GenResult(job.gen, job.handle, text, text, (), 0, reason))
                return
            self._note_forced(len(job.tokens))
        if isinstance(job, ScoreJob):
            job.inner = self._scoring.start_job(job, self._intake.start())
            if job.inner is not None:
                job.inner.outer = job
                self._enqueue(job.inner)
            if job.choices.is_complete:  # empty choices only
                self._ready.append(self._scoring.result(job))
                return
        self._enqueue(job)

    def cancel(self, request: Request) -> None:
        job = self._jobs.pop(request, None)
        self._ready = [result for result in self._ready if result.request is not request]
        if job is None:
            return
        if isinstance(job, ScoreJob) and job.inner is not None:
            self.cancel(job.inner.request)
            job.inner = None  # they refer to each other
        if job in self._queue:
            self._admission.remove(job)
        elif job.is_admitted:
            if isinstance(job, GenJob):
                self._forget(job)
            if job in self._prefilling:
                self._prefilling.remove(job)
            self._residency.drop(job)

    # ------------------------------------------------------------ for subclasses

    @property
    def _num_running(self) -> int:
        """Gens that are past their prompts."""
        raise NotImplementedError

    def _forget(self, job: GenJob) -> None:
        """`job`, admitted, was cancelled: let go of what was kept for it."""
        raise NotImplementedError

    def _next(self) -> tuple[list[Result], Prefill]:
        """Admit what fits: the results that were known before any step, and what to prefill."""
        self._tree.collect()
        results, self._ready = self._ready, []
        self._admit()
        return results, PrefillPlanner(self._step_tokens).add(self._prefilling)

    def _note_segments(self, segments: Iterable[Segment]) -> None:
        """The segments' KV is there now; count what it cost."""
        stats = self.stats
        for segment in segments:
            node, end = segment.node, segment.end
            first = max(segment.begin, node.num_computed)
            again = max(0, min(end, node.num_seen) - first)
            new = max(0, end - first) - again
            stats.recomputed_tokens += again
            stats.prefilled_tokens += again
            if segment.is_scored:
                stats.scored_tokens += new
            elif not node.is_generated:
                # a generated token's KV is the last of its decoding, whenever it is computed
                stats.prefilled_tokens += new
            stats.repeated_tokens += min(end, first) - segment.begin
            node.num_computed = max(node.num_computed, end)
            node.num_seen = max(node.num_seen, end)

    def _finish_scores(self) -> list[Result]:
        """The answers to score requests that have all their values now."""
        done = [
            job for job in self._prefilling if isinstance(job, ScoreJob) and job.choices.is_complete
        ]
        return [result for job in done for result in self._finish_score(job)]

    def _finish_gen(self, over: Finished, *, overran: bool = False) -> Result:
        """The answer to a gen that is over. Its last token was never run, unless it `overran`."""
        job, kept = over.job, over.kept
        del self._jobs[job.request]
        if self._admission.outlook is not None:
            self._admission.outlook.lengths.note(job.order[1:], len(over.tokens))
        tokens = over.tokens[: kept.num_tokens]
        num_computed = min(kept.num_tokens, len(over.tokens) - (not overran))
        prefix = self._residency.settle(job, tokens, num_computed)
        if over.failure is not None:
            return RequestError(job.gen, "timeout", over.failure)
        return GenResult(
            job.gen,
            prefix,
            kept.text,
            kept.rest,
            tuple(tokens),
            len(over.tokens) - len(job.forced),
            over.finish_reason,
            over.logprobs,
            sum(place < len(tokens) for place in job.forced),
        )

    def _note_forced(self, count: int) -> None:
        self.stats.forced_tokens += count
        self.stats.prefilled_tokens += count

    # ------------------------------------------------------------ its own business

    def _enqueue(self, job: Job) -> None:
        self._jobs[job.request] = job
        self._admission.push(job, self.stats.steps)

    def _admit(self) -> None:
        if self._is_undecided and self._jobs:
            self._decide()
        while len(self._prefilling) + self._num_running < self.max_batch:
            job = self._admission.next_job(
                self._residency.num_promised,
                self.stats.steps,
                is_running=bool(self._prefilling or self._num_running),
            )
            if job is None or not self._residency.admit(job):
                break
            self._admission.take(job, self.stats.steps)
            self._prefilling.append(job)

    def _decide(self) -> None:
        """The first requests are there: find the way of this run."""
        admission = self._admission
        assert admission.outlook is not None
        self._is_undecided = False
        admission.way = admission.outlook.choose(
            Limits(self._slots.num_slots, self.max_batch, self._step_tokens, self._is_device)
        )
        if admission.way is not Way.SAVE_TOKENS:
            admission.outlook = None

    def _finish_score(self, job: ScoreJob) -> list[Result]:
        """`job` has all its values. What is answered is the request of the outer job, when both are
        done."""
        if job in self._prefilling:
            self._prefilling.remove(job)
        self._residency.release(job)
        if job.outer is not None:
            self._scoring.keep_unconditional(job)
            del self._jobs[job.request]
            job = job.outer
            job.inner = None
        if job.inner is not None or job.is_admitted or not job.choices.is_complete:
            return []
        del self._jobs[job.request]
        return [self._scoring.result(job)]
