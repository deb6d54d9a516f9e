"""Root-mean-square norm over the last axis: y = x * rsqrt(mean(x**2) + eps) * weight.

Shapes: x [..., E], weight [E], y [..., E].
Types:  x and weight fp16/bf16/fp32, one type; sums in fp32.
Moves:  (2*T*E + E) * itemsize bytes for T rows, so it is bound by memory at every T.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm_ref(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The meaning of the op, in plain torch."""
    x32 = x.float()
    y32 = x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)
    return y32.to(x.dtype) * weight


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Normalise each row of `x`; yields a new tensor."""
    return F.rms_norm(x, weight.shape, weight, eps)


def bytes_moved(T: int, E: int, itemsize: int) -> int:
    """Bytes one call reads and writes when nothing is passed over twice."""
    return (2 * T * E + E) * itemsize
