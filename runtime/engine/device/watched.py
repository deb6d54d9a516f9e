"""Gens that the host follows token by token: those of grammars, whose matchers know no device.

They are sampled by the reference sampler, and the lanes are set as `sample_step` would set them, so
that everything else treats them as any gen. While one runs, no step is launched ahead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.lane_tensors import ENDED, ENDS, FULL, RUNNING
from sglc.runtime.engine.constrained import Constrained
from sglc.runtime.engine.device.lane_options import LaneOptions
from sglc.runtime.engine.device.transfer import send
from sglc.runtime.engine.grammar_walk import GrammarWalk
from sglc.runtime.engine.job import GenJob, Job
from sglc.runtime.engine.sampling import Sampler, TokenMasks
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]


def is_walked(job: Job) -> bool:
    """The host must see each token before the next is sampled."""
    return isinstance(job, GenJob) and isinstance(job.walk, GrammarWalk)


def is_watched(job: Job) -> bool:
    """No step may run ahead while the gen runs: it is walked, or reports of each step's logits."""
    return isinstance(job, GenJob) and (is_walked(job) or job.gen.sampling.logprobs is not None)


class HostDraws:
    def __init__(
        self,
        options: LaneOptions,
        constrained: Constrained,
        tokenizer: Tokenizer,
        thinking: Sequence[str],
        device: torch.device,
    ) -> None:
        self._options = options
        self._constrained = constrained
        self._masks = TokenMasks(tokenizer, thinking, device)
        self._device = device

    def draw(self, jobs: Sequence[GenJob], lanes: Indices, counts: Indices, logits: Tensor) -> None:
        """A token for each of `jobs`, which have `counts` tokens, from its row of `logits` [n, V],
        which are overwritten."""
        tensors, device = self._options.tensors, self._device
        index = send(lanes, device)
        seeds = [job.gen.seed for job in jobs]
        sampler = Sampler([job.gen.sampling for job in jobs], seeds, self._masks, device)
        batch = self._constrained.batch(jobs)
        assert batch is not None
        rows = torch.arange(len(jobs), device=device)
        tokens, _ = sampler.draw(logits, counts, tensors.sampled[index].long(), rows, batch)
        ids = tokens.cpu().numpy()
        batch.take(ids)
        is_end = self._options.codes[self._options.stop_way[lanes], ids] == ENDS
        is_full = counts + 1 >= np.array([job.growth for job in jobs])
        status = np.where(is_end, ENDED, np.where(is_full, FULL, RUNNING)).astype(np.int32)
        tensors.sampled[index, send(counts, device)] = tokens.int()
        tensors.tokens[index] = tokens
        tensors.counts[index] += 1
        tensors.positions[index] += 1
        tensors.status[index] = send(status, device)
