"""Few rows times a large matrix in bf16: cuda/small_linear.cu, and when to use it.

Shapes: x [M, K], weight [N, K] ([2N, K] for GATE), bias [N] ([2N]), norm [K], y [M, N].
Moves:  N*K*2 bytes of weights once; the rest is small and stays in the caches.
Weights are on their way before the kernel ahead is over, where the device can do that.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

from sglc.kernels.contract import require
from sglc.kernels.cuda_kernel import CudaKernel, cuda_kernel

MOST_ROWS = 16
STEP = 64  # of K
WARPS = 8


class Result(IntEnum):
    """What becomes of the sums; the numbers are the source's."""

    STORE = 0
    STORE_FP32 = 1
    ADD = 2
    GATE = 3


def takes(x: Tensor, weight: Tensor) -> bool:
    """True for shapes and types that the kernel knows and is the faster for."""
    return (
        x.dtype == torch.bfloat16
        and 0 < x.shape[0] <= MOST_ROWS
        and weight.shape[1] % STEP == 0
        and weight.is_contiguous()
    )


def run(
    result: Result,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    y: Tensor,
    norm: Tensor | None = None,
    eps: float = 0.0,
) -> None:
    """y = f(norm(x) W^T + bias), or y += with ADD. Contiguous tensors that `takes` holds for."""
    M, K = x.shape
    N = y.shape[1]
    rows = 2 * N if result == Result.GATE else N
    require(takes(x, weight), "small_linear", "few rows of bf16 and whole steps of K")
    require(weight.shape == (rows, K), "small_linear", f"weights {[rows, K]}")
    require(x.is_contiguous() and y.is_contiguous(), "small_linear", "contiguous x and y")
    kernel, rows_a_block = _kernel(result, M, norm is not None)
    grid = (-(-N // rows_a_block), 1, 1)
    kernel(grid, WARPS * 32, x, weight, bias, norm, y, M, N, K, eps, overlaps=True)


def _kernel(result: Result, M: int, is_normed: bool) -> tuple[CudaKernel, int]:
    """The kernel, and how many columns of y a block of it makes."""
    row_tiles = 2 if result == Result.GATE else 1
    kernel = cuda_kernel(
        "small_linear",
        "small_linear",
        COLUMN_TILES=1 if M <= 8 else 2,
        ROW_TILES=row_tiles,
        WARPS=WARPS,
        DEPTH=4 // row_tiles,
        NORMED=int(is_normed),
        RESULT=int(result),
    )
    return kernel, 16
