"""Rotary position embedding, half-split pairs: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin).

Shapes: x [T, H, D] with x1 the first D/2 of a head and x2 the rest; cos, sin [T, D/2].
Types:  x fp16/bf16/fp32; cos and sin fp32; products in fp32.
Moves:  (2*T*H*D*itemsize + T*D*4) bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rope_table(inverse_frequencies: tuple[float, ...], length: int, factor: float) -> Tensor:
    """cos and sin of every position below `length`, times `factor`: [2, length, D/2] fp32."""
    frequencies = torch.tensor(inverse_frequencies, dtype=torch.float32)
    positions = torch.arange(length, dtype=torch.float32)
    angles = torch.outer(positions, frequencies)
    return torch.stack((angles.cos(), angles.sin())).mul_(factor)


def rope_ref(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The meaning of the op, in plain torch."""
    x1, x2 = x.float().chunk(2, dim=-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), dim=-1).to(x.dtype)


def rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate all heads of each token; yields a new contiguous tensor.

    In fp32 each half is one product and one fused multiply-add into the result, with no other copy.
    """
    if x.dtype != torch.float32:
        return rope_ref(x, cos, sin)
    half = x.shape[-1] // 2
    cos, sin = cos[:, None], sin[:, None]  # [T, 1, D/2]
    x1, x2 = x[..., :half], x[..., half:]
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    y1, y2 = y[..., :half], y[..., half:]
    torch.mul(x1, cos, out=y1)
    y1.addcmul_(x2, sin, value=-1)
    torch.mul(x2, cos, out=y2)
    y2.addcmul_(x1, sin)
    return y


def bytes_moved(T: int, H: int, D: int, itemsize: int) -> int:
    """Bytes one call reads and writes when nothing is passed over twice."""
    return 2 * T * H * D * itemsize + T * D * 4
