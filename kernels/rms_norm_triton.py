"""rms_norm.py on a GPU.

Shapes: x [T, E] contiguous, weight [E], y [T, E].
Types:  fp16/bf16/fp32, one type; sums in fp32, rounded once.
Moves:  (2*T*E + E) * itemsize bytes. A program a row.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglc.kernels.contract import require


@triton.jit
def _rms_norm_kernel(x_ptr, weight_ptr, y_ptr, E, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * E
    at = tl.arange(0, BLOCK)
    inside = at < E
    weight = tl.load(weight_ptr + at, mask=inside, other=0.0).to(tl.float32)
    x = tl.load(x_ptr + row + at, mask=inside, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, axis=0) / E + eps)
    tl.store(y_ptr + row + at, (x * scale * weight).to(y_ptr.dtype.element_ty), mask=inside)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Normalise each row of `x` into a new tensor."""
    T, E = x.shape
    require(x.is_contiguous(), "rms_norm", "contiguous rows")
    require(weight.shape == (E,), "rms_norm", f"a weight of {E}, got {list(weight.shape)}")
    y = torch.empty_like(x)
    if T:
        block = triton.next_power_of_2(E)
        num_warps = min(max(block // 512, 1), 16)
        _rms_norm_kernel[(T,)](x, weight, y, E, eps, block, num_warps=num_warps)
    return y
