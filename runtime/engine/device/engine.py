"""The engine for a GPU: the same tree, queue and memory as `TreeEngine`, and a step loop that never
waits for what it has just launched.

A step launches either a prefill of many segments or a decode step of all running gens, then reads
what came of the step before the last ones. What a step runs follows from what was launched, not
from tokens; so gens that turn out to be over have run a step or two too many, whose tokens are
dropped and whose KV lies in slots that the gen still held.
Law: for each request the tokens are those of `TreeEngine`, but for the rounding of other kernels.
If the engine is `deterministic`, every number of a request's result is the same bits whatever else
is asked, in which order, with which memory and limits: rows go through kernels that keep that law,
and what steps hold follows from other requests but decides no bits.
Everything on the device happens in the order of launches, on one stream: slots that were freed are
written only by what is launched later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sglc.kernels.decode_work import Geometry
from sglc.kernels.sample_step import sample_step
from sglc.runtime.engine.device.decode import DecodeStep, outcome
from sglc.runtime.engine.device.endings import Endings
from sglc.runtime.engine.device.flight import Flight, Reports, ScoreReads
from sglc.runtime.engine.device.lane_options import LaneOptions
from sglc.runtime.engine.device.lanes import DeviceLanes
from sglc.runtime.engine.device.prefill_step import PrefillStep
from sglc.runtime.engine.device.room import STEP_TOKENS, kv_room, step_tokens_for
from sglc.runtime.engine.device.shared_decode import SharedDecode
from sglc.runtime.engine.device.table_decode import TableDecode
from sglc.runtime.engine.device.transfer import Fetch, send
from sglc.runtime.engine.device.turns import Turns
from sglc.runtime.engine.device.watched import HostDraws, is_walked
from sglc.runtime.engine.job import GenJob, Job, ScoreJob
from sglc.runtime.engine.last_token import Left
from sglc.runtime.engine.memory import KVPool, slots_for
from sglc.runtime.engine.prefill import Prefill, PrefillPlanner, Read
from sglc.runtime.engine.request import Result
from sglc.runtime.engine.schedule import ScheduledEngine
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.models.device import free_bytes
from sglc.runtime.models.transformer import Transformer

MAX_BATCH = 1024  # requests that are admitted together
STILL = 128  # gens that end between two launches: the device works on what is asked after them
AHEAD = 2  # steps that are launched before the oldest of them is read


class DeviceEngine(ScheduledEngine):
    """Implements `request.Engine` over `model`, whose device may be any (the CPU: for tests).

    Options are `TreeEngine`'s; without `tree`, and if `deterministic`, decode steps read shared KV
    once for each row. `ahead` is how many steps are launched before one is read.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        kv_memory: int | None = None,
        max_batch: int = MAX_BATCH,
        step_tokens: int | None = None,
        thinking: Sequence[str] = ("<think>", "</think>"),
        ahead: int = AHEAD,
        deterministic: bool = False,
        share: bool = True,
        tree: bool = True,
    ) -> None:
        config, device = model.config, model.device
        bytes_per_slot = config.kv_elements_per_token * model.dtype.itemsize
        if device.type == "cuda":
            step_tokens = step_tokens or step_tokens_for(config, model.dtype, max_batch)
            room = kv_room(config, model.dtype, step_tokens, max_batch)
            num_slots = slots_for(kv_memory, bytes_per_slot, room, share=1)
        else:
            step_tokens = step_tokens or STEP_TOKENS
            num_slots = slots_for(kv_memory, bytes_per_slot, free_bytes(device))
        super().__init__(
            tokenizer,
            config.context_len,
            num_slots,
            device,
            max_batch=max_batch,
            step_tokens=step_tokens,
            whole_tails=True,
            share=share,
        )
        self._device = device
        self._ahead = ahead
        self._pool = KVPool(
            num_slots,
            config.num_layers,
            config.num_kv_heads,
            config.head_size,
            model.dtype,
            device,
        )
        geometry = Geometry(
            config.num_heads, config.num_kv_heads, config.head_size, model.dtype.itemsize
        )
        self._lanes = DeviceLanes(max_batch)
        self._options = LaneOptions(max_batch, tokenizer, config.vocab_size, thinking, device)
        self._host_draws = HostDraws(self._options, self._constrained, tokenizer, thinking, device)
        self._endings = Endings(self._lanes, self._options, tokenizer)
        self._prefill_step = PrefillStep(model, self._pool, deterministic=deterministic)
        place = (model, self._pool, self._options.tensors, geometry)
        self._decode_step: DecodeStep[Any] = (
            TableDecode(*place, max_batch) if deterministic else SharedDecode(*place, tree=tree)
        )
        self._turns = Turns(step_tokens)
        self._flights: deque[Flight] = deque()
        self._loaded: tuple[int, bool] | None = None  # what the decode step was last told

    @property
    def _num_running(self) -> int:
        return len(self._lanes)

    def _forget(self, job: GenJob) -> None:
        self._endings.forget(job)
        if job.lane >= 0:
            self._lanes.stop([job])

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
        ahead = 0 if self._lanes.is_watched.any() else self._ahead
        while flights and (not is_launched or len(flights) > ahead or flights[0].is_there):
            flight = flights.popleft()
            waited += flight.wait()
            results += self._land(flight)
            if not is_launched:
                break
        results += self._settle(self._endings.next_still(STILL))
        self._note_seconds(launched - begin, waited, perf_counter() - launched - waited)
        return results

    # ------------------------------------------------------------ launching

    def _admit(self) -> None:
        before = len(self._prefilling)
        super()._admit()
        for job in self._prefilling[before:]:
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
        self.stats.kv_tokens = self._slots.num_used
        self.stats.peak_kv_tokens = self._slots.peak_used
        return True

    def _launch_prefill(self) -> None:
        prefill = PrefillPlanner(self._step_tokens).add(self._prefilling)
        logits, places = self._prefill_step.run(prefill)
        self._note_segments(prefill.segments.values())
        flight = self._start(prefill, logits, places)
        gone: set[Job] = {self._lanes.lane(lane).job for lane in flight.lanes.tolist()}
        scored = [read for read in prefill.reads if isinstance(read.job, ScoreJob)]
        if scored:
            flight.scores = ScoreReads(scored, logits, [places[read] for read in scored])
            gone.update(job for job in flight.scores.jobs if job.choices.is_asked)
        self._prefilling = [job for job in self._prefilling if job not in gone]
        self._turns.note_prefill(prefill.num_rows, len(self._prefilling))
        self._flights.append(flight)

    def _start(self, prefill: Prefill, logits: Tensor, places: dict[Read, int]) -> Flight:
        """Sample the first tokens of the gens whose prompts are run."""
        jobs: list[GenJob] = []
        rows: list[int] = []
        for read in prefill.reads:
            if isinstance(read.job, GenJob) and not read.is_report:
                jobs.append(read.job)
                rows.append(places[read])
        lanes = self._lanes.start(jobs)
        flight = Flight(lanes, self._lanes.serial[lanes])
        forced = [read for read in prefill.reads if read.is_report]
        if forced:
            flight.reports.append(Reports.of_forced(forced, logits, places))
        if jobs:
            self._options.write(jobs, lanes)
            mine = logits[send(np.array(rows), self._device)]
            flight.outcome = self._sample(jobs, mine, flight)
            self._lanes.sample(lanes)
        return flight

    def _launch_decode(self) -> None:
        lanes = self._lanes
        lanes.turn()
        rows = lanes.rows
        samples = not lanes.is_watched[rows].any()
        if self._loaded != (lanes.version, samples):
            self._decode_step.load(lanes, samples=samples)
            self._loaded = (lanes.version, samples)
        batch = self._decode_step.run()
        lanes.fill(rows)
        flight = Flight(rows, lanes.serial[rows])
        if samples:
            assert batch.ended is not None
            flight.outcome = Fetch(batch.ended[: len(rows)])
        else:
            assert batch.logits is not None
            jobs = [lanes.lane(lane).job for lane in rows.tolist()]
            self._constrained.start_filling(jobs)
            flight.outcome = self._sample(jobs, batch.logits[: len(rows)], flight)
        self._flights.append(flight)
        lanes.sample(rows)
        self._turns.note_decode(len(self._prefilling))

    def _sample(self, jobs: list[GenJob], logits: Tensor, flight: Flight) -> Fetch:
        """A token for each lane of `flight` from its row of `logits` [R, V], which may be
        overwritten."""
        tensors = self._options.tensors
        lanes = send(flight.lanes, self._device)
        reporting = [row for row, job in enumerate(jobs) if job.gen.sampling.logprobs is not None]
        walked = [row for row, job in enumerate(jobs) if is_walked(job)]
        reports: Reports | None = None
        if reporting:
            reports = Reports([jobs[row] for row in reporting], logits[reporting])
            flight.reports.append(reports)
        rows = lanes.int()
        if walked:
            rows[walked] = -1
        sample_step(logits, rows, tensors)
        if walked:
            theirs = flight.lanes[walked]
            counts = self._lanes.launched[theirs]
            self._host_draws.draw([jobs[row] for row in walked], theirs, counts, logits[walked])
        if reports is not None:
            reports.pick(tensors.tokens[lanes[reporting]])
        return Fetch(outcome(tensors, lanes))

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
            found = flight.outcome.array()
            count, left = self._endings.read(flight.lanes, flight.serials, found)
            self.stats.decoded_tokens += count
            results += self._settle(left)
        return results

    def _settle(self, left: Left) -> list[Result]:
        """Gens that are over leave; those with forced text go back to have it run."""
        gone = [over.job for over in left.over] + [job for job, _ in left.forced]
        if not gone:
            return []
        # whose last token went into a step that was launched before it was known to be the last
        lanes = self._lanes
        overran = {job for job in gone if lanes.launched[job.lane] > lanes.read[job.lane]}
        lanes.stop(gone)
        for job, num_computed in left.forced:
            self._note_forced(len(job.tokens) - num_computed - 1)
            self._residency.resume(job, num_computed)
            self._turns.add(job)
        self._prefilling[:0] = [job for job, _ in left.forced]
        return [self._finish_gen(over, overran=over.job in overran) for over in left.over]

    def _note_seconds(self, launching: float, waiting: float, landing: float) -> None:
        seconds = self.stats.seconds
        for phase, more in (("launching", launching), ("waiting", waiting), ("landing", landing)):
            seconds[phase] = seconds.get(phase, 0.0) + more
