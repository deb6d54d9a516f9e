"""How large prefill steps are, and how much of a device's memory KV may take: what is free, less
what steps need beside it."""

from __future__ import annotations

import torch

from sglc.runtime.model.config import ModelConfig
from sglc.runtime.models.device import free_bytes

MARGIN = 2 << 30  # bytes: the libraries' workspaces, kernels, captured graphs, fragmentation
FP32 = 4
STEP_TOKENS = 8192  # prompt tokens of a step
LEAST_TOKENS = 512
# a prefill's launch takes the host 20 ms whatever its size (32 layers; one H100, 2026-11-22): below
# so many weights a token, 8,192 tokens take the device less
SMALL_MODEL = 700_000_000


def step_tokens_for(config: ModelConfig, dtype: torch.dtype, max_batch: int) -> int:
    """Prompt tokens of a step on the current CUDA device: twice as many for small models, where
    that takes no more than a quarter of the free memory; fewer, down to LEAST_TOKENS, where steps
    would take more than half."""
    free = free_bytes(torch.device("cuda"))
    heads = config.head_size * 2 * (config.num_heads + config.num_kv_heads)
    weights = config.num_layers * config.hidden_size * (heads + 3 * config.intermediate_size)
    large = 2 * STEP_TOKENS
    if weights < SMALL_MODEL and 4 * step_bytes(config, dtype, large, max_batch) <= free:
        return large
    tokens = STEP_TOKENS
    while tokens > LEAST_TOKENS and 2 * step_bytes(config, dtype, tokens, max_batch) > free:
        tokens //= 2
    return tokens


def kv_room(config: ModelConfig, dtype: torch.dtype, step_tokens: int, max_batch: int) -> int:
    """Bytes for KV on the current CUDA device, once the weights are there. Raises nothing: 0 where
    there is no room at all."""
    free = free_bytes(torch.device("cuda"))
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
