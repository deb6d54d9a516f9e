"""What stands between the QKV product and attention, in one pass: split, q/k norm, RoPE, KV write.

Shapes: qkv [T, (H+2K)*D] contiguous (a token's query heads, then its k and v heads), positions and
slots [T] int32 or int64, table [2, P, D/2] fp32 (cos and sin, `rope.rope_table`), norms [D] or
None, pools [N, K, D], y (the rotated queries) [T, H, D].
Types:  qkv, norms and pools fp16/bf16/fp32, one type; arithmetic in fp32, rounded once.
Moves:  2*T*(H+2K)*D*itemsize bytes, and 4*T*D of the table.
A row whose slot is negative is not written. Pools stay finite: what is not is written as 0 in K,
as 0 or the largest number in V.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglc.kernels.contract import require
from sglc.kernels.rms_norm import rms_norm_ref
from sglc.kernels.rope import rope_ref

HEADS = 8  # a program


class Place(NamedTuple):
    """Where tokens stand, how positions rotate, and where a layer's K and V go."""

    positions: Tensor  # [T]
    slots: Tensor  # [T]
    table: Tensor  # [2, P, D/2]
    k_pool: Tensor  # [N, K, D]
    v_pool: Tensor  # [N, K, D]


def qkv_rope_write_ref(
    qkv: Tensor,
    positions: Tensor,
    slots: Tensor,
    table: Tensor,
    k_pool: Tensor,
    v_pool: Tensor,
    q_norm: Tensor | None = None,
    k_norm: Tensor | None = None,
    eps: float = 0.0,
) -> Tensor:
    """The meaning of the op, in plain torch."""
    _, K, D = k_pool.shape
    heads = qkv.view(qkv.shape[0], -1, D)
    q, k, v = heads[:, : -2 * K], heads[:, -2 * K : -K], heads[:, -K:]
    if q_norm is not None and k_norm is not None:
        q, k = rms_norm_ref(q, q_norm, eps), rms_norm_ref(k, k_norm, eps)
    cos, sin = table[:, positions.long()]
    kept = slots >= 0
    k_pool[slots[kept].long()] = rope_ref(k, cos, sin)[kept].nan_to_num(0.0, 0.0, 0.0)
    v_pool[slots[kept].long()] = v[kept].nan_to_num()
    return rope_ref(q, cos, sin)


@triton.jit
def _qkv_rope_write_kernel(
    qkv_ptr,
    positions_ptr,
    slots_ptr,
    cos_ptr,
    sin_ptr,
    q_norm_ptr,
    k_norm_ptr,
    y_ptr,
    k_pool_ptr,
    v_pool_ptr,
    eps,
    largest,
    H: tl.constexpr,
    K: tl.constexpr,
    D: tl.constexpr,
    HAS_NORM: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)[:, None]
    at = tl.arange(0, HALF)[None, :]
    is_inside = (head < H + 2 * K) & (at < D // 2)
    is_q, is_v = head < H, head >= H + K
    source = qkv_ptr + token * (H + 2 * K) * D + head * D + at
    x1 = tl.load(source, mask=is_inside, other=0.0).to(tl.float32)
    x2 = tl.load(source + D // 2, mask=is_inside, other=0.0).to(tl.float32)
    y1, y2 = x1, x2
    if HAS_NORM:
        squares = tl.sum(x1 * x1 + x2 * x2, axis=1)
        scale = tl.rsqrt(squares / D + eps)[:, None]
        for_q, for_k = is_inside & is_q, is_inside & (head >= H)
        w1 = tl.load(q_norm_ptr + at + head * 0, mask=for_q, other=0.0).to(tl.float32)
        w2 = tl.load(q_norm_ptr + at + D // 2 + head * 0, mask=for_q, other=0.0).to(tl.float32)
        w1 += tl.load(k_norm_ptr + at + head * 0, mask=for_k, other=0.0).to(tl.float32)
        w2 += tl.load(k_norm_ptr + at + D // 2 + head * 0, mask=for_k, other=0.0).to(tl.float32)
        y1, y2 = y1 * scale * w1, y2 * scale * w2
    angle = tl.load(positions_ptr + token).to(tl.int64) * (D // 2) + at
    cos = tl.load(cos_ptr + angle, mask=at < D // 2, other=0.0)
    sin = tl.load(sin_ptr + angle, mask=at < D // 2, other=0.0)
    r1 = tl.where(is_v, x1, y1 * cos - y2 * sin)
    r2 = tl.where(is_v, x2, y2 * cos + y1 * sin)
    y = y_ptr + token * H * D + head * D + at
    tl.store(y, r1.to(y_ptr.dtype.element_ty), mask=is_inside & is_q)
    tl.store(y + D // 2, r2.to(y_ptr.dtype.element_ty), mask=is_inside & is_q)
    slot = tl.load(slots_ptr + token).to(tl.int64)
    is_written = is_inside & (slot + head * 0 >= 0)
    # comparisons with NaN are false
    f1 = tl.where(tl.abs(r1) <= largest, r1, 0.0)
    f2 = tl.where(tl.abs(r2) <= largest, r2, 0.0)
    is_k = is_written & (head >= H) & (head < H + K)
    k = k_pool_ptr + slot * K * D + (head - H) * D + at
    tl.store(k, f1.to(k_pool_ptr.dtype.element_ty), mask=is_k)
    tl.store(k + D // 2, f2.to(k_pool_ptr.dtype.element_ty), mask=is_k)
    f1 = tl.where(r1 > largest, largest, tl.where(r1 < -largest, -largest, f1))
    f2 = tl.where(r2 > largest, largest, tl.where(r2 < -largest, -largest, f2))
    is_v = is_written & is_v
    v = v_pool_ptr + slot * K * D + (head - H - K) * D + at
    tl.store(v, f1.to(v_pool_ptr.dtype.element_ty), mask=is_v)
    tl.store(v + D // 2, f2.to(v_pool_ptr.dtype.element_ty), mask=is_v)


def qkv_rope_write(
    qkv: Tensor,
    positions: Tensor,
    slots: Tensor,
    table: Tensor,
    k_pool: Tensor,
    v_pool: Tensor,
    q_norm: Tensor | None = None,
    k_norm: Tensor | None = None,
    eps: float = 0.0,
) -> Tensor:
    """The rotated queries, a new tensor [T, H, D]; rotated keys and values into the pools."""
    T = qkv.shape[0]
    N, K, D = k_pool.shape
    H = qkv.shape[1] // D - 2 * K
    name = "qkv_rope_write"
    require(qkv.is_contiguous() and qkv.shape[1] == (H + 2 * K) * D, name, "whole heads")
    require(k_pool.is_contiguous() and v_pool.is_contiguous(), name, "contiguous pools")
    require(v_pool.shape == (N, K, D), name, f"v_pool {[N, K, D]}, got {list(v_pool.shape)}")
    require(positions.shape == slots.shape == (T,), name, f"a position and a slot of {T} tokens")
    require((q_norm is None) == (k_norm is None), name, "both norms or none")
    y = qkv.new_empty((T, H, D))
    if T:
        grid = (T, triton.cdiv(H + 2 * K, HEADS))
        _qkv_rope_write_kernel[grid](
            qkv,
            positions,
            slots,
            table[0],
            table[1],
            q_norm,
            k_norm,
            y,
            k_pool,
            v_pool,
            eps,
            torch.finfo(qkv.dtype).max,
            H,
            K,
            D,
            q_norm is not None,
            HEADS,
            triton.next_power_of_2(D // 2),
            num_warps=4,
        )
    return y


def bytes_moved(T: int, H: int, K: int, D: int, itemsize: int) -> int:
    """Bytes one call reads and writes."""
    return 2 * T * (H + 2 * K) * D * itemsize + 4 * T * D
