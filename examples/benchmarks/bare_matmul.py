"""How fast this device multiplies the model's weight matrices, with nothing around it.

The yardstick for prefill and decode: one `F.linear` for each weight of each layer (fused as the
runtime fuses them) and one for the head, at T rows. Returns tokens a second.
"""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

from sglc.runtime.model.config import ModelConfig


def weight_shapes(config: ModelConfig) -> list[tuple[int, int]]:
    """(out, in) of the weights of one layer: qkv, output, gate+up, down."""
    E, H, K, D = config.hidden_size, config.num_heads, config.num_kv_heads, config.head_size
    F_ = config.intermediate_size
    return [((H + 2 * K) * D, E), (E, H * D), (2 * F_, E), (E, F_)]


def tokens_per_second(
    config: ModelConfig, num_tokens: int, *, with_head: bool, dtype: torch.dtype, repeats: int = 3
) -> float:
    """Tokens a second of bare matmuls at `num_tokens` rows, best of `repeats`.

    Each layer has weights of its own, so that they come from memory as in a real pass. Without
    the head for prefill (one row of logits a sequence), with it for decode (one a token).
    """
    layers = [
        [torch.randn(shape, dtype=dtype) * 0.02 for shape in weight_shapes(config)]
        for _ in range(config.num_layers)
    ]
    head = torch.randn((config.vocab_size, config.hidden_size), dtype=dtype) * 0.02
    inputs = {w.shape[1]: torch.randn((num_tokens, w.shape[1]), dtype=dtype) for w in layers[0]}
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        for weights in layers:
            for weight in weights:
                F.linear(inputs[weight.shape[1]], weight)
        if with_head:
            F.linear(inputs[config.hidden_size], head)
        best = min(best, time.perf_counter() - start)
    return num_tokens / best
