"""Tree attention whose result for a row is the same bits whatever else is in the step.

Shapes: q [T, H, D] with T always the same, pools [N, K, D], y [T, H, D]; scale 1/sqrt(D).
Types:  fp16/bf16/fp32; all arithmetic in fp32.

Each row's context is cut into chunks of CHUNK positions from its start, however the tree is cut
into nodes. A chunk and up to ROWS rows that see it are an item; items run GROUP at a time, and
chunks are merged SPAN at a time in the order of positions. So every operation always has the same
shape, and what a row gets depends on the place it has in these shapes only if the library's
arithmetic does: the engine checks that when it starts. Made of the library's products, for a CPU;
`table_attention.py` keeps the same law on a GPU.
Moves:  each item's K and V once: `bytes_moved`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 64  # positions
ROWS = 8  # rows of an item
GROUP = 32  # items run together
SPAN = 16  # chunks merged together


@dataclass(frozen=True, slots=True)
class FixedGroup:
    """GROUP items. Row T and place T * SPAN are nobody's: items and rows that only fill up go
    there.

    `slots` are the chunks' slots, `rows` the items' rows, `hidden` marks what of the chunk a row
    does not see (never all), `places` is row * SPAN + the chunk's number in the span.
    """

    slots: Tensor  # [GROUP * CHUNK] int64
    rows: Tensor  # [GROUP * ROWS] int64
    hidden: Tensor  # [GROUP, ROWS, CHUNK] bool
    places: Tensor  # [GROUP * ROWS] int64


FixedWork = Sequence[Sequence[FixedGroup]]  # of each span of chunks, in order


def fixed_attention(q: Tensor, k_pool: Tensor, v_pool: Tensor, work: FixedWork) -> Tensor:
    """Attend as `work` says; every row is in at least one item of the first span."""
    T, H, D = q.shape
    K = k_pool.shape[1]
    G = H // K
    padded = q.new_zeros((T + 1, H * D), dtype=torch.float32)
    padded[:T] = q.reshape(T, H * D)
    padded *= D**-0.5
    whole = q.new_zeros((T, H, D), dtype=torch.float32)
    total = q.new_zeros((T, H, 1), dtype=torch.float32)
    highest = q.new_full((T, H, 1), torch.finfo(torch.float32).min, dtype=torch.float32)
    for span in work:
        ys = padded.new_zeros(((T + 1) * SPAN, H, D))
        sums = padded.new_zeros(((T + 1) * SPAN, H))
        peaks = padded.new_full(((T + 1) * SPAN, H), -math.inf)
        for group in span:
            y, weight_sums, peak = _attend(padded, k_pool, v_pool, group, K, G, D)
            ys.index_copy_(0, group.places, y)
            sums.index_copy_(0, group.places, weight_sums)
            peaks.index_copy_(0, group.places, peak)
        ys = ys.view(T + 1, SPAN, H, D)[:T]
        sums, peaks = (x.view(T + 1, SPAN, H)[:T] for x in (sums, peaks))
        new_highest = torch.maximum(highest, peaks.amax(1).unsqueeze(-1))
        weights = (peaks - new_highest.view(T, 1, H)).exp_()  # 0 where a row has no such chunk
        keeps = (highest - new_highest).exp_()
        whole = whole.mul_(keeps).add_((ys * weights.unsqueeze(-1)).sum(1))
        total = total.mul_(keeps).add_((sums * weights).sum(1).unsqueeze(-1))
        highest = new_highest
    return whole.div_(total).to(q.dtype)


def _attend(
    padded: Tensor, k_pool: Tensor, v_pool: Tensor, group: FixedGroup, K: int, G: int, D: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Unnormalised results [GROUP*ROWS, H, D], sums of weights and highest scores [GROUP*ROWS,
    H]."""
    q = padded.index_select(0, group.rows).view(GROUP, ROWS, K, G, D)
    q = q.permute(0, 2, 1, 3, 4).reshape(GROUP * K, ROWS * G, D)
    k, v = (_chunks(pool, group.slots, K, D) for pool in (k_pool, v_pool))
    scores = torch.bmm(q, k.transpose(1, 2)).view(GROUP, K, ROWS, G, CHUNK)
    scores.masked_fill_(group.hidden[:, None, :, None], -math.inf)
    peak = scores.amax(-1)  # [GROUP, K, ROWS, G]
    weights = scores.sub_(peak.unsqueeze(-1)).exp_()
    sums = weights.sum(-1)
    y = torch.bmm(weights.view(GROUP * K, ROWS * G, CHUNK), v).view(GROUP, K, ROWS, G, D)
    rows_first = (x.transpose(1, 2).reshape(GROUP * ROWS, K * G, -1) for x in (y, sums, peak))
    y, sums, peak = rows_first
    return y, sums.squeeze(-1), peak.squeeze(-1)


def _chunks(pool: Tensor, slots: Tensor, K: int, D: int) -> Tensor:
    """The chunks' rows of `pool`, [GROUP * K, CHUNK, D] fp32."""
    rows = pool.index_select(0, slots).view(GROUP, CHUNK, K, D).transpose(1, 2)
    return rows.reshape(GROUP * K, CHUNK, D).float()


def bytes_moved(work: FixedWork, T: int, H: int, K: int, D: int, itemsize: int) -> int:
    """Bytes one call reads and writes at least: KV of each item once, q in and y out."""
    items = GROUP * sum(len(span) for span in work)
    return (2 * items * CHUNK * K * D + 2 * T * H * D) * itemsize
