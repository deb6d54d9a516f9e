"""The least time that a run's steps could take on a device, the arithmetic of attention aside."""

from __future__ import annotations

from collections.abc import Mapping

from sglc.bench.ceilings import Ceilings
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.planner.costs import layer_parameters


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
    layers = config.num_layers * layer_parameters(config)
    head = config.vocab_size * config.hidden_size
    reading = (layers + head) * itemsize / ceilings.copy_bandwidth
    seconds = 2 * head * num_logits / ceilings.matmul_rate
    for rows, count in steps.items():
        seconds += count * max(reading, 2 * layers * rows / ceilings.matmul_rate)
    return seconds
