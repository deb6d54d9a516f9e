"""Attention of a prefill on the GPU: many segments in one batch, each below its root path.

Shapes: q [T, H, D], the rows of the new tokens; pools [N, K, D], with the new tokens' K and V in
        them; y [T, H, D]; scale 1/sqrt(D).
Types:  all one of fp16/bf16/fp32; scores and sums in fp32.

`PrefillWork` says who sees what. A program attends with some rows of a segment for one kv head: its
query heads and the rows are the rows of the products, so short segments fill them too. It goes over
the segment's extents, tile by tile; only tiles that reach beyond its first row's position, or the
extent's end, are masked. Online softmax as in FlashAttention-2 (Dao, 2023).
Law: rows are independent, and a slot that is not shown to a row's program is not read for it.
Rows of q that no unit names are not written.
Moves:  q and y once, K and V of the root path once for each QUERIES rows; bound by
        `prefill_flops` where segments are long.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglc.kernels import prefill_attention_hopper
from sglc.kernels.contract import require_attention
from sglc.kernels.prefill_work import QUERIES, PrefillWork
from sglc.kernels.tree_attention import tree_attention_ref


def prefill_attention_ref(q: Tensor, k_pool: Tensor, v_pool: Tensor, work: PrefillWork) -> Tensor:
    """The meaning of the op, row by row; rows that no unit names are zeros."""
    y = torch.zeros_like(q)
    extents = work.extents.tolist()
    for row, count, position, first, end in work.units[: int(work.num_units)].tolist():
        for i in range(count):
            seen: list[int] = []
            for slot, num_tokens, at in extents[first:end]:
                seen += range(slot, slot + max(0, min(num_tokens, position + i + 1 - at)))
            slots = torch.tensor(seen, dtype=torch.int64, device=q.device)
            y[row + i : row + i + 1] = tree_attention_ref(
                q[row + i : row + i + 1], k_pool, v_pool, [slots]
            )
    return y


@triton.jit
def _attend(
    q, sums, total, highest,
    k_ptr, v_ptr, stride, slot, begin, end, position, scale,
    MASKED: tl.constexpr, D: tl.constexpr, TILE: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Add an extent's tokens [begin, end); where `MASKED`, a row sees of them those at most
    `position` [M] from the extent's first."""
    n = tl.arange(0, TILE)
    offsets = n[:, None] * stride + tl.arange(0, D)[None, :]
    for start in tl.range(begin, end, TILE, num_stages=STAGES):
        at = (slot + start).to(tl.int64) * stride
        if MASKED:
            is_there = start + n < end
            k = tl.load(k_ptr + at + offsets, mask=is_there[:, None], other=0.0)
        else:
            k = tl.load(k_ptr + at + offsets)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        if MASKED:
            is_seen = (start + n)[None, :] <= position[:, None]
            scores = tl.where(is_seen & is_there[None, :], scores, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - higher[:, None])
        fade = tl.exp2(highest - higher)
        total = total * fade + tl.sum(weights, 1)
        if MASKED:
            v = tl.load(v_ptr + at + offsets, mask=is_there[:, None], other=0.0)
        else:
            v = tl.load(v_ptr + at + offsets)
        sums = tl.dot(weights.to(v.dtype), v, sums * fade[:, None], input_precision=PRECISION)
        highest = higher
    return sums, total, highest


@triton.jit
def _prefill_kernel(
    q_ptr, k_ptr, v_ptr, y_ptr, stride, units_ptr, num_units_ptr, extents_ptr, scale,
    K: tl.constexpr, G: tl.constexpr, D: tl.constexpr, M: tl.constexpr, TILE: tl.constexpr,
    STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(0) % K
    unit = tl.program_id(0) // K
    if unit < tl.load(num_units_ptr):
        first_row = tl.load(units_ptr + 5 * unit)
        num_rows = tl.load(units_ptr + 5 * unit + 1)
        first_position = tl.load(units_ptr + 5 * unit + 2)
        first_extent = tl.load(units_ptr + 5 * unit + 3)
        end_extent = tl.load(units_ptr + 5 * unit + 4)
        m = tl.arange(0, M)
        is_row = m < num_rows * G
        q_head = (first_row + m // G).to(tl.int64) * (K * G) + head * G + m % G
        q_at = q_head[:, None] * D + tl.arange(0, D)[None, :]
        q = tl.load(q_ptr + q_at, mask=is_row[:, None], other=0.0)
        position = first_position + m // G
        k_ptr += head * D
        v_ptr += head * D
        highest = tl.full([M], float("-inf"), tl.float32)
        total = tl.zeros([M], tl.float32)
        sums = tl.zeros([M, D], tl.float32)
        for extent in range(first_extent, end_extent):
            slot = tl.load(extents_ptr + 3 * extent)
            num_tokens = tl.load(extents_ptr + 3 * extent + 1)
            at = tl.load(extents_ptr + 3 * extent + 2)
            # tokens that all rows see, in whole tiles; and tokens that any row sees
            whole = tl.maximum(tl.minimum(num_tokens, first_position + 1 - at), 0) // TILE * TILE
            end = tl.minimum(num_tokens, first_position + num_rows - at)
            sums, total, highest = _attend(
                q, sums, total, highest, k_ptr, v_ptr, stride, slot, 0, whole,
                position - at, scale, False, D, TILE, STAGES, PRECISION,
            )  # fmt: skip
            sums, total, highest = _attend(
                q, sums, total, highest, k_ptr, v_ptr, stride, slot, whole, end,
                position - at, scale, True, D, TILE, STAGES, PRECISION,
            )  # fmt: skip
        y = (sums / total[:, None]).to(y_ptr.dtype.element_ty)
        tl.store(y_ptr + q_at, y, mask=is_row[:, None])


def prefill_attention(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, work: PrefillWork, *, out: Tensor | None = None
) -> Tensor:
    """Attend as `work` says, into `out` where given; the new tokens' K and V are in the pools.

    On the GPU it allocates nothing where `out` is given, waits for nothing, and reads all that
    varies from the tensors of `work`: it may be captured in a graph.
    """
    if prefill_attention_hopper.takes(q, k_pool):
        return prefill_attention_hopper.run(q, k_pool, v_pool, work, out=out)
    if q.is_cuda:
        return prefill_attention_triton(q, k_pool, v_pool, work, out=out)
    y = prefill_attention_ref(q, k_pool, v_pool, work)
    return y if out is None else out.copy_(y)


def prefill_attention_triton(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, work: PrefillWork, *, out: Tensor | None = None
) -> Tensor:
    """`prefill_attention` in Triton, wherever the tensors are: its interpreter takes the CPU's."""
    _, H, D = q.shape
    _, K, _ = k_pool.shape
    require_attention("prefill_attention", q, k_pool, v_pool, QUERIES)
    if out is None:
        out = torch.empty_like(q)
    _prefill_kernel[(len(work.units) * K,)](
        q, k_pool, v_pool, out, k_pool.stride(0),
        work.units, work.num_units, work.extents, math.log2(math.e) / math.sqrt(D),
        K=K, G=H // K, D=D, M=QUERIES, **_tiles(q.dtype, D),
    )  # fmt: skip
    return out


def _tiles(dtype: torch.dtype, D: int) -> dict[str, int | str]:
    """Tile sizes, depths of the pipelines and registers; of 14 sets the best over segments of 64 to
    2048 tokens on an H100, bf16, H=32, K=8, D=128, 2026-11: two programs fit a multiprocessor."""
    if dtype == torch.float32:
        return {"TILE": 32, "STAGES": 1, "PRECISION": "ieee", "num_warps": 8}
    if D > 128:
        return {"TILE": 32, "STAGES": 2, "PRECISION": "tf32", "num_warps": 8}
    return {"TILE": 64, "STAGES": 2, "PRECISION": "tf32", "num_warps": 8, "maxnreg": 128}


def prefill_flops(work: PrefillWork, H: int, D: int) -> int:
    """Multiplications and additions of the two products, over the tokens that rows see."""
    units = work.units[: int(work.num_units)].long()
    count, position = units[:, 1], units[:, 2]
    seen = count * position + count * (count + 1) // 2
    return 4 * H * D * int(seen.sum())
