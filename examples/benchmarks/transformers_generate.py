"""The way people know: transformers' `generate`, left-padded batches of whole prompts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Timing:
    batch: int
    dtype: str
    rows: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def load_llama_gguf(gguf: Path, dtype: torch.dtype) -> torch.nn.Module:
    """A Llama GGUF by transformers' own reader: what `from_pretrained` does with one, without the
    accelerate package that it asks for."""
    from transformers import AutoConfig, LlamaForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = AutoConfig.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    model = LlamaForCausalLM(config)
    checkpoint = load_gguf_checkpoint(str(gguf), return_tensors=True, model_to_load=model)
    model.load_state_dict(checkpoint["tensors"], strict=False)
    model.tie_weights()
    return model.to(dtype).eval()


class TransformersBaseline:
    """A Llama GGUF in transformers, on the CPU."""

    def __init__(self, gguf: Path, dtype: torch.dtype) -> None:
        self.model = load_llama_gguf(gguf, dtype)
        self.dtype = str(dtype).removeprefix("torch.")

    def run(self, prompts: Sequence[Sequence[int]], batch: int, max_tokens: int) -> Timing:
        """Greedy generation of exactly `max_tokens` tokens for each prompt (token ids)."""
        start = time.perf_counter()
        for at in range(0, len(prompts), batch):
            part = prompts[at : at + batch]
            width = max(map(len, part))
            ids = torch.zeros((len(part), width), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, prompt in enumerate(part):
                ids[row, width - len(prompt) :] = torch.tensor(prompt)
                mask[row, width - len(prompt) :] = 1
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
