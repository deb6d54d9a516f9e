"""What a step costs: bytes and operations from the model's geometry, seconds from what a device
was measured to do.

A product takes as long as its operations at the rate measured for so many rows, or as reading its
weights, whichever is longer. Attention takes as long as reading each KV token once, or as its
operations; on a CPU, where running gens go through cache blocks one by one, it takes so long for
each block of each KV head, and prompts' operations have a rate of their own. A step's time is
shared out between prefill and decode by their rows.
Law: a device is measured once; what was measured lies in the user's cache folder, by device, dtype
and number of threads.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sglc.runtime.model.config import ModelConfig
from sglc.runtime.planner.facts import Seconds, StepFacts

OPS_A_LAYER = 14  # torch calls of one layer's step
BLOCK = 32  # slots of a cache block, as in kernels/tree_attention.py
HEAD_SIZE = 64  # of the attention that is measured
VERSION = 2  # of what is measured


@dataclass(frozen=True, slots=True)
class Calibration:
    """A device, measured: bytes/s that a copy reads plus writes; (rows, operations/s) of products;
    seconds of one torch call on almost nothing; and of drawing a token, per logit. Of a CPU, also
    the seconds in which a row's queries attend to a block, for each KV head of `HEAD_SIZE`, and the
    operations/s of a prompt's attention; 0 of another device."""

    device: str
    dtype: str
    bandwidth: float
    products: tuple[tuple[int, float], ...]
    call_seconds: float
    logit_seconds: float
    block_seconds: float = 0.0
    attention_rate: float = 0.0

    def rate(self, rows: float) -> float:
        """Operations/s of a product of `rows` rows, between the measured ones."""
        counts = [count for count, _ in self.products]
        at = bisect_left(counts, rows)
        if at == 0:
            return self.products[0][1]
        if at == len(counts):
            return self.products[-1][1]
        (low, slow), (high, fast) = self.products[at - 1], self.products[at]
        share = math.log(rows / low) / math.log(high / low)
        between: float = slow ** (1 - share) * fast**share
        return between


def layer_parameters(config: ModelConfig) -> int:
    """Numbers in the weights of one layer's products."""
    heads = config.num_heads + 2 * config.num_kv_heads
    attention = config.hidden_size * config.head_size * (heads + config.num_heads)
    return attention + 3 * config.hidden_size * config.intermediate_size


def step_seconds(
    config: ModelConfig, step: StepFacts, element_size: int, device: Calibration
) -> tuple[float, float]:
    """The model's time, and the sampling's."""
    rows = step.num_rows
    weights = config.num_layers * layer_parameters(config)
    head = config.vocab_size * config.hidden_size
    dense = _product(weights, rows, element_size, device)
    dense += _product(head, step.logit_rows, element_size, device)
    attention = _attention(config, step, element_size, device)
    calls = OPS_A_LAYER * config.num_layers * device.call_seconds
    return dense + attention + calls, step.logit_rows * config.vocab_size * device.logit_seconds


def predicted_seconds(
    config: ModelConfig,
    steps: Sequence[StepFacts],
    element_size: int,
    device: Calibration,
    host: float = 0.0,
) -> Seconds:
    """Seconds by phase; `host` is what a rehearsal of the steps took."""
    prefill = decode = sampling = 0.0
    for step in steps:
        model, drawing = step_seconds(config, step, element_size, device)
        share = step.decode_rows / max(1, step.num_rows)
        decode += model * share
        prefill += model * (1 - share)
        sampling += drawing
    return Seconds(prefill, decode, sampling, host)


def _product(parameters: int, rows: int, element_size: int, device: Calibration) -> float:
    """Rows times weights: bound by arithmetic, or by the weights' bytes."""
    if not rows:
        return 0.0
    reading = parameters * element_size / device.bandwidth
    return max(reading, 2 * parameters * rows / device.rate(rows))


def _attention(
    config: ModelConfig, step: StepFacts, element_size: int, device: Calibration
) -> float:
    operations = 4 * config.num_layers * config.num_heads * config.head_size * step.seen_tokens
    if not device.attention_rate:
        kv_bytes = step.read_tokens * config.kv_elements_per_token * element_size
        return max(kv_bytes / device.bandwidth, operations / device.rate(max(1, step.num_rows)))
    seconds = 0.0
    if step.decode_rows:
        # the last block of each gen is its own
        num_blocks = step.read_tokens / BLOCK + step.decode_rows
        heads = config.num_layers * config.num_kv_heads * config.head_size / HEAD_SIZE
        seconds += num_blocks * heads * device.block_seconds
    if step.num_rows > step.decode_rows:
        # what gens see is little beside what a prompt's tokens see
        seconds += operations / device.attention_rate
    return seconds


# ---------------------------------------------------------------- measuring


def calibration(device: str, dtype: str) -> Calibration:
    """What was measured of a device ("cpu", "cuda") and dtype ("float32"), now or before. Takes a
    few seconds the first time."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "cpu"
    if device == "cpu":
        name += f" {os.cpu_count()} cores {torch.get_num_threads()} threads"
    path = _cache_file(f"{name} {dtype} torch {torch.__version__} v{VERSION}")
    try:
        found = json.loads(path.read_text())
        found["products"] = tuple((rows, rate) for rows, rate in found["products"])
        return Calibration(**found)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never measured, or by another version
    from sglc.runtime.planner.measuring import measure

    measured = measure(name, device, dtype)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(measured)))
    except OSError:
        pass  # it is measured again next time
    return measured


def _cache_file(name: str) -> Path:
    import platformdirs

    stem = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-").lower()
    return Path(platformdirs.user_cache_dir("sglc")) / "devices" / f"{stem}.json"
