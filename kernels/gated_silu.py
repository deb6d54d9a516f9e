"""Gated activation of the Llama family: y = silu(gate) * up, where silu(x) = x / (1 + exp(-x)).

Shapes: gate_up [T, 2*I], gate the first I columns and up the rest; y [T, I].
Types:  fp16/bf16/fp32, one type.
Moves:  3*T*I*itemsize bytes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def gated_silu_ref(gate_up: Tensor) -> Tensor:
    """The meaning of the op, in plain torch."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def gated_silu_(gate_up: Tensor) -> Tensor:
    """Writes the result over the gate half of `gate_up`; yields that half, a strided view."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate, inplace=True).mul_(up)


def bytes_moved(T: int, intermediate: int, itemsize: int) -> int:
    """Bytes one call reads and writes when nothing is passed over twice."""
    return 3 * T * intermediate * itemsize
