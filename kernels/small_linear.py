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
from sglc.kernels.cuda_kernel import Argument, cuda_kernel

MOST_ROWS = 16
STEP = 64  # of K
TILES, DEPTH = 2, 2  # rows of W in sixteens a block has, and steps of them on their way


class Result(IntEnum):
    """What becomes of the sums; the numbers are the source's."""

    STORE = 0
    STORE_FP32 = 1
    ADD = 2
    GATE = 3
    ROTATE = 4


def takes(x: Tensor, weight: Tensor) -> bool:
    """True for shapes and types that the kernel knows and is the faster for."""
    return (
        x.is_cuda
        and x.dtype == torch.bfloat16
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
    K, N = x.shape[1], y.shape[1]
    rows = 2 * N if result == Result.GATE else N
    require(takes(x, weight), "small_linear", "few rows of bf16 and whole steps of K")
    require(weight.shape == (rows, K), "small_linear", f"weights {[rows, K]}")
    require(y.is_contiguous(), "small_linear", "a contiguous y")
    _launch(result, x, weight, bias, y, norm, N, eps)


def run_rotated(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm: Tensor,
    eps: float,
    positions: Tensor,
    slots: Tensor,
    table: Tensor,
    k_pool: Tensor,
    v_pool: Tensor,
) -> Tensor:
    """normed_linear and `qkv_rope_write` in one; positions and slots int64, heads of 32 times
    anything. Yields the rotated queries [M, H, D]."""
    _, num_kv, D = k_pool.shape
    num_q = weight.shape[0] // D - 2 * num_kv
    require(takes_rotated(x, weight, positions, slots, D), "small_linear", "few rows, whole heads")
    y = x.new_empty((x.shape[0], num_q, D))
    more = (positions, slots, table, k_pool, v_pool, table.shape[1], num_q, num_kv, D)
    _launch(Result.ROTATE, x, weight, bias, y, norm, weight.shape[0] // 2, eps, *more)
    return y


def takes_rotated(x: Tensor, weight: Tensor, positions: Tensor, slots: Tensor, D: int) -> bool:
    return takes(x, weight) and D % 32 == 0 and positions.dtype == slots.dtype == torch.int64


def _launch(
    result: Result,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    y: Tensor,
    norm: Tensor | None,
    N: int,
    eps: float,
    *more: Argument,
) -> None:
    """`N` results a row, of one row of the weights each, or of two."""
    M, K = x.shape
    require(x.is_contiguous(), "small_linear", "a contiguous x")
    columns = TILES * 16 // (weight.shape[0] // N)  # results that a block makes of each row
    num_blocks = -(-N // columns)
    warps = _num_warps(num_blocks, x.device)
    kernel = cuda_kernel(
        "small_linear",
        "small_linear",
        COLUMN_TILES=-(-M // 8),
        ROW_TILES=TILES,
        WARPS=warps,
        DEPTH=DEPTH,
        NORMED=int(norm is not None),
        RESULT=int(result),
    )
    arguments = (x, weight, bias, norm, y, M, N, K, eps, *more)
    kernel((num_blocks, 1, 1), warps * 32, *arguments, overlaps=True)


def _num_warps(num_blocks: int, device: torch.device) -> int:
    """Of 4, 8 and 16 warps, 1 to 4 steps of depth and 1 or 2 tiles, these were within 2 % of the
    best for every matrix of an 8B model (H100, 1 to 8 rows, 2026-11): small blocks where all of
    them run at once but not evenly, large ones elsewhere."""
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return 8 if processors < num_blocks <= 3 * processors else 16
