"""table_attention.py on a GPU.

A program attends with the rows of one unit, for one kv head; the query heads of that head and the
rows are the rows of its products, which always have QUERIES, so that one new token and a long
prefill run the same instructions. It goes over the spans and merges them as they come. In work with
`num_spans` it has one span, leaves its result in memory, and the last one to end merges them all,
in the same order by the same function.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglc.kernels.contract import require
from sglc.kernels.table_work import QUERIES, SPAN, TableWork

LOWEST = tl.constexpr(-1e30)  # below all scores, and finite


@triton.jit
def _attend(
    q, position, k_ptr, v_ptr, stride, slots_ptr, begin, end, scale,
    M: tl.constexpr, D: tl.constexpr, TILE: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Attend to positions [begin, end), `begin` a multiple of TILE, with rows q [M, D] at
    `position` [M]: sums [M, D], their weights' sums and the maxima [M]. A row that sees none of a
    tile keeps what it has, bit by bit: its weights are zeros, and it fades by 1. Sums of products
    are told which one is added to which, since the compiler may choose otherwise elsewhere."""
    n = tl.arange(0, TILE)
    d = tl.arange(0, D)
    sums = tl.zeros([M, D], tl.float32)
    total = tl.zeros([M], tl.float32)
    highest = tl.full([M], LOWEST, tl.float32)
    slot = tl.load(slots_ptr + begin + n, mask=begin + n < end, other=0)
    for start in tl.range(begin, end, TILE, num_stages=STAGES):
        at = slot.to(tl.int64)[:, None] * stride + d[None, :]
        is_there = start + n < end
        # the next tile's slots, a tile ahead of their use
        after = start + TILE + n
        slot = tl.load(slots_ptr + after, mask=after < end, other=0)
        k = tl.load(k_ptr + at, mask=is_there[:, None], other=0.0)  # [TILE, D]
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        is_seen = is_there[None, :] & ((start + n)[None, :] <= position[:, None])
        scores = tl.where(is_seen, scores, float("-inf"))  # [M, TILE]
        higher = tl.maximum(highest, tl.max(scores, 1) * scale)
        weights = tl.exp2(tl.fma(scores, scale, -higher[:, None]))
        fade = tl.exp2(highest - higher)
        total = tl.fma(total, fade, tl.sum(weights, 1))
        v = tl.load(v_ptr + at, mask=is_there[:, None], other=0.0)
        sums = tl.dot(weights.to(v.dtype), v, sums * fade[:, None], input_precision=PRECISION)
        highest = higher
    return sums, total, highest


@triton.jit
def _merge(sums, total, highest, more, more_total, peak):
    """Add a span's result [M, D], [M], [M] to that of the spans before it. The first one is taken
    as it is, and one of which a row sees nothing changes nothing: both by exact zeros and ones."""
    higher = tl.maximum(highest, peak)
    fade = tl.exp2(highest - higher)
    weight = tl.exp2(peak - higher)
    sums = tl.fma(sums, fade[:, None], more * weight[:, None])
    total = tl.fma(total, fade, more_total * weight)
    return sums, total, higher


# what differs between batches must not make another kernel
@triton.jit(do_not_specialize=["num_spans"])
def _table_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, stride, units_ptr, slots_ptr,
    y_ptr, total_ptr, peak_ptr, done_ptr, num_spans, scale,
    IS_CUT: tl.constexpr, K: tl.constexpr, G: tl.constexpr, D: tl.constexpr, M: tl.constexpr,
    SPAN: tl.constexpr, TILE: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(0) % K
    unit = tl.program_id(0) // K
    if IS_CUT:
        span = unit % num_spans
        unit = unit // num_spans
    first_row = tl.load(units_ptr + 4 * unit)
    num_rows = tl.load(units_ptr + 4 * unit + 1)
    first_position = tl.load(units_ptr + 4 * unit + 2)
    slots_ptr += tl.load(units_ptr + 4 * unit + 3)
    m = tl.arange(0, M)
    d = tl.arange(0, D)
    is_row = m < num_rows * G
    row = first_row + m // G
    q_head = row.to(tl.int64) * (K * G) + head * G + m % G
    q_at = q_head[:, None] * D + d[None, :]
    position = first_position + m // G
    end = tl.where(num_rows > 0, first_position + num_rows, 0)
    k_ptr += head * D
    v_ptr += head * D
    sums = tl.zeros([M, D], tl.float32)
    total = tl.zeros([M], tl.float32)
    highest = tl.full([M], LOWEST, tl.float32)
    if IS_CUT:
        begin = span * SPAN
        if begin < end:
            q = tl.load(q_ptr + q_at, mask=is_row[:, None], other=0.0)
            more, more_total, peak = _attend(
                q, position, k_ptr, v_ptr, stride, slots_ptr, begin,
                tl.minimum(begin + SPAN, end), scale, M, D, TILE, STAGES, PRECISION,
            )  # fmt: skip
            at = (row.to(tl.int64) * num_spans + span) * (K * G) + head * G + m % G
            tl.store(y_ptr + at[:, None] * D + d[None, :], more, mask=is_row[:, None])
            tl.store(total_ptr + at, more_total, mask=is_row)
            tl.store(peak_ptr + at, peak, mask=is_row)
            tl.debug_barrier()  # all threads' results are there before any thread counts them
            count = tl.cdiv(end, SPAN)
            done = done_ptr + unit * K + head
            if tl.atomic_add(done, 1, sem="acq_rel") == count - 1:
                tl.store(done, 0)
                for other in range(0, count):
                    at = (row.to(tl.int64) * num_spans + other) * (K * G) + head * G + m % G
                    # from the L2 cache, which all multiprocessors share
                    more = tl.load(
                        y_ptr + at[:, None] * D + d[None, :],
                        mask=is_row[:, None], other=0.0, cache_modifier=".cg",
                    )  # fmt: skip
                    more_total = tl.load(
                        total_ptr + at, mask=is_row, other=1.0, cache_modifier=".cg"
                    )
                    peak = tl.load(peak_ptr + at, mask=is_row, other=0.0, cache_modifier=".cg")
                    sums, total, highest = _merge(sums, total, highest, more, more_total, peak)
                y = (sums / total[:, None]).to(out_ptr.dtype.element_ty)
                tl.store(out_ptr + q_at, y, mask=is_row[:, None])
    else:
        q = tl.load(q_ptr + q_at, mask=is_row[:, None], other=0.0)
        for begin in range(0, end, SPAN):
            more, more_total, peak = _attend(
                q, position, k_ptr, v_ptr, stride, slots_ptr, begin,
                tl.minimum(begin + SPAN, end), scale, M, D, TILE, STAGES, PRECISION,
            )  # fmt: skip
            sums, total, highest = _merge(sums, total, highest, more, more_total, peak)
        y = (sums / total[:, None]).to(out_ptr.dtype.element_ty)
        tl.store(out_ptr + q_at, y, mask=is_row[:, None])


def table_attention_triton(q: Tensor, k_pool: Tensor, v_pool: Tensor, work: TableWork) -> Tensor:
    """`table_attention` in Triton, wherever the tensors are: its interpreter takes the CPU's."""
    T, H, D = q.shape
    _, K, _ = k_pool.shape
    name = "table_attention"
    require(H % K == 0, name, f"query heads a multiple of {K} kv heads, got {H}")
    require(H // K <= QUERIES, name, f"at most {QUERIES} query heads a kv head")
    require(D in (16, 32, 64, 128, 256), name, f"head size 16 to 256, got {D}")
    require(
        q.is_contiguous() and k_pool.is_contiguous() and v_pool.is_contiguous(),
        name,
        "contiguous q and pools",
    )
    out = torch.empty_like(q)
    num_spans = work.num_spans
    require(not num_spans or work.num_done is not None, name, "counts for spans of their own")
    partial_y = q.new_empty((T * num_spans, H, D), dtype=torch.float32)
    totals, peaks = q.new_empty((2, T * num_spans, H), dtype=torch.float32)
    grid = (len(work.units) * max(num_spans, 1) * K,)
    _table_kernel[grid](
        q, k_pool, v_pool, out, k_pool.stride(0), work.units, work.slots,
        partial_y, totals, peaks, work.num_done if num_spans else work.units,
        num_spans, math.log2(math.e) / math.sqrt(D),
        IS_CUT=num_spans > 0, K=K, G=H // K, D=D, M=QUERIES, SPAN=SPAN, **_tiles(q.dtype, D),
    )  # fmt: skip
    return out


def _tiles(dtype: torch.dtype, D: int) -> dict[str, int | str]:
    """Positions of a tile, depth of the pipeline and warps. They follow from type and head size
    alone: other tiles add up in another order. Of 2 and 3 stages the better over 512 rows of 400
    tokens and prefills of 2,048 (H100, bf16, H=32, K=8, D=128, 2026-11)."""
    if dtype == torch.float32:
        return {"TILE": 32, "STAGES": 1, "PRECISION": "ieee", "num_warps": 8}
    if D > 128:
        return {"TILE": 32, "STAGES": 2, "PRECISION": "tf32", "num_warps": 8}
    return {"TILE": 64, "STAGES": 2, "PRECISION": "tf32", "num_warps": 4}
