"""What the same rows cost by plain `generate`: whole prompts, left-padded batches, wave by wave.

The calls are those that sglc made, and each writes exactly as many tokens as sglc's answer had, so
the baseline knows beforehand when to stop; nothing is asked twice that sglc merged. Constraints and
stops are left out. Calls of a wave are sorted by length before they are batched. A select is one
forward pass over the whole text of each choice. All this is in the baseline's favour; what it lacks
is what a program tells: shared prefixes within a batch, forced text, one tree for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import torch

from sglc.bench.calls import Call, GenCall, ScoreCall, waves_of
from sglc.bench.measure import TookTooLong
from sglc.bench.transformers_model import left_padded
from sglc.runtime.engine.request import Sampling

BATCHES = (8, 16, 32)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchTiming:
    batch: int
    seconds: float


class TransformersBaseline:
    """Runs calls on a `PreTrainedModel`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    def time(
        self,
        calls: Sequence[Call],
        batches: Sequence[int] = BATCHES,
        *,
        until: float = math.inf,
    ) -> list[BatchTiming]:
        """Seconds for all calls with each batch size, smallest first; none twice where a wave is
        too small to fill the next size, and none that would not be done by the time `until`, as the
        one before tells. Raises TookTooLong where the first is not."""
        widest = max((len(wave) for wave in waves_of(calls)), default=1)
        sizes = [size for size in batches if size < widest]
        sizes += [size for size in batches if size >= widest][:1]
        timings = [BatchTiming(sizes[0], self._run(calls, sizes[0], until))]
        for size in sizes[1:]:
            if time.perf_counter() + timings[-1].seconds <= until:
                timings.append(BatchTiming(size, self._run(calls, size)))
        return timings

    @torch.inference_mode()
    def _run(self, calls: Sequence[Call], batch: int, until: float = math.inf) -> float:
        start = time.perf_counter()
        for wave in waves_of(calls):
            gens = sorted((call for call in wave if isinstance(call, GenCall)), key=_gen_key)
            for key, group in groupby(gens, key=lambda call: _options(call.sampling)):
                for part in _parts(list(group), batch):
                    self._generate(part, dict(key), until)
                    _look_at_the_clock(until)
            texts = [
                (call.prompt + choice, len(choice))
                for call in wave
                if isinstance(call, ScoreCall)
                for choice in call.choices
            ]
            for some in _parts(sorted(texts, key=lambda text: len(text[0])), batch):
                self._score(some)
                _look_at_the_clock(until)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - start

    def _generate(
        self, calls: Sequence[GenCall], options: dict[str, Any], until: float = math.inf
    ) -> None:
        ids, mask = left_padded([call.prompt for call in calls], self._device)
        num_tokens = max(call.num_tokens for call in calls)
        self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=num_tokens,
            min_new_tokens=num_tokens,
            pad_token_id=0,
            max_time=None if until == math.inf else until - time.perf_counter(),
            **options,
        )

    def _score(self, texts: Sequence[tuple[tuple[int, ...], int]]) -> list[float]:
        """The mean log-probability of the last so many tokens of each text."""
        ids, mask = left_padded([text for text, _ in texts], self._device)
        longest = max(num_tokens for _, num_tokens in texts)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            logits_to_keep=longest + 1,
            use_cache=False,
        ).logits
        wanted = ids[:, -longest:, None]
        found = logits[:, :-1].float().log_softmax(-1).gather(-1, wanted)[..., 0]  # [B, longest]
        return [float(found[row, longest - n :].mean()) for row, (_, n) in enumerate(texts)]


def _parts(calls: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (calls[at : at + size] for at in range(0, len(calls), size))


def _look_at_the_clock(until: float) -> None:
    if time.perf_counter() > until:
        raise TookTooLong


def _gen_key(call: GenCall) -> tuple[object, ...]:
    return (_options(call.sampling), call.num_tokens, len(call.prompt))


def _options(sampling: Sampling) -> tuple[tuple[str, Any], ...]:
    """The sampling options in transformers' words, as sortable pairs."""
    if sampling.is_greedy:
        return (("do_sample", False),)
    return (
        ("do_sample", True),
        ("temperature", sampling.temperature),
        ("top_k", sampling.top_k),
        ("top_p", sampling.top_p),
    )
