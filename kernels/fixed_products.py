"""What linear.py gives, with rows that are the same bits in any batch: the products of a layer with
what stands around them.

Shapes and types are linear.py's; the residual is added in fp32 before rounding, as there.
Law: a row follows from the arguments' rows of its own, as in fixed_linear.py. What stands around
the products goes row by row: a program of `rms_norm` has a whole row, one of `qkv_rope_write` some
heads of a token, and how they are cut follows from E, H and D alone; `gated_silu` sums nothing.
Without a GPU the references run, a row at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sglc.kernels.fixed_linear import each_row, fixed_linear
from sglc.kernels.gated_silu import gated_silu_ref
from sglc.kernels.gated_silu_triton import gated_silu
from sglc.kernels.qkv_rope_write import Place, qkv_rope_write, qkv_rope_write_ref
from sglc.kernels.rms_norm import rms_norm_ref
from sglc.kernels.rms_norm_triton import rms_norm


def rotated_qkv(
    x: Tensor,
    norm: Tensor,
    eps: float,
    weight: Tensor,
    bias: Tensor | None,
    place: Place,
    q_norm: Tensor | None,
    k_norm: Tensor | None,
) -> Tensor:
    """The rotated queries [T, H, D]; `qkv_rope_write` says what becomes of the rest."""
    qkv = fixed_linear(_normed(x, norm, eps), weight, bias)
    write = qkv_rope_write if x.is_cuda else qkv_rope_write_ref
    return write(qkv, *place, q_norm, k_norm, eps)


def gated_linear(
    x: Tensor, norm: Tensor, eps: float, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    gate_up = fixed_linear(_normed(x, norm, eps), weight, bias)
    return gated_silu(gate_up) if x.is_cuda else each_row(gated_silu_ref, gate_up)


def add_linear_(y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    fixed_linear(x, weight, bias, adds_to=y)


def logits(x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor:
    """[T, N] fp32, not rounded to the type of `x` on the way."""
    return fixed_linear(_normed(x, norm, eps), weight, dtype=torch.float32)


def _normed(x: Tensor, norm: Tensor, eps: float) -> Tensor:
    if x.is_cuda:
        return rms_norm(x, norm, eps)
    return each_row(lambda row: rms_norm_ref(row, norm, eps), x)
