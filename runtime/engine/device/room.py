"""How much of a device's memory KV may take: what is free, less what steps need beside it."""

from __future__ import annotations

import torch

from sglc.runtime.model.config import ModelConfig

MARGIN = 2 << 30  # bytes: the libraries' workspaces, kernels, captured graphs, fragmentation
FP32 = 4


def kv_room(config: ModelConfig, dtype: torch.dtype, step_tokens: int, max_batch: int) -> int:
    """Bytes for KV on the current CUDA device, once the weights are there. Raises nothing: 0 where
    there is no room at all."""
    free, _ = torch.cuda.mem_get_info()
    return max(0, free - step_bytes(config, dtype, step_tokens, max_batch) - MARGIN)


def step_bytes(config: ModelConfig, dtype: torch.dtype, step_tokens: int, max_batch: int) -> int:
    """The most that the tensors of one step take, and the logits that captured decode steps keep.

    A prefill holds a layer's widest rows and, where choices are scored, logits of nearly every
    token: as the product yields them, in fp32, and once more while they are normalised. Decode
    graphs for every size up to `max_batch` keep about four times the largest one's logits.
    """
    size = dtype.itemsize
    qkv = config.head_size * (config.num_heads + 2 * config.num_kv_heads)
    widest = 3 * config.intermediate_size + 2 * qkv + 4 * config.hidden_size
    logits = config.vocab_size * (size + 2 * FP32)
    decode = 4 * max_batch * config.vocab_size * (size + FP32)
    return step_tokens * (widest * size + logits) + decode
