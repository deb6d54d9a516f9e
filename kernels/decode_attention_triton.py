"""decode_attention.py on a GPU.

One launch: a program attends with the rows of one unit, or with those of one group to its near part
and to their own parts, for one kv head; the query heads of that head and the rows are the rows of
its products. Units, and the cuts of own parts but the first, leave partial results (normalised y
and base-2 log-sum-exp). The program of a group, or of a row's first cut, waits until the others of
its rows are written, and merges. It may wait because programs start in the order of their numbers
and it comes after all that it waits for.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from sglc.kernels.contract import require, require_attention
from sglc.kernels.decode_work import BLOCK, NARROW, WIDE, DecodeWork

LOWEST = tl.constexpr(-1e30)  # below all scores, and finite
UNCUT = tl.constexpr(3)  # blocks of an own part that one program reads sooner than several


@triton.jit
def _attend(
    q,  # [M, D]
    is_shown,  # [M]: rows that see these positions, where that is not all
    sums,
    total,
    highest,  # of what was attended to before
    k_ptr,
    v_ptr,  # of slot 0 and the program's kv head
    stride,
    slot,  # of position 0, where there is no table
    slots_ptr,
    counts_ptr,  # the table's row
    begin,  # a multiple of BLOCK
    end,
    scale,
    HAS_TABLE: tl.constexpr,
    IS_FOR_ALL: tl.constexpr,
    M: tl.constexpr,
    D: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Attend to positions [begin, end) too: sums [M, D], their weights' sums and the maxima [M]."""
    n = tl.arange(0, TILE)
    offsets = n[:, None] * stride + tl.arange(0, D)[None, :]
    count = end
    if HAS_TABLE:
        is_any = begin < end
        slot = tl.load(slots_ptr + begin // BLOCK, mask=is_any, other=0)
        count = tl.load(counts_ptr + begin // BLOCK, mask=is_any, other=0)
    for start in tl.range(begin, end, TILE, num_stages=STAGES):
        if HAS_TABLE:
            first = slot + start % BLOCK
            num_seen = tl.minimum(end - start, count - start % BLOCK)
            # the next tile's block, a tile ahead of its use
            after = (start + TILE) // BLOCK
            is_any = start + TILE < end
            slot = tl.load(slots_ptr + after, mask=is_any, other=0)
            count = tl.load(counts_ptr + after, mask=is_any, other=0)
        else:
            first = slot + start
            num_seen = end - start
        is_seen = n < num_seen
        at = first.to(tl.int64) * stride
        k = tl.load(k_ptr + at + offsets, mask=is_seen[:, None], other=0.0)  # [TILE, D]
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        is_scored = is_seen[None, :]
        if not IS_FOR_ALL:
            is_scored = is_scored & is_shown[:, None]
        scores = tl.where(is_scored, scores, float("-inf"))  # [M, TILE]
        # the maxima start finite: a row that sees none of a tile keeps its own
        higher = tl.maximum(highest, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - higher[:, None])
        fade = tl.exp2(highest - higher)
        total = total * fade + tl.sum(weights, 1)
        v = tl.load(v_ptr + at + offsets, mask=is_seen[:, None], other=0.0)
        sums = tl.dot(weights.to(v.dtype), v, sums * fade[:, None], input_precision=PRECISION)
        highest = higher
    return sums, total, highest


@triton.jit
def _run_unit(
    q_ptr, k_ptr, v_ptr, stride, entries_ptr, y_ptr, lse_ptr, done_ptr,
    first, num_tokens, first_entry, num_entries, head, scale,
    K: tl.constexpr, G: tl.constexpr, M: tl.constexpr, D: tl.constexpr,
    TILE: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A unit's rows, whose partial results go where its entries say."""
    m = tl.arange(0, M)
    d = tl.arange(0, D)
    is_row = m < num_entries * G
    entry = entries_ptr + 2 * (first_entry + m // G)
    row = tl.load(entry, mask=is_row, other=0)
    q_head = head * G + m % G
    q_at = (row.to(tl.int64) * (K * G) + q_head)[:, None] * D + d[None, :]
    q = tl.load(q_ptr + q_at, mask=is_row[:, None], other=0.0)
    sums, total, highest = _attend(
        q, is_row, tl.zeros([M, D], tl.float32), tl.zeros([M], tl.float32),
        tl.full([M], LOWEST, tl.float32), k_ptr, v_ptr, stride,
        first, entries_ptr, entries_ptr, 0, num_tokens, scale,
        False, True, M, D, TILE, 1, STAGES, PRECISION,
    )  # fmt: skip
    place = tl.load(entry + 1, mask=is_row, other=0)
    at = place.to(tl.int64) * (K * G) + q_head
    tl.store(y_ptr + at[:, None] * D + d[None, :], sums / total[:, None], mask=is_row[:, None])
    tl.store(lse_ptr + at, highest + tl.log2(total), mask=is_row)
    tl.debug_barrier()  # all threads' results are there before any thread counts them
    is_first_head = is_row & (m % G == 0)
    tl.atomic_add(done_ptr + row * K + head, 1, mask=is_first_head, sem="release")


@triton.jit
def _merge(
    sums, total, highest,
    y_ptr, lse_ptr, first_part, num_parts, first_own, num_all, place, head,
    K: tl.constexpr, G: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr, MERGE: tl.constexpr,
):  # fmt: skip
    """What a group's program found for its row `place` (of [M, D] and [M], GROUP a row, of which G
    count) and the row's partial results, `num_parts` from `first_part` on and the others from
    `first_own` on: the whole [GROUP, D].

    Each thread has all partial results of what it merges. They are read from the L2 cache, which
    all multiprocessors share.
    """
    M: tl.constexpr = sums.shape[0]
    g = tl.arange(0, GROUP)
    d = tl.arange(0, D)
    # the other rows count as zeros: adding all rows up leaves this one
    is_counted = tl.arange(0, M) // GROUP == place
    sums = tl.sum(tl.where(is_counted[:, None], sums, 0.0).reshape([M // GROUP, GROUP, D]), axis=0)
    total = tl.sum(tl.where(is_counted, total, 0.0).reshape([M // GROUP, GROUP]), axis=0)
    highest = tl.max(
        tl.where(is_counted, highest, float("-inf")).reshape([M // GROUP, GROUP]), axis=0
    )
    for start in range(0, num_all, MERGE):
        i = start + tl.arange(0, MERGE)
        partial = tl.where(i < num_parts, first_part + i, first_own + i - num_parts)
        at = partial.to(tl.int64)[:, None] * (K * G) + head * G + g[None, :]
        is_there = (i < num_all)[:, None] & (g < G)[None, :]
        # finite where nothing is: the rows beyond G
        lse = tl.load(lse_ptr + at, mask=is_there, other=-1e30, cache_modifier=".cg")
        y = tl.load(
            y_ptr + at[:, :, None] * D + d[None, None, :],
            mask=is_there[:, :, None], other=0.0, cache_modifier=".cg",
        )  # fmt: skip
        higher = tl.maximum(highest, tl.max(lse, 0))
        fade = tl.exp2(highest - higher)
        weights = tl.exp2(lse - higher[None, :])
        total = total * fade + tl.sum(weights, 0)
        sums = sums * fade[:, None] + tl.sum(y * weights[:, :, None], 0)
        highest = higher
    return sums / total[:, None]


@triton.jit
def _of_row(values, place, GROUP: tl.constexpr):
    """What `values` [M] holds for row `place` of a group."""
    m = tl.arange(0, values.shape[0])
    return tl.sum(tl.where(m == place * GROUP, values, 0), 0)


@triton.jit
def _run_group(
    q_ptr, k_ptr, v_ptr, out_ptr, stride, parts_ptr,
    groups_ptr, near_slots_ptr, near_counts_ptr, num_near_ptr, near_stride,
    slots_ptr, counts_ptr, len_ptr, table_stride,
    y_ptr, lse_ptr, done_ptr, group, cut, max_entries, splits, head, scale,
    HAS_GROUPS: tl.constexpr, K: tl.constexpr, G: tl.constexpr, GROUP: tl.constexpr,
    M: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr, MERGE: tl.constexpr,
    TILE: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A group's rows: their near part and their own parts; of a row alone, a cut of its own."""
    SIZE: tl.constexpr = M // GROUP
    m = tl.arange(0, M)
    d = tl.arange(0, D)
    if HAS_GROUPS:
        row = tl.load(groups_ptr + group * SIZE + m // GROUP)
    else:
        row = tl.where(m < GROUP, group, -1)
    is_row = (row >= 0) & (m % GROUP < G)
    row = tl.maximum(row, 0)
    lengths = tl.load(len_ptr + row)
    first_parts = tl.load(parts_ptr + 2 * row)
    nums_parts = tl.load(parts_ptr + 2 * row + 1)
    num_near = 0
    num_rows = 1
    if HAS_GROUPS:
        num_near = tl.load(num_near_ptr + group)
        num_rows = tl.sum((is_row & (m % GROUP == 0)).to(tl.int32), 0)
    # the own part of a row alone may be cut
    first_row = _of_row(row, 0, GROUP)
    num_blocks = tl.cdiv(_of_row(lengths, 0, GROUP), BLOCK)
    blocks_per_cut = tl.cdiv(num_blocks, splits)
    if (num_blocks <= UNCUT) | (num_rows > 1):
        blocks_per_cut = num_blocks
    num_cuts = tl.cdiv(num_blocks, tl.maximum(blocks_per_cut, 1))
    if (num_rows > 0) & ((cut < num_cuts) | (cut == 0)):
        q_head = row.to(tl.int64) * (K * G) + head * G + m % GROUP
        q_at = q_head[:, None] * D + d[None, :]
        q = tl.load(q_ptr + q_at, mask=is_row[:, None], other=0.0)
        sums = tl.zeros([M, D], tl.float32)
        total = tl.zeros([M], tl.float32)
        highest = tl.full([M], LOWEST, tl.float32)
        if num_near > 0:
            sums, total, highest = _attend(
                q, is_row, sums, total, highest, k_ptr, v_ptr, stride, 0,
                near_slots_ptr + group.to(tl.int64) * near_stride,
                near_counts_ptr + group.to(tl.int64) * near_stride,
                0, num_near * BLOCK, scale,
                True, True, M, D, TILE, BLOCK, STAGES, PRECISION,
            )  # fmt: skip
        for place in range(0, num_rows):
            its_row = _of_row(row, place, GROUP)
            begin = cut * blocks_per_cut * BLOCK
            end = _of_row(lengths, place, GROUP)
            if num_rows == 1:
                end = tl.minimum(begin + blocks_per_cut * BLOCK, end)
            sums, total, highest = _attend(
                q, m // GROUP == place, sums, total, highest, k_ptr, v_ptr, stride, 0,
                slots_ptr + its_row.to(tl.int64) * table_stride,
                counts_ptr + its_row.to(tl.int64) * table_stride,
                begin, end, scale,
                True, not HAS_GROUPS, M, D, TILE, BLOCK, STAGES, PRECISION,
            )  # fmt: skip
        first_own = max_entries + first_row * (splits - 1)  # partial result of the row's cut 1
        if cut > 0:
            at = (first_own + cut - 1).to(tl.int64) * (K * G) + head * G + m % GROUP
            y_at = at[:, None] * D + d[None, :]
            tl.store(y_ptr + y_at, sums / total[:, None], mask=is_row[:, None])
            tl.store(lse_ptr + at, highest + tl.log2(total), mask=is_row)
            tl.debug_barrier()
            tl.atomic_add(done_ptr + first_row * K + head, 1, sem="release")
        else:
            num_own = 0
            if num_rows == 1:
                num_own = tl.maximum(num_cuts - 1, 0)
            # a row that sees nothing gets zeros
            y = sums / tl.where(total > 0, total, 1.0)[:, None]
            is_whole = is_row & (nums_parts + num_own == 0)
            tl.store(out_ptr + q_at, y.to(out_ptr.dtype.element_ty), mask=is_whole[:, None])
            for place in range(0, num_rows):
                its_row = _of_row(row, place, GROUP)
                num_parts = _of_row(nums_parts, place, GROUP)
                num_others = num_parts + num_own
                if num_others > 0:
                    done = done_ptr + its_row * K + head
                    while tl.atomic_add(done, 0, sem="relaxed") < num_others:
                        pass
                    tl.store(done, 0)
                    whole = _merge(
                        sums, total, highest, y_ptr, lse_ptr,
                        _of_row(first_parts, place, GROUP), num_parts, first_own, num_others,
                        place, head, K, G, GROUP, D, MERGE,
                    )  # fmt: skip
                    g = tl.arange(0, GROUP)
                    at = its_row.to(tl.int64) * (K * G) + head * G + g
                    tl.store(
                        out_ptr + at[:, None] * D + d[None, :],
                        whole.to(out_ptr.dtype.element_ty), mask=(g < G)[:, None],
                    )  # fmt: skip


# what differs between batches must not make another kernel
@triton.jit(
    do_not_specialize=["near_stride", "table_stride", "max_units", "max_entries", "B", "splits"]
)
def _decode_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, stride,
    units_ptr, num_units_ptr, entries_ptr, parts_ptr,
    groups_ptr, near_slots_ptr, near_counts_ptr, num_near_ptr, near_stride,
    slots_ptr, counts_ptr, len_ptr, table_stride,
    y_ptr, lse_ptr, done_ptr, max_units, max_entries, B, splits, scale,
    HAS_GROUPS: tl.constexpr, K: tl.constexpr, G: tl.constexpr, GROUP: tl.constexpr,
    D: tl.constexpr, BLOCK: tl.constexpr, NARROW: tl.constexpr, WIDE: tl.constexpr,
    MERGE: tl.constexpr, OWN_TILE: tl.constexpr, UNIT_TILE: tl.constexpr,
    OWN_STAGES: tl.constexpr, UNIT_STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(0) % K
    job = tl.program_id(0) // K
    k_ptr += head * D
    v_ptr += head * D
    if job < max_units:
        if job < tl.load(num_units_ptr):
            first = tl.load(units_ptr + 4 * job)
            num_tokens = tl.load(units_ptr + 4 * job + 1)
            first_entry = tl.load(units_ptr + 4 * job + 2)
            num_entries = tl.load(units_ptr + 4 * job + 3)
            if num_entries * G <= NARROW:
                _run_unit(
                    q_ptr, k_ptr, v_ptr, stride, entries_ptr, y_ptr, lse_ptr, done_ptr,
                    first, num_tokens, first_entry, num_entries, head, scale,
                    K, G, NARROW, D, OWN_TILE, OWN_STAGES, PRECISION,
                )  # fmt: skip
            else:
                _run_unit(
                    q_ptr, k_ptr, v_ptr, stride, entries_ptr, y_ptr, lse_ptr, done_ptr,
                    first, num_tokens, first_entry, num_entries, head, scale,
                    K, G, WIDE, D, UNIT_TILE, UNIT_STAGES, PRECISION,
                )  # fmt: skip
    else:
        # the first cuts come last: they wait for the others
        _run_group(
            q_ptr, k_ptr, v_ptr, out_ptr, stride, parts_ptr,
            groups_ptr, near_slots_ptr, near_counts_ptr, num_near_ptr, near_stride,
            slots_ptr, counts_ptr, len_ptr, table_stride, y_ptr, lse_ptr, done_ptr,
            (job - max_units) % B, splits - 1 - (job - max_units) // B,
            max_entries, splits, head, scale,
            HAS_GROUPS, K, G, GROUP, NARROW, D, BLOCK, MERGE, OWN_TILE, OWN_STAGES, PRECISION,
        )  # fmt: skip


def decode_attention_triton(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, work: DecodeWork, *, out: Tensor | None = None
) -> Tensor:
    """`decode_attention` in Triton, wherever the tensors are: its interpreter takes the CPU's."""
    B, H, D = q.shape
    _, K, _ = k_pool.shape
    require_attention("decode_attention", q, k_pool, v_pool, NARROW)
    require(
        len(work.own_len) == B, "decode_attention", f"work of {B} rows, got {len(work.own_len)}"
    )
    if out is None:
        out = torch.empty_like(q)
    max_units = len(work.units)
    _decode_kernel[((max_units + B * work.num_splits) * K,)](
        q, k_pool, v_pool, out, k_pool.stride(0),
        work.units, work.num_units, work.entries, work.parts,
        work.groups, work.near_slots, work.near_counts, work.num_near, work.near_slots.stride(0),
        work.own_slots, work.own_counts, work.own_len, work.own_slots.stride(0),
        work.partial_y, work.partial_lse, work.num_done,
        max_units, len(work.entries), B, work.num_splits, math.log2(math.e) / math.sqrt(D),
        HAS_GROUPS=work.has_groups, K=K, G=H // K, GROUP=triton.next_power_of_2(H // K), D=D,
        BLOCK=BLOCK, NARROW=NARROW, WIDE=WIDE,
        # many partial results at once cost much where there are few
        MERGE=8 if work.num_splits > 1 else 2, **_tiles(q.dtype, D),
    )  # fmt: skip
    return out


def _tiles(dtype: torch.dtype, D: int) -> dict[str, int | str]:
    """Tile sizes, depths of the pipelines and registers; of 9 sets the best over plain and shared
    batches of 64 and 512 rows on an H100, bf16, H=32, K=8, D=128, 2026-11: four programs fit a
    multiprocessor. Tiles have as many bytes at other head sizes."""
    if dtype == torch.float32:
        return {
            "OWN_TILE": 32, "UNIT_TILE": 32, "OWN_STAGES": 2, "UNIT_STAGES": 1,
            "PRECISION": "ieee", "num_warps": 4,
        }  # fmt: skip
    tile = max(16, min(BLOCK, 4096 // D))
    return {
        "OWN_TILE": tile, "UNIT_TILE": tile, "OWN_STAGES": 3, "UNIT_STAGES": 2,
        "PRECISION": "tf32", "num_warps": 4, "maxnreg": 128 if D <= 128 else 255,
    }  # fmt: skip
