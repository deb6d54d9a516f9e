"""The way people know: transformers' `generate`, left-padded batches of whole prompts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sglc.bench.transformers_model import left_padded, load_transformers
from sglc.runtime.model.locate import ModelFiles


@dataclass(frozen=True, slots=True)
class Timing:
    batch: int
    dtype: str
    rows: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


class TransformersBaseline:
    """A model in transformers, on the CPU."""

    def __init__(self, files: ModelFiles, dtype: torch.dtype) -> None:
        self.model = load_transformers(files, torch.device("cpu"), dtype)
        self.dtype = str(dtype).removeprefix("torch.")

    def run(self, prompts: Sequence[Sequence[int]], batch: int, max_tokens: int) -> Timing:
        """Greedy generation of exactly `max_tokens` tokens for each prompt (token ids)."""
        start = time.perf_counter()
        for at in range(0, len(prompts), batch):
            part = prompts[at : at + batch]
            ids, mask = left_padded(part, self.model.device)
            with torch.inference_mode():
                self.model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    do_sample=False,
                    max_new_tokens=max_tokens,
                    min_new_tokens=max_tokens,
                    pad_token_id=0,
                )
        return Timing(batch, self.dtype, len(prompts), time.perf_counter() - start)
