"""gated_silu.py on a GPU: y = silu(gate) * up of the two halves of each row.

Shapes: gate_up [T, 2*I] contiguous, y [T, I] contiguous.
Types:  fp16/bf16/fp32, one type; arithmetic in fp32, rounded once.
Moves:  3*T*I*itemsize bytes.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from sglc.kernels.contract import require

BLOCK = 1024  # columns a program


@triton.jit
def _gated_silu_kernel(gate_up_ptr, y_ptr, inner, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < inner
    gate = tl.load(gate_up_ptr + row * 2 * inner + at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up_ptr + row * 2 * inner + inner + at, mask=inside, other=0.0).to(tl.float32)
    y = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(y_ptr + row * inner + at, y.to(y_ptr.dtype.element_ty), mask=inside)


def gated_silu(gate_up: Tensor) -> Tensor:
    """A new tensor [T, I]."""
    T, both = gate_up.shape
    require(gate_up.is_contiguous() and both % 2 == 0, "gated_silu", "contiguous [T, 2*I]")
    y = gate_up.new_empty((T, both // 2))
    if T:
        grid = (T, triton.cdiv(both // 2, BLOCK))
        _gated_silu_kernel[grid](gate_up, y, both // 2, BLOCK, num_warps=4)
    return y
