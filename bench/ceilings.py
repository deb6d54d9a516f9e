"""What a device does at best: bytes copied and numbers multiplied a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

# enough to be limited by the memory and by the arithmetic, and done in a second
COPY_BYTES = {"cpu": 256 << 20, "cuda": 4 << 30}
MATMUL_SIZE = {"cpu": 1024, "cuda": 8192}
REPEATS = {"cpu": 5, "cuda": 20}


@dataclass(frozen=True, slots=True)
class Ceilings:
    """`copy_bandwidth` in bytes/s, read plus written; `matmul_rate` in operations/s, a product and
    a sum counting two."""

    copy_bandwidth: float
    matmul_rate: float


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """The best of a few copies and of a few products of square matrices of random numbers."""
    num_bytes, n = COPY_BYTES[device.type], MATMUL_SIZE[device.type]
    source = torch.randint(256, (num_bytes,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = _best(device, lambda: target.copy_(source))
    a, b = (torch.randn((n, n), device=device).to(dtype) for _ in range(2))
    c = torch.empty_like(a)
    multiplying = _best(device, lambda: torch.mm(a, b, out=c))
    return Ceilings(2 * num_bytes / copying, 2 * n**3 / multiplying)


def _best(device: torch.device, call: Callable[[], object]) -> float:
    """Seconds of the fastest call."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    call()
    best = float("inf")
    for _ in range(REPEATS[device.type]):
        wait()
        start = time.perf_counter()
        call()
        wait()
        best = min(best, time.perf_counter() - start)
    return best
