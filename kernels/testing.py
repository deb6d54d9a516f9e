"""How kernels are judged: an error relative to what the type allows, poison where none may look.

Law: the reference runs in fp64 on the same inputs, so only the kernel's own rounding is measured.
"""

from __future__ import annotations

import torch
from torch import Tensor

# allowed root-mean-square error, relative to the reference's
ERROR_RATIO = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def error_ratio(found: Tensor, expected: Tensor) -> float:
    """Root-mean-square of the difference over that of `expected`; infinite where NaN appeared."""
    found, expected = found.double(), expected.double()
    if not bool(found.isfinite().all()):
        return float("inf")
    scale = expected.square().mean().sqrt().clamp_min(1e-30)
    return float((found - expected).square().mean().sqrt() / scale)


def poison(x: Tensor, keep: Tensor, value: float) -> Tensor:
    """A copy of `x` with `value` in every row that the indices `keep` do not name."""
    poisoned = torch.full_like(x, value)
    poisoned[keep] = x[keep]
    return poisoned
