"""Many rows times a large matrix in bf16 on Hopper: cuda/large_linear.cu, and when to use it.

Shapes: x [M, K], weight [N, K] ([2N, K] for GATE), y [M, N]; K and N multiples of 8.
Types:  bf16, sums in fp32.
Moves:  what `linear.bytes_moved` says at least; bound by 2*M*K*rows operations, where the vendor's
        product is bound by the same, but what stands behind it costs no pass of its own.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

from sglc.kernels.contract import require
from sglc.kernels.cuda_kernel import cuda_kernel
from sglc.kernels.hopper import TensorMap, is_hopper, num_processors, tensor_map

LEAST_ROWS = 1024
ROWS, COLUMNS, STEP = 128, 256, 64  # of a tile, and of K: the source's
STAGES = 4
_CLUSTER = 2
_BYTES = 2  # of a bf16
_SHARED = STAGES * (ROWS + COLUMNS) * STEP * _BYTES + 1024  # where a stage may begin


class Result(IntEnum):
    """What becomes of the sums; the numbers are the source's."""

    STORE = 0
    ADD = 1
    GATE = 2


def takes(x: Tensor, weight: Tensor) -> bool:
    """True for shapes, types and devices that the kernel knows and is the faster for."""
    return (
        x.dtype == torch.bfloat16
        and x.shape[0] >= LEAST_ROWS
        and weight.shape[0] % 16 == 0
        and weight.shape[1] % 8 == 0
        and weight.is_contiguous()
        and is_hopper(x.device)
    )


def run(result: Result, x: Tensor, weight: Tensor, y: Tensor) -> None:
    """y = f(x W^T), or y += with ADD. Contiguous tensors that `takes` holds for."""
    M, K = x.shape
    N = y.shape[1]
    rows = 2 * N if result == Result.GATE else N
    require(takes(x, weight), "large_linear", "many rows of bf16 on Hopper")
    require(weight.shape == (rows, K), "large_linear", f"weights {[rows, K]}")
    require(x.is_contiguous() and y.is_contiguous(), "large_linear", "contiguous x and y")
    kernel = cuda_kernel("large_linear", "large_linear", RESULT=int(result), STAGES=STAGES)
    x_map = tensor_map(x.data_ptr(), (K, M), (K * _BYTES,), (STEP, ROWS))
    kernel(
        (num_processors(x.device) // _CLUSTER * _CLUSTER, 1, 1), 3 * 128,
        x_map, _weight_map(result, weight, N, K), y, M, N, K, shared=_SHARED,
    )  # fmt: skip


def _weight_map(result: Result, weight: Tensor, N: int, K: int) -> TensorMap:
    """Tiles of the part of W that one block of a cluster fetches."""
    rows = COLUMNS // _CLUSTER
    stride = K * _BYTES
    if result == Result.GATE:  # eight rows of the gate, the eight that it gates, the next eight
        return tensor_map(
            weight.data_ptr(), (K, 8, 2, N // 8), (stride, N * stride, 8 * stride),
            (STEP, 8, 2, rows // 16),
        )  # fmt: skip
    return tensor_map(weight.data_ptr(), (K, N), (stride,), (STEP, rows))
