"""y = x W^T + bias (+ y), whose rows are the same bits in any batch.

Shapes: x [T, K], W [N, K], bias [N], y [T, N], all contiguous.
Types:  fp16/bf16/fp32, one type, y also fp32 for any; sums in fp32, rounded once, with the bias
and what y held before added before that.
Law: a row of y follows from its row of x, W, bias and what it held. It depends neither on T nor on
the row's place: sums go over K in one order, on one kind of unit of the device. The vendor's
products keep no such law, as their tiles and splits of K change with T.
Moves:  `linear.bytes_moved`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sglc.kernels.contract import require


def fixed_linear_ref(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    adds_to: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The meaning of the op, a row at a time: shapes that never change keep the law."""
    y = each_row(lambda row: F.linear(row.float(), weight.float()), x)
    if bias is not None:
        y += bias
    if adds_to is not None:
        return adds_to.copy_(y + adds_to)
    return y.to(dtype or x.dtype)


def each_row(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function` of each row [1, K] of `x`, one after another; of all of them, if there are
    none."""
    return torch.cat([function(row) for row in torch.split(x, 1)]) if len(x) else function(x)


def fixed_linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    adds_to: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """A new tensor of `dtype` (that of `x`), or `adds_to`, to which the product was added."""
    name = "fixed_linear"
    T, K = x.shape
    N = weight.shape[0]
    require(weight.shape == (N, K), name, f"weights of {K} columns, got {list(weight.shape)}")
    require(x.is_contiguous() and weight.is_contiguous(), name, "contiguous x and weights")
    if adds_to is not None:
        require(adds_to.shape == (T, N), name, f"sums {[T, N]}, got {list(adds_to.shape)}")
        require(adds_to.is_contiguous() and dtype is None, name, "contiguous sums of their type")
    if not x.is_cuda:
        return fixed_linear_ref(x, weight, bias, adds_to=adds_to, dtype=dtype)
    # Triton is not there on every machine
    from sglc.kernels.fixed_linear_triton import fixed_linear_triton

    return fixed_linear_triton(x, weight, bias, adds_to=adds_to, dtype=dtype)
