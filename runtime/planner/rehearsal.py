"""A run without a model: the engine's own schedule, tree and memory, and gens that write at once
what `Writer` says.

What it counts is what a run counts, where gens are as long as they are here; that is how the
planner knows the trie, the steps and the memory of a batch beforehand. A step costs the requests
that begin and end in it, however many run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sglc.kernels.tree_attention import BLOCK
from sglc.runtime.engine.device.turns import Turns
from sglc.runtime.engine.job import GenJob, Job, ScoreJob
from sglc.runtime.engine.last_token import Finished
from sglc.runtime.engine.prefill import Prefill
from sglc.runtime.engine.request import Result, TokenLogprob
from sglc.runtime.engine.schedule import ScheduledEngine
from sglc.runtime.engine.tree import Node
from sglc.runtime.engine.way import Way
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.planner.facts import StepFacts
from sglc.runtime.planner.writing import Writer, Written

UNLIMITED = 1 << 40  # slots
_CPU = torch.device("cpu")


@dataclass(slots=True, eq=False)
class _Run:
    """A gen's stay in the batch, which it leaves at `breaks[place]`; it had no token yet at step
    `origin`, and holds `num_held` slots for its tokens. `job` is None once it has left: what is
    planned for later keeps no prefix alive."""

    job: GenJob | None
    written: Written
    place: int
    origin: int
    num_held: int


class Rehearsal(ScheduledEngine):
    """Implements `request.Engine`. `num_slots` of KV memory, None for as many as are needed; with
    `is_device` as `DeviceEngine`, which does not prefill and decode in one step, if it knew at once
    what came of a step; `way` to share memory, None for the engine's own; `on_step` takes what each
    step did."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        context_len: int,
        num_slots: int | None = None,
        *,
        writer: Writer,
        max_batch: int,
        step_tokens: int,
        is_device: bool = False,
        way: Way | None = None,
        on_step: Callable[[StepFacts], None] | None = None,
    ) -> None:
        super().__init__(
            tokenizer,
            context_len,
            UNLIMITED if num_slots is None else num_slots,
            _CPU,
            max_batch=max_batch,
            step_tokens=step_tokens,
            whole_tails=is_device,
        )
        self.way = way
        self._turns = Turns(step_tokens) if is_device else None
        self._writer = writer
        self._on_step = on_step
        self._random = random.Random(0)
        self._now = 0
        self._running: dict[GenJob, _Run] = {}
        self._paused: dict[GenJob, tuple[Written, int]] = {}  # their forced text is being run
        # what is due, by step
        self._to_grow: dict[int, list[_Run]] = {}
        self._to_leave: dict[int, list[_Run]] = {}
        self._num_read = 0  # tokens of the nodes that running gens see, each once
        self._num_seen = 0  # the same, as often as it is seen; and their own tokens
        self._own = 0  # tokens of the running gens themselves
        self._counted = (0, 0, 0)  # what the last step's facts were told against
        self.naive_peak = 0

    def step(self) -> list[Result]:
        results, prefill = self._next()
        if not self._running and not prefill.segments:
            return results
        num_decodes = len(self._running)
        if self._turns is not None:
            if self._turns.is_prefill_due(len(self._prefilling), num_decodes) and prefill.segments:
                num_decodes = 0
            else:
                prefill = Prefill()
        if num_decodes or self._turns is None:
            self._now += 1
            self._grow()
        reads = self._reads(prefill, decodes=bool(num_decodes))
        self._note_segments(prefill.segments.values())
        results += self._score(prefill)
        results += self._write(prefill, num_decodes)
        self._note_turn(prefill)
        self.stats.steps += 1
        self.stats.kv_tokens = self._slots.num_used
        self.stats.peak_kv_tokens = self._slots.peak_used
        if self._on_step is not None:
            self._on_step(self._facts(prefill, num_decodes, reads))
        return results

    @property
    def _num_running(self) -> int:
        return len(self._running)

    def _forget(self, job: GenJob) -> None:
        self._paused.pop(job, None)
        if job in self._running:
            self._stop(job)

    # ------------------------------------------------------------ what the model would do

    def _score(self, prefill: Prefill) -> list[Result]:
        reads = [read for read in prefill.reads if isinstance(read.job, ScoreJob)]
        for read in reads:
            assert isinstance(read.job, ScoreJob)
            choices = read.job.choices
            values = [-1 - self._random.random() for _ in choices.children[read.entry]]
            choices.read(read.entry, values)
        return self._finish_scores() if reads else []

    def _admit(self) -> None:
        before = len(self._prefilling)
        super()._admit()
        if self._turns is not None:
            for job in self._prefilling[before:]:
                self._turns.add(job)

    def _note_turn(self, prefill: Prefill) -> None:
        if self._turns is None:
            return
        if prefill.segments:
            self._turns.note_prefill(prefill.num_rows, len(self._prefilling))
        else:
            self._turns.note_decode(len(self._prefilling))

    def _write(self, prefill: Prefill, num_decodes: int) -> list[Result]:
        """A token for each running gen, and the first one for each whose prefix is complete."""
        starting = [
            read.job
            for read in prefill.reads
            if isinstance(read.job, GenJob) and not read.is_report
        ]
        if starting:
            gone: set[Job] = set(starting)
            self._prefilling = [job for job in self._prefilling if job not in gone]
        for job in starting:
            self._start(job)
        self.stats.decoded_tokens += num_decodes + len(starting)
        self._own += num_decodes + len(starting)
        results: list[Result] = []
        back: list[Job] = []
        for run in self._to_leave.pop(self._now, ()):
            if run.job is not None:
                self._leave(run.job, run, results, back)
        self._prefilling[:0] = back
        return results

    def _start(self, job: GenJob) -> None:
        assert job.tail is not None
        paused = self._paused.pop(job) if job in self._paused else None
        written, place = paused or (self._writer.write(job), 0)
        known = len(job.tokens)
        num_held = sum(count for _, count in job.tail.extents)
        run = _Run(job, written, place, self._now - known - 1, num_held)
        self._running[job] = run
        end = max(known + 1, written.breaks[place][0])
        self._to_leave.setdefault(run.origin + end, []).append(run)
        self._plan_growth(run)
        for node in job.node.path():
            node.num_running += 1
            if node.num_running == 1:
                self._num_read += len(node.tokens)
        self._num_seen += job.node.end
        self._own += known

    def _leave(self, job: GenJob, run: _Run, results: list[Result], back: list[Job]) -> None:
        written = run.written
        count, num_forced = written.breaks[run.place]
        self._stop(job)
        if num_forced:
            job.force(written.tokens[:count], written.tokens[count : count + num_forced])
            self._note_forced(num_forced)
            self._residency.resume(job, count - 1)
            self._paused[job] = written, run.place + 1
            back.append(job)
            if self._turns is not None:
                self._turns.add(job)
            return
        over = Finished(
            job, written.tokens, written.kept, written.finish_reason, _logprobs(job, written)
        )
        results.append(self._finish_gen(over))

    def _stop(self, job: GenJob) -> None:
        run = self._running.pop(job)
        run.job = None
        for node in job.node.path():
            node.num_running -= 1
            if not node.num_running:
                self._num_read -= len(node.tokens)
        self._num_seen -= job.node.end
        self._own -= self._now - run.origin

    # ------------------------------------------------------------ memory

    def _plan_growth(self, run: _Run) -> None:
        # token number n is run, and needs its slot, in the step that samples the one after it
        self._to_grow.setdefault(run.origin + run.num_held + 2, []).append(run)

    def _grow(self) -> None:
        """Slots for the gens that have filled theirs: as many as an engine gives them."""
        for run in self._to_grow.pop(self._now, ()):
            if run.job is None or run.job.tail is None:
                continue
            count = min(BLOCK, run.job.growth - run.num_held)
            run.job.tail.extents += self._residency.grow(count, run.job.tail)
            run.num_held += count
            self._plan_growth(run)

    # ------------------------------------------------------------ what a step did

    def _reads(self, prefill: Prefill, *, decodes: bool) -> tuple[int, int]:
        """KV tokens that the step's rows see, each once and as often as it is seen."""
        once = self._num_read + self._own if decodes else 0
        often = self._num_seen + self._own if decodes else 0
        counted: set[Node] = set()
        for segment in prefill.segments.values():
            count, before = len(segment), segment.node.start + segment.begin
            often += count * before + count * (count + 1) // 2
            once += max(0, segment.end - segment.node.num_computed)
            node: Node | None = segment.node
            while node is not None and node not in counted:
                counted.add(node)
                once += 0 if decodes and node.num_running else node.num_computed
                node = node.parent
        return once, often

    def _facts(self, prefill: Prefill, num_decodes: int, reads: tuple[int, int]) -> StepFacts:
        stats = self.stats
        counts = stats.recomputed_tokens, stats.scored_tokens, self._residency.num_evicted
        recomputed, scored, evicted = (
            now - before for now, before in zip(counts, self._counted, strict=True)
        )
        self._counted = counts
        naive = self._num_seen + self._own
        naive += sum(job.handle.num_tokens for job in self._prefilling)
        self.naive_peak = max(self.naive_peak, naive)
        return StepFacts(
            prefill_tokens=prefill.num_rows - scored,
            recomputed_tokens=recomputed,
            scored_tokens=scored,
            decode_rows=num_decodes,
            logit_rows=num_decodes + len({(read.node, read.offset) for read in prefill.reads}),
            read_tokens=reads[0],
            seen_tokens=reads[1],
            kv_tokens=self._slots.num_used,
            evicted_tokens=evicted,
        )


def _logprobs(job: GenJob, written: Written) -> tuple[TokenLogprob, ...]:
    """A report of the kept tokens for those who asked for one."""
    count = job.gen.sampling.logprobs
    if count is None:
        return ()
    return tuple(
        TokenLogprob(id, -1.0, ((id, -1.0),) * min(count, 1))
        for id in written.tokens[: written.kept.num_tokens]
    )
