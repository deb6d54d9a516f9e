"""The products of a transformer's layer with what stands right before and after them, on a GPU.

normed_linear  y = norm(x) W^T + bias          gated_linear  y = silu(g) * u of [g, u] = norm(x) W^T
add_linear_    y += x W^T + bias               logits        norm(x) W^T in fp32
rotated_qkv    normed_linear, then qkv_rope_write
Shapes: x [T, K] contiguous, W [N, K] ([2N, K] for gated_linear), biases [N], y [T, N].
Types:  fp16/bf16/fp32, one type; sums in fp32.
The residual is added by the product that comes before it, in fp32, not by the norm after it: a pass
less over the residual, and one rounding less.
Few rows in bf16 go to a kernel of ours that does all of it while it reads W once, many rows of
gated_linear on Hopper to one that applies the gate to the sums; else the vendor's product and a
pass for what stands around it. The choice depends on shapes and types alone, so a
captured graph keeps it.
Moves:  N*K*itemsize bytes of weights at least: `bytes_moved`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sglc.kernels import gated_linear_hopper, small_linear
from sglc.kernels.gated_silu_triton import gated_silu
from sglc.kernels.qkv_rope_write import Place, qkv_rope_write
from sglc.kernels.rms_norm_triton import rms_norm
from sglc.kernels.small_linear import Result


def normed_linear(
    x: Tensor, norm: Tensor, eps: float, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    if small_linear.takes(x, weight):
        y = x.new_empty((x.shape[0], weight.shape[0]))
        small_linear.run(Result.STORE, x, weight, bias, y, norm, eps)
        return y
    return F.linear(rms_norm(x, norm, eps), weight, bias)


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
    D = place.k_pool.shape[2]
    if q_norm is None and small_linear.takes_rotated(x, weight, place.positions, place.slots, D):
        return small_linear.run_rotated(x, weight, bias, norm, eps, *place)
    return qkv_rope_write(normed_linear(x, norm, eps, weight, bias), *place, q_norm, k_norm, eps)


def gated_linear(
    x: Tensor, norm: Tensor, eps: float, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    if small_linear.takes(x, weight):
        y = x.new_empty((x.shape[0], weight.shape[0] // 2))
        small_linear.run(Result.GATE, x, weight, bias, y, norm, eps)
        return y
    if bias is None and gated_linear_hopper.takes(x, weight):
        return gated_linear_hopper.run(rms_norm(x, norm, eps), weight)
    return gated_silu(F.linear(rms_norm(x, norm, eps), weight, bias))


def add_linear_(y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    if small_linear.takes(x, weight):
        small_linear.run(Result.ADD, x, weight, bias, y)
        return
    # the vendor's product adds to what is there before it rounds
    y.addmm_(x, weight.t())
    if bias is not None:
        y.add_(bias)


def logits(x: Tensor, norm: Tensor, eps: float, weight: Tensor) -> Tensor:
    """[T, N] fp32, not rounded to the type of `x` on the way."""
    if small_linear.takes(x, weight):
        y = x.new_empty((x.shape[0], weight.shape[0]), dtype=torch.float32)
        small_linear.run(Result.STORE_FP32, x, weight, None, y, norm, eps)
        return y
    x = rms_norm(x, norm, eps)
    if x.dtype == torch.float32:
        return F.linear(x, weight)
    return torch.mm(x, weight.t(), out_dtype=torch.float32)


def bytes_moved(T: int, N: int, K: int, itemsize: int) -> int:
    """Bytes that y = x W^T reads and writes."""
    return (N * K + T * K + T * N) * itemsize
