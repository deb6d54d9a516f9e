"""Root-mean-square norm over the last axis: y = x * rsqrt(mean(x**2) + eps) * weight.

Shapes: x [..., E], weight [E], y [..., E].
Types:  x and weight fp16/bf16/fp32, one type; sums in fp32.
Moves:  (2*T*E + E) * itemsize bytes for T rows, so it is bound by memory at every T.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rms_norm_ref(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The meaning of the op, in plain torch."""
    x32 = x.float()
    y32 = x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)
    return y32.to(x.dtype) * weight


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Normalise each row of `x`.

    In fp32 the mean is taken without a squared copy of x: two passes over memory instead of four.
    """
    if x.dtype != torch.float32:
        return rms_norm_ref(x, weight, eps)
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # [..., 1]
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return (x * scale).mul_(weight)


def bytes_moved(T: int, E: int, itemsize: int) -> int:
    """Bytes one call reads and writes when nothing is passed over twice."""
    return (2 * T * E + E) * itemsize
