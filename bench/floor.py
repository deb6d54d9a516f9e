"""The least time that a run's steps could take on a device, the arithmetic of attention aside."""

from __future__ import annotations

from collections.abc import Mapping

from sglc.bench.ceilings import Ceilings
from sglc.runtime.model.config import ModelConfig


def floor_seconds(
    config: ModelConfig,
    itemsize: int,
    ceilings: Ceilings,
    steps: Mapping[int, int],
    num_logits: int,
) -> float:
    """A step reads each weight once, at `copy_bandwidth`, or multiplies its rows with the layers'
    weights, at `matmul_rate`, whichever takes longer. `steps` are (rows: number of steps);
    `num_logits` rows are multiplied with the head. Weights have `itemsize` bytes."""
    layers, head = num_layer_weights(config), config.vocab_size * config.hidden_size
    reading = (layers + head) * itemsize / ceilings.copy_bandwidth
    seconds = 2 * head * num_logits / ceilings.matmul_rate
    for rows, count in steps.items():
        seconds += count * max(reading, 2 * layers * rows / ceilings.matmul_rate)
    return seconds


def num_layer_weights(config: ModelConfig) -> int:
    """Weights of all layers that a token is multiplied by."""
    E, H, K, D = config.hidden_size, config.num_heads, config.num_kv_heads, config.head_size
    return config.num_layers * (E * D * (2 * H + 2 * K) + 3 * E * config.intermediate_size)
