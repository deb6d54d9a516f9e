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

from sglc.runtime.engine.fixed_forward import FixedForward
from sglc.runtime.engine.forward import Forward
from sglc.runtime.engine.generation import Generation
from sglc.runtime.engine.host_memory import keep_freed_memory
from sglc.runtime.engine.job import GenJob, ScoreJob
from sglc.runtime.engine.lanes import Lanes
from sglc.runtime.engine.memory import KVPool, slots_for
from sglc.runtime.engine.request import Result
from sglc.runtime.engine.schedule import ScheduledEngine
from sglc.runtime.engine.step_rows import StepRows, lay_out
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.models.device import free_bytes
from sglc.runtime.models.transformer import Transformer

# prompt tokens of a step and running requests, by device type
STEP_TOKENS = {"cpu": 512, "cuda": 4096}
MAX_BATCH = {"cpu": 256, "cuda": 1024}


class TreeEngine(ScheduledEngine):
    """Implements `request.Engine` over `model`.

    `kv_memory` is in bytes (None: a share of the free memory), `max_batch` bounds the requests that
    are admitted together, `step_tokens` the prompt tokens of one step. `thinking` names the control
    tokens that a gen may be allowed to sample. `deterministic` makes every result the same bytes in
    any batch. For measuring: requests that do not `share` KV, and attention without `tree`, which
    reads what several rows see once for each of them.
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
        share: bool = True,
        tree: bool = True,
    ) -> None:
        config, device = model.config, model.device
        bytes_per_slot = config.kv_elements_per_token * model.dtype.itemsize
        num_slots = slots_for(kv_memory, bytes_per_slot, free_bytes(device))
        super().__init__(
            tokenizer,
            config.context_len,
            num_slots,
            device,
            max_batch=max_batch or MAX_BATCH.get(device.type, MAX_BATCH["cuda"]),
            step_tokens=step_tokens or STEP_TOKENS.get(device.type, STEP_TOKENS["cuda"]),
            share=share,
        )
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
        self._lanes = Lanes(device, self._residency.grow)
        self._generation = Generation(self._lanes, tokenizer, thinking, self._constrained, device)
        self._forward: FixedForward | Forward = (
            FixedForward(model, self._pool)
            if deterministic
            else Forward(model, self._pool, tree=tree)
        )
        self._device = device

    @property
    def _num_running(self) -> int:
        return len(self._lanes)

    def _forget(self, job: GenJob) -> None:
        self._generation.forget(job)

    @torch.inference_mode()
    def step(self) -> list[Result]:
        begin = perf_counter()
        results, prefill = self._next()
        if not self._lanes.jobs and not prefill.segments:
            return results
        self._constrained.start_filling([*self._lanes.jobs, *self._prefilling])
        rows = lay_out(self._lanes, prefill, self._pool.scratch, self._device)
        num_decodes = len(self._lanes)
        planned = perf_counter()
        logits = self._forward(rows)
        ran = perf_counter()
        self._note_segments(rows.segments)
        results += self._read_scores(rows, logits)
        results += self._sample(rows, logits)
        self.stats.steps += 1
        self.stats.kv_tokens = self._slots.num_used
        self.stats.peak_kv_tokens = self._slots.peak_used
        self._note_seconds(begin, planned, ran)
        self.stats.note_model(ran - planned, len(rows.tokens) - num_decodes, num_decodes)
        return results

    def _read_scores(self, rows: StepRows, logits: Tensor) -> list[Result]:
        reads = [read for read in rows.places if isinstance(read.job, ScoreJob)]
        if not reads:
            return []
        self._scoring.read(reads, logits[[rows.places[read] for read in reads]])
        return self._finish_scores()

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
