"""rms_norm.py on a GPU, alone or with the residual's sum that comes before it.

Shapes: x [T, E] contiguous, weight [E], delta and y [T, E].
Types:  fp16/bf16/fp32, one type; sums in fp32, rounded once.
Moves:  (2*T*E + E) * itemsize bytes, twice T*E more with a delta. A program a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglc.kernels.contract import require


@triton.jit
def _rms_norm_kernel(
    x_ptr, delta_ptr, weight_ptr, y_ptr, E, eps, HAS_DELTA: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64) * E
    at = tl.arange(0, BLOCK)
    inside = at < E
    weight = tl.load(weight_ptr + at, mask=inside, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + row + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_DELTA:
        x += tl.load(delta_ptr + row + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(x_ptr + row + at, x.to(x_ptr.dtype.element_ty), mask=inside)
    scale = tl.rsqrt(tl.sum(x * x, axis=0) / E + eps)
    tl.store(y_ptr + row + at, (x * scale * weight).to(y_ptr.dtype.element_ty), mask=inside)


def rms_norm(x: Tensor, weight: Tensor, eps: float, delta: Tensor | None = None) -> Tensor:
    """Normalise each row of `x` into a new tensor; with `delta`, x += delta first, in place."""
    T, E = x.shape
    require(x.is_contiguous(), "rms_norm", "contiguous rows")
    require(weight.shape == (E,), "rms_norm", f"a weight of {E}, got {list(weight.shape)}")
    y = torch.empty_like(x)
    if delta is not None:
        require(delta.shape == x.shape and delta.is_contiguous(), "rms_norm", "a delta like x")
    if T:
        block = triton.next_power_of_2(E)
        num_warps = min(max(block // 512, 1), 16)
        _rms_norm_kernel[(T,)](
            x, delta, weight, y, E, eps, delta is not None, block, num_warps=num_warps
        )
    return y


def bytes_moved(T: int, E: int, itemsize: int, *, has_delta: bool) -> int:
    """Bytes one call reads and writes."""
    return ((4 if has_delta else 2) * T * E + E) * itemsize
