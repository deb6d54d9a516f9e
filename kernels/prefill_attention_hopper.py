"""prefill_attention.py in CUDA C++ for Hopper: cuda/prefill_attention.cu, and when to use it.

Shapes: q [T, H, D], pools [N, K, D], y [T, H, D], as there; D 64 or 128.
Types:  bf16; scores and sums in fp32, weights rounded to bf16.
Moves:  q and y once, K and V of the root path once for each QUERIES rows, in tiles of TILE tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sglc.kernels.contract import require_attention
from sglc.kernels.cuda_kernel import cuda_kernel
from sglc.kernels.hopper import TensorMap, is_hopper, num_processors, tensor_map
from sglc.kernels.prefill_work import QUERIES, PrefillWork

TILE = 128  # tokens: the source's
_LINE = 64  # numbers of a row of 128 bytes
_BYTES = 2  # of a bf16
_Q_STAGES = 2


def takes(q: Tensor, k_pool: Tensor) -> bool:
    """True for types, head sizes and devices that the kernel knows."""
    return q.dtype == torch.bfloat16 and k_pool.shape[2] in (64, 128) and is_hopper(q.device)


def run(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, work: PrefillWork, *, out: Tensor | None = None
) -> Tensor:
    """Attend as `work` says, into `out` where given. Tensors that `takes` holds for."""
    require_attention("prefill_attention", q, k_pool, v_pool, QUERIES)
    T, H, D = q.shape
    K = k_pool.shape[1]
    G = H // K
    if out is None:
        out = torch.empty_like(q)
    stages = 256 // D  # of tiles on their way
    q_map = tensor_map(
        q.data_ptr(), (D, H, T), (D * _BYTES, H * D * _BYTES), (_LINE, G, QUERIES // G)
    )
    kernel = cuda_kernel("prefill_attention", "prefill_attention", D=D, G=G, STAGES=stages)
    kernel(
        (num_processors(q.device), 1, 1), 3 * 128,
        q_map, _pool_map(k_pool), _pool_map(v_pool), out,
        work.units, work.num_units, work.extents, math.log2(math.e) / math.sqrt(D), K,
        shared=(_Q_STAGES * QUERIES + 2 * stages * TILE) * D * _BYTES + 1024,
    )  # fmt: skip
    return out


def _pool_map(pool: Tensor) -> TensorMap:
    """Tiles of one head."""
    N, K, D = pool.shape
    return tensor_map(pool.data_ptr(), (D, K, N), (D * _BYTES, K * D * _BYTES), (_LINE, 1, TILE))
