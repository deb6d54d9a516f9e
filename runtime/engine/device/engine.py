"""The engine for a GPU: the same tree, queue and memory as `TreeEngine`, and a step loop that never
waits for what it has just launched.

A step launches either a prefill of many segments or a decode step of all running gens, then reads
what came of the step before the last ones. What a step runs follows from what was launched, not
from tokens; so gens that turn out to be over have run a step or two too many, whose tokens are
dropped and whose KV lies in slots that the gen still held.
Law: for each request the tokens are those of `TreeEngine`, but for the rounding of other kernels.
Everything on the device happens in the order of launches, on one stream: slots that were freed are
written only by what is launched later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from time import perf_counter

import torch
from torch import Tensor

from sglc.kernels.decode_work import Geometry
from sglc.kernels.sample_step import sample_step
from sglc.runtime.engine.constrained import Constrained
from sglc.runtime.engine.device.decode import DecodeStep, outcome
from sglc.runtime.engine.device.endings import Endings, Landed
from sglc.runtime.engine.device.flight import Flight, Reports, ScoreReads
from sglc.runtime.engine.device.lane_options import LaneOptions
from sglc.runtime.engine.device.lanes import DeviceLanes
from sglc.runtime.engine.device.prefill_step import PrefillStep
from sglc.runtime.engine.device.room import kv_room
from sglc.runtime.engine.device.sight import plan_rows
from sglc.runtime.engine.device.transfer import Fetch, send
from sglc.runtime.engine.device.turns import Turns
from sglc.runtime.engine.generation import Finished
from sglc.runtime.engine.intake import Intake
from sglc.runtime.engine.job import GenJob, Job, ScoreJob
from sglc.runtime.engine.memory import KVPool, SlotAllocator, slots_for
from sglc.runtime.engine.prefill import Prefill, PrefillPlanner, Read, Segment
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
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.models.transformer import Transformer

STEP_TOKENS = 8192  # prompt tokens of a step
MAX_BATCH = 1024  # requests that are admitted together
AHEAD = 2  # steps that are launched before the oldest of them is read


class DeviceEngine:
    """Implements `request.Engine` over `model`, whose device may be any (the CPU: for tests).

    Options are `TreeEngine`'s. `ahead` is how many steps are launched before one is read.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        kv_memory: int | None = None,
        max_batch: int = MAX_BATCH,
        step_tokens: int = STEP_TOKENS,
        thinking: Sequence[str] = ("<think>", "</think>"),
        ahead: int = AHEAD,
    ) -> None:
        config, device = model.config, model.device
        self._device = device
        self._max_batch = max_batch
        self._step_tokens = step_tokens
        self._ahead = ahead
        bytes_per_slot = config.kv_elements_per_token * model.dtype.itemsize
        if kv_memory is None and device.type == "cuda":
            kv_memory = kv_room(config, model.dtype, step_tokens, max_batch)
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
        self._tree = Tree(self._slots)
        self._root = Handle(self._tree, self._tree.root)
        self._queue = WaitingQueue(self._tree.root)
        self._residency = Residency(self._tree, self._queue, whole_tails=True)
        self._intake = Intake(
            self._tree, tokenizer, Constrained(tokenizer, device), config.context_len, num_slots
        )
        self._scoring = Scoring(self._tree)
        self._geometry = Geometry(
            config.num_heads, config.num_kv_heads, config.head_size, model.dtype.itemsize
        )
        self._lanes = DeviceLanes(max_batch)
        self._options = LaneOptions(max_batch, tokenizer, config.vocab_size, thinking, device)
        self._endings = Endings(self._lanes, self._options, tokenizer)
        self._prefill_step = PrefillStep(model, self._pool)
        self._decode_step = DecodeStep(model, self._pool, self._options.tensors, self._geometry)
        self._turns = Turns(step_tokens)
        self._jobs: dict[Request, Job] = {}  # unanswered
        self._prefilling: dict[Job, None] = {}  # admitted, in order
        self._flights: deque[Flight] = deque()
        self._loaded: tuple[int, bool] | None = None  # what the decode step was last told
        self._num_reporting = 0  # unanswered gens that report log-probabilities
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
        job = self._jobs.get(request)
        self._ready = [result for result in self._ready if result.request is not request]
        if job is None:
            return
        self._forget(job)
        if isinstance(job, ScoreJob) and job.inner is not None:
            self.cancel(job.inner.request)
            job.inner = None  # they refer to each other
        if job in self._queue:
            self._queue.remove(job)
        elif job.is_admitted:
            if isinstance(job, GenJob):
                self._endings.forget(job)
                if job.lane >= 0:
                    self._lanes.stop([job])
            self._prefilling.pop(job, None)
            self._residency.drop(job)

    @torch.inference_mode()
    def step(self) -> list[Result]:
        begin = perf_counter()
        self._tree.collect()
        results, self._ready = self._ready, []
        self._admit()
        is_launched = self._launch()
        launched = perf_counter()
        waited = 0.0
        flights = self._flights
        ahead = 0 if self._num_reporting else self._ahead
        while flights and (not is_launched or len(flights) > ahead or flights[0].is_there):
            flight = flights.popleft()
            waited += flight.wait()
            results += self._land(flight)
            if not is_launched:
                break
        self._note_seconds(launched - begin, waited, perf_counter() - launched - waited)
        return results

    # ------------------------------------------------------------ launching

    def _enqueue(self, job: Job) -> None:
        self._jobs[job.request] = job
        self._num_reporting += _reports(job)
        self._queue.push(job)

    def _forget(self, job: Job) -> None:
        """`job` is answered, or never will be."""
        del self._jobs[job.request]
        self._num_reporting -= _reports(job)

    def _admit(self) -> None:
        while len(self._prefilling) + len(self._lanes) < self._max_batch:
            job = self._queue.peek()
            if job is None or not self._residency.admit(job):
                break
            self._prefilling[job] = None
            self._turns.add(job)

    def _launch(self) -> bool:
        """Launch the step that is due; False: there is none."""
        num_running = len(self._lanes.rows)
        if self._prefilling and self._turns.is_prefill_due(len(self._prefilling), num_running):
            self._launch_prefill()
        elif num_running:
            self._launch_decode()
        else:
            return False
        self.stats.steps += 1
        self.stats.peak_kv_tokens = self._slots.peak_used
        return True

    def _launch_prefill(self) -> None:
        prefill = PrefillPlanner(self._step_tokens).add(self._prefilling)
        logits, places = self._prefill_step.run(prefill)
        self._turns.note_prefill(prefill.num_rows)
        self._note_segments(prefill.segments.values())
        flight = self._start(prefill, logits, places)
        scored = [read for read in prefill.reads if isinstance(read.job, ScoreJob)]
        if scored:
            flight.scores = ScoreReads(scored, logits, [places[read] for read in scored])
            for job in dict.fromkeys(flight.scores.jobs):
                if job.choices.is_asked:
                    del self._prefilling[job]
        self._flights.append(flight)

    def _start(self, prefill: Prefill, logits: Tensor, places: dict[Read, int]) -> Flight:
        """Sample the first tokens of the gens whose prompts are run."""
        jobs: list[GenJob] = []
        rows: list[int] = []
        reports: list[Reports] = []
        for read in prefill.reads:
            if isinstance(read.job, GenJob) and not read.is_report:
                jobs.append(read.job)
                rows.append(places[read])
                del self._prefilling[read.job]
        forced = [read for read in prefill.reads if read.is_report]
        if forced:
            reports.append(Reports.of_forced(forced, logits, places))
        lanes = self._lanes.start(jobs)
        flight = Flight(lanes, self._lanes.serial[lanes], reports=reports)
        if jobs:
            self._options.write(jobs, lanes)
            index = send(lanes, self._device)
            mine = logits[torch.tensor(rows, device=self._device)]
            flight.outcome = self._sample(jobs, mine, index, flight)
            self._lanes.sample(lanes)
        return flight

    def _launch_decode(self) -> None:
        lanes = self._lanes
        lanes.turn()
        rows = lanes.rows
        jobs = [lanes.lane(lane).job for lane in rows.tolist()] if self._num_reporting else []
        samples = not any(job.gen.sampling.logprobs is not None for job in jobs)
        if self._loaded != (lanes.version, samples):
            self._decode_step.load(rows, plan_rows(lanes, self._geometry), samples=samples)
            self._loaded = (lanes.version, samples)
        batch = self._decode_step.run()
        lanes.fill(rows)
        flight = Flight(rows, lanes.serial[rows])
        if samples:
            assert batch.ended is not None
            flight.outcome = Fetch(batch.ended[: len(rows)])
        else:
            assert batch.logits is not None
            logits = batch.logits[: len(rows)]
            flight.outcome = self._sample(jobs, logits, send(rows, self._device), flight)
        self._flights.append(flight)
        lanes.sample(rows)
        self._turns.note_decode(len(self._prefilling))

    # ------------------------------------------------------------ landing

    def _land(self, flight: Flight) -> list[Result]:
        """Take in the results of a step."""
        results: list[Result] = []
        for reports in flight.reports:
            for job, report in reports.tokens():
                if job.request in self._jobs:
                    self._endings.note(job, report)
        if flight.scores is not None:
            flight.scores.deliver()
            for scored in dict.fromkeys(flight.scores.jobs):
                if scored.is_admitted and scored.choices.is_complete:
                    results += self._finish_score(scored)
        if flight.outcome is not None:
            landed = self._endings.read(flight.lanes, flight.serials, flight.outcome.array())
            results += self._settle(landed)
        return results

    def _settle(self, landed: Landed) -> list[Result]:
        """Gens that are over leave; those with forced text go back to have it run."""
        self.stats.decoded_tokens += landed.num_tokens
        gone = [over.job for over in landed.over] + [job for job, _ in landed.forced]
        if not gone:
            return []
        overran = {job: int(self._lanes.launched[job.lane]) for job in gone}
        self._lanes.stop(gone)
        back: dict[Job, None] = {}
        for job, num_computed in landed.forced:
            self._note_forced(len(job.tokens) - num_computed - 1)
            self._residency.resume(job, num_computed)
            self._turns.add(job)
            back[job] = None
        if back:
            self._prefilling = {**back, **self._prefilling}
        return [self._finish_gen(over, overran[over.job]) for over in landed.over]

    def _finish_gen(self, over: Finished, num_launched: int) -> GenResult:
        job, kept = over.job, over.kept
        self._forget(job)
        tokens = over.tokens[: kept.num_tokens]
        # the last sampled token was run only if another step had been launched by then
        num_run = len(over.tokens) - (num_launched == len(over.tokens))
        prefix = self._residency.settle(job, tokens, min(kept.num_tokens, num_run))
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

    def _finish_score(self, job: ScoreJob) -> list[Result]:
        """`job` has all its values. What is answered is the request of the outer job, when both are
        done."""
        self._residency.release(job)
        if job.outer is not None:
            self._scoring.keep_unconditional(job)
            self._forget(job)
            job = job.outer
            job.inner = None
        if job.inner is not None or job.is_admitted or not job.choices.is_complete:
            return []
        self._forget(job)
        return [self._scoring.result(job)]

    def _sample(self, jobs: list[GenJob], logits: Tensor, lanes: Tensor, flight: Flight) -> Fetch:
        """A token a lane from its row of `logits` [R, V], which may be overwritten."""
        reporting = [row for row, job in enumerate(jobs) if job.gen.sampling.logprobs is not None]
        tensors = self._options.tensors
        if not reporting:
            sample_step(logits, lanes.int(), tensors)
        else:
            index = torch.tensor(reporting, device=self._device)
            reports = Reports([jobs[row] for row in reporting], logits[index])
            sample_step(logits, lanes.int(), tensors)
            reports.pick(tensors.tokens[lanes[index]])
            flight.reports.append(reports)
        return Fetch(outcome(tensors, lanes))

    # ------------------------------------------------------------ counts

    def _note_segments(self, segments: Iterable[Segment]) -> None:
        """The segments' KV will be there for what is launched later; count what it cost."""
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
                stats.prefilled_tokens += new
            stats.repeated_tokens += min(end, first) - segment.begin
            node.num_computed = max(node.num_computed, end)
            node.num_seen = max(node.num_seen, end)

    def _note_forced(self, count: int) -> None:
        self.stats.forced_tokens += count
        self.stats.prefilled_tokens += count

    def _note_seconds(self, launching: float, waiting: float, landing: float) -> None:
        seconds = self.stats.seconds
        for phase, more in (("launching", launching), ("waiting", waiting), ("landing", landing)):
            seconds[phase] = seconds.get(phase, 0.0) + more


def _reports(job: Job) -> bool:
    return isinstance(job, GenJob) and job.gen.sampling.logprobs is not None
