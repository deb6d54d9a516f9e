"""y = silu(x G^T) * (x U^T) for many rows on Hopper: cuda/gated_linear.cu, and when to use it.

Shapes: x [M, K], weight [2N, K] (G, then U), y [M, N]; K and N multiples of 8.
Types:  bf16, sums in fp32.
Moves:  `linear.bytes_moved` of the product, whose result is not written; bound by 4*M*N*K
        operations, as the vendor's product is, which a pass for the gate must follow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sglc.kernels.contract import require
from sglc.kernels.cuda_kernel import cuda_kernel
from sglc.kernels.hopper import is_hopper, num_processors, tensor_map

LEAST_ROWS = 1024
STAGES = 4
_ROWS, _COLUMNS, _STEP = 128, 128, 64  # of a tile of y, and of K: the source's
_CLUSTER = 2
_BYTES = 2  # of a bf16
_SHARED = STAGES * (_ROWS + 2 * _COLUMNS) * _STEP * _BYTES + 1024  # where a stage may begin


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


def run(x: Tensor, weight: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`out` where given, else a new tensor [M, N]. Contiguous tensors that `takes` holds for."""
    M, K = x.shape
    N = weight.shape[0] // 2
    require(takes(x, weight), "gated_linear", "many rows of bf16 on Hopper")
    require(weight.shape[1] == K, "gated_linear", f"weights of {K} columns")
    y = x.new_empty((M, N)) if out is None else out
    require(y.shape == (M, N), "gated_linear", f"results {[M, N]}")
    require(x.is_contiguous() and y.is_contiguous(), "gated_linear", "contiguous x and y")
    stride = K * _BYTES
    x_map = tensor_map(x.data_ptr(), (K, M), (stride,), (_STEP, _ROWS))
    # eight rows of G, the eight of U that they gate, the next eight; a block fetches half a tile's
    weight_map = tensor_map(
        weight.data_ptr(), (K, 8, 2, N // 8), (stride, N * stride, 8 * stride),
        (_STEP, 8, 2, _COLUMNS // 8 // _CLUSTER),
    )  # fmt: skip
    kernel = cuda_kernel("gated_linear", "gated_linear", STAGES=STAGES)
    num_blocks = num_processors(x.device) // _CLUSTER * _CLUSTER
    kernel((num_blocks, 1, 1), 3 * 128, x_map, weight_map, y, M, N, K, shared=_SHARED)
    return y
