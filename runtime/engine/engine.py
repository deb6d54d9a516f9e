"""The engine: a tree of token prefixes over one KV pool, and a step that serves all requests at
once.

A step runs one token of every running gen and tokens of requests that are still being prefilled
through the model together; then it samples, reads scores, and ends what is done.
Knows nothing of roles, rows or programs: token ids, seeds and numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch
from torch import Tensor

from sglc.runtime.engine.constrained import Constrained
from sglc.runtime.engine.fixed_forward import FixedForward
from sglc.runtime.engine.forward import Forward
from sglc.runtime.engine.generation import Finished, Generation
from sglc.runtime.engine.host_memory import keep_freed_memory
from sglc.runtime.engine.intake import Intake
from sglc.runtime.engine.job import GenJob, Job, ScoreJob
from sglc.runtime.engine.lanes import Lanes
from sglc.runtime.engine.memory import KVPool, SlotAllocator, slots_for
from sglc.runtime.engine.prefill import PrefillPlanner, Segment
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
from sglc.runtime.engine.step_rows import StepRows, lay_out
from sglc.runtime.engine.tree import Handle, Tree
from sglc.runtime.engine.waiting import WaitingQueue
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.models.transformer import Transformer

# prompt tokens of a step and running requests, by device type
STEP_TOKENS = {"cpu": 512, "cuda": 4096}
MAX_BATCH = {"cpu": 256, "cuda": 1024}


class TreeEngine:
    """Implements `request.Engine` over `model`.

    `kv_memory` is in bytes (None: a share of the free memory), `max_batch` bounds the requests that
    are admitted together, `step_tokens` the prompt tokens of one step. `thinking` names the control
    tokens that a gen may be allowed to sample. `deterministic` makes every result the same bytes in
    any batch.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        kv_memory: int | None = None,
        deterministic: bool = False,
        max_batch: int | None = None,
        step_tokens: int | None = None,
        thinking: Sequence[str] = ("<think>", "</think>"),
    ) -> None:
        config, device = model.config, model.device
        bytes_per_slot = config.kv_elements_per_token * model.dtype.itemsize
        self._max_batch = max_batch or MAX_BATCH.get(device.type, MAX_BATCH["cuda"])
        self._step_tokens = step_tokens or STEP_TOKENS.get(device.type, STEP_TOKENS["cuda"])
        num_slots = slots_for(kv_memory, bytes_per_slot, device)
        self._slots = SlotAllocator(num_slots)
        self._pool = KVPool(
            num_slots,
            config.num_layers,
            config.num_kv_heads,
            config.head_size,
            model.dtype,
            device,
        )
        if device.type == "cpu":
            keep_freed_memory()  # after the pool, whose pages are touched as they are needed
        self._tree = Tree(self._slots)
        self._root = Handle(self._tree, self._tree.root)
        self._queue = WaitingQueue(self._tree.root)
        self._residency = Residency(self._tree, self._queue)
        self._lanes = Lanes(device, self._residency.grow)
        self._constrained = Constrained(tokenizer, device)
        self._generation = Generation(self._lanes, tokenizer, thinking, self._constrained, device)
        self._intake = Intake(
            self._tree, tokenizer, self._constrained, config.context_len, num_slots
        )
        self._scoring = Scoring(self._tree)
        new_forward = FixedForward if deterministic else Forward
        self._forward: FixedForward | Forward = new_forward(model, self._pool)
        self._device = device
        self._jobs: dict[Request, Job] = {}  # unanswered
        self._prefilling: list[Job] = []  # admitted, in order
        self._ready: list[Result] = []  # known before any step
        self.stats = EngineStats()

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

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        assert isinstance(prefix, Handle)
        self._tree.collect()
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
            self._queue.remove(job)
        elif job.is_admitted:
            is_running = isinstance(job, GenJob) and job.lane >= 0
            if isinstance(job, GenJob):
                self._generation.forget(job)
            if not is_running:
                self._prefilling.remove(job)
            self._residency.drop(job)

    @torch.inference_mode()
    def step(self) -> list[Result]:
        begin = perf_counter()
        self._tree.collect()
        results, self._ready = self._ready, []
        self._admit()
        prefill = PrefillPlanner(self._step_tokens).add(self._prefilling)
        if not self._lanes.jobs and not prefill.segments:
            return results
        self._constrained.start_filling([*self._lanes.jobs, *self._prefilling])
        rows = lay_out(self._lanes, prefill, self._pool.scratch, self._device)
        planned = perf_counter()
        logits = self._forward(rows)
        ran = perf_counter()
        self._note_segments(rows.segments)
        results += self._read_scores(rows, logits)
        results += self._sample(rows, logits)
        self.stats.steps += 1
        self.stats.peak_kv_tokens = self._slots.peak_used
        self._note_seconds(begin, planned, ran)
        return results

    def _enqueue(self, job: Job) -> None:
        self._jobs[job.request] = job
        self._queue.push(job)

    def _admit(self) -> None:
        while len(self._prefilling) + len(self._lanes) < self._max_batch:
            job = self._queue.peek()
            if job is None or not self._residency.admit(job):
                break
            self._prefilling.append(job)

    def _note_segments(self, segments: list[Segment]) -> None:
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

    def _read_scores(self, rows: StepRows, logits: Tensor) -> list[Result]:
        reads = [read for read in rows.places if isinstance(read.job, ScoreJob)]
        if not reads:
            return []
        self._scoring.read(reads, logits[[rows.places[read] for read in reads]])
        done = [
            job for job in self._prefilling if isinstance(job, ScoreJob) and job.choices.is_complete
        ]
        return [result for job in done for result in self._finish_score(job)]

    def _finish_score(self, job: ScoreJob) -> list[Result]:
        """`job` has all its values. What is answered is the request of the outer job, when both are
        done."""
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

    def _sample(self, rows: StepRows, logits: Tensor) -> list[Result]:
        """A token for each running gen, and the first one for each whose prefix is complete."""
        reads = [read for read in rows.places if isinstance(read.job, GenJob)]
        if reads:
            starting = [read for read in reads if not read.is_report]
            jobs = [read.job for read in starting if isinstance(read.job, GenJob)]
            for job in jobs:
                if job.num_unreported:
                    reports = [read for read in reads if read.job is job and read.is_report]
                    at = [rows.places[read] for read in reports]
                    self._generation.note_forced(job, logits[at])
            gone = set(jobs)
            self._prefilling = [job for job in self._prefilling if job not in gone]
            places = [*range(len(self._lanes)), *(rows.places[read] for read in starting)]
            logits = logits[places]
            self._lanes.start(jobs)
        elif len(logits) > len(self._lanes):
            logits = logits[: len(self._lanes)]
        if not self._lanes.jobs:
            return []
        self.stats.decoded_tokens += len(self._lanes)
        left = self._generation.advance(logits)
        for job, num_computed in left.forced:
            self._note_forced(len(job.tokens) - num_computed - 1)
            self._residency.resume(job, num_computed)
        self._prefilling[:0] = [job for job, _ in left.forced]
        return [self._finish_gen(over) for over in left.over]

    def _note_forced(self, count: int) -> None:
        self.stats.forced_tokens += count
        self.stats.prefilled_tokens += count

    def _finish_gen(self, over: Finished) -> GenResult:
        job, kept = over.job, over.kept
        del self._jobs[job.request]
        tokens = over.tokens[: kept.num_tokens]
        # the last sampled token was never run
        num_computed = min(kept.num_tokens, len(over.tokens) - 1)
        prefix = self._residency.settle(job, tokens, num_computed)
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

    def _note_seconds(self, begin: float, planned: float, ran: float) -> None:
        seconds, attention = self.stats.seconds, self._forward.attention_seconds
        masks = self._generation.mask_seconds
        spent = {
            "dense": ran - planned - attention,
            "attention": attention,
            "masks": masks,
            "sampling": perf_counter() - ran - masks,
            "planning": planned - begin,
        }
        for phase, more in spent.items():
            seconds[phase] = seconds.get(phase, 0.0) + more
