"""What the same rows cost by plain `generate`: whole prompts, left-padded batches, wave by wave.

The calls are those that sglc made, and each writes exactly as many tokens as sglc's answer had, so
the baseline knows beforehand when to stop; nothing is asked twice that sglc merged. Constraints and
stops are left out. Calls of a wave are sorted by length before they are batched. A select is one
forward pass over the whole text of each choice. All this is in the baseline's favour; what it lacks
is what a program tells: shared prefixes within a batch, forced text, one tree for all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from sglc.bench.calls import Call, GenCall, ScoreCall, waves_of
from sglc.runtime.engine.request import Sampling

BATCHES = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class BatchTiming:
    batch: int
    seconds: float


class TransformersBaseline:
    """Runs calls on a `PreTrainedModel`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    def time(self, calls: Sequence[Call], batches: Sequence[int] = BATCHES) -> list[BatchTiming]:
        """Seconds for all calls with each batch size, smallest first; none twice where a wave is
        too small to fill the next size."""
        widest = max((len(wave) for wave in waves_of(calls)), default=1)
        sizes = [size for size in batches if size < widest]
        sizes += [size for size in batches if size >= widest][:1]
        return [BatchTiming(size, self._run(calls, size)) for size in sizes]

    @torch.inference_mode()
    def _run(self, calls: Sequence[Call], batch: int) -> float:
        start = time.perf_counter()
        for wave in waves_of(calls):
            gens = [call for call in wave if isinstance(call, GenCall)]
            for key, group in groupby(
                sorted(gens, key=_gen_key), key=lambda c: _options(c.sampling)
            ):
                same = list(group)
                for at in range(0, len(same), batch):
                    self._generate(same[at : at + batch], dict(key))
            texts = [
                (call.prompt + choice, len(choice))
                for call in wave
                if isinstance(call, ScoreCall)
                for choice in call.choices
            ]
            texts.sort(key=lambda text: len(text[0]))
            for at in range(0, len(texts), batch):
                self._score(texts[at : at + batch])
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - start

    def _generate(self, calls: Sequence[GenCall], options: dict[str, Any]) -> None:
        ids, mask = self._pad([call.prompt for call in calls])
        num_tokens = max(call.num_tokens for call in calls)
        self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=num_tokens,
            min_new_tokens=num_tokens,
            pad_token_id=0,
            **options,
        )

    def _score(self, texts: Sequence[tuple[tuple[int, ...], int]]) -> list[float]:
        """The mean log-probability of the last so many tokens of each text."""
        ids, mask = self._pad([text for text, _ in texts])
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

    def _pad(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids and mask [B, longest], padded at the left."""
        width = max(map(len, prompts))
        ids = torch.zeros((len(prompts), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        return ids.to(self._device), mask.to(self._device)


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
