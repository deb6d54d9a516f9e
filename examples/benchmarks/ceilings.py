"""What a CUDA device does at best: copy bandwidth and bf16 matrix products, by device events."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch

REPEATS = 20


def _seconds(call: Callable[[], object]) -> float:
    """The median of REPEATS calls, after three to warm up."""
    for _ in range(3):
        call()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(REPEATS + 1)]
    marks[0].record()
    for mark in marks[1:]:
        call()
        mark.record()
    torch.cuda.synchronize()
    seconds = sorted(before.elapsed_time(after) / 1e3 for before, after in pairwise(marks))
    return seconds[REPEATS // 2]


def copy_bandwidth(num_bytes: int = 4 << 30) -> float:
    """Bytes/s read plus written by a copy on the device."""
    source = torch.randint(256, (num_bytes,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * num_bytes / _seconds(lambda: target.copy_(source))


def matmul_rate(n: int = 8192) -> float:
    """Operations/s of a product of two n x n bf16 matrices of random numbers."""
    a, b = (torch.randn((n, n), device="cuda", dtype=torch.bfloat16) for _ in range(2))
    c = torch.empty_like(a)
    return 2 * n**3 / _seconds(lambda: torch.mm(a, b, out=c))
