"""Attention of a decode step on the GPU: KV that several rows share is read once for all of them.

Shapes: q [B, H, D], one new token a row; pools [N, K, D]; y [B, H, D]; scale 1/sqrt(D).
Types:  all one of fp16/bf16/fp32; scores, partial results and their merging in fp32.

`DecodeWork` says who sees what. Several new tokens of a sequence are rows with the same table. How
it is done: `decode_attention_triton.py`.
Law: rows are independent, and a slot that is not shown to a row is not read for it. A row that sees
nothing gets zeros.
Moves:  K and V of units and near blocks once, own parts, partial results twice: `decode_bytes`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sglc.kernels.decode_attention_triton import decode_attention_triton
from sglc.kernels.decode_work import BLOCK, DecodeWork
from sglc.kernels.tree_attention import tree_attention_ref


def visible_slots(work: DecodeWork) -> list[Tensor]:
    """The slots that each row sees."""
    B = len(work.own_len)
    seen: list[list[int]] = [[] for _ in range(B)]
    entries = work.entries.tolist()
    for slot, num_tokens, first, count in work.units[: int(work.num_units)].tolist():
        for row, _ in entries[first : first + count]:
            seen[row] += range(slot, slot + num_tokens)
    for rows, tables, num_blocks in zip(
        work.groups.tolist(),
        torch.stack([work.near_slots, work.near_counts], dim=2).tolist(),
        work.num_near.tolist(),
        strict=True,
    ):
        for row in (row for row in rows if row >= 0):
            for slot, count in tables[:num_blocks]:
                seen[row] += range(slot, slot + count)
    slots, counts = work.own_slots.tolist(), work.own_counts.tolist()
    for row, length in enumerate(work.own_len.tolist()):
        for block in range(-(-length // BLOCK)):
            count = min(counts[row][block], length - block * BLOCK)
            seen[row] += range(slots[row][block], slots[row][block] + count)
    return [torch.tensor(slots, dtype=torch.int64) for slots in seen]


def decode_attention_ref(q: Tensor, k_pool: Tensor, v_pool: Tensor, work: DecodeWork) -> Tensor:
    """The meaning of the op: each row attends to `visible_slots`."""
    visible = visible_slots(work)
    y = tree_attention_ref(q, k_pool, v_pool, [slots.to(q.device) for slots in visible])
    y[[row for row, slots in enumerate(visible) if not len(slots)]] = 0
    return y


def decode_attention(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, work: DecodeWork, *, out: Tensor | None = None
) -> Tensor:
    """Attend as `work` says, into `out` where given; the new tokens' K and V are in the pools.

    On the GPU it allocates nothing where `out` is given, waits for nothing, and reads all that
    varies from the tensors of `work`: it may be captured in a graph.
    """
    if q.is_cuda:
        return decode_attention_triton(q, k_pool, v_pool, work, out=out)
    y = decode_attention_ref(q, k_pool, v_pool, work)
    return y if out is None else out.copy_(y)


def decode_bytes(work: DecodeWork, H: int, K: int, D: int, itemsize: int) -> int:
    """Bytes one call reads and writes at least: K and V of each distinct slot of units and near
    blocks once however many rows see them, own parts, partial results written and read, q in and y
    out."""
    units = work.units[: int(work.num_units)]
    slots = torch.unique(units[:, :2], dim=0)[:, 1].sum() if len(units) else 0
    own = 0  # tokens
    for length, counts in zip(work.own_len.tolist(), work.own_counts.tolist(), strict=True):
        whole, rest = divmod(length, BLOCK)
        own += sum(counts[:whole]) + (min(rest, counts[whole]) if rest else 0)
    num_partials = int(work.parts[:, 1].sum())
    columns = torch.arange(work.near_slots.shape[1], device=work.num_near.device)
    is_there = columns < work.num_near[:, None]
    blocks = torch.stack([work.near_slots[is_there], work.near_counts[is_there]], dim=1)
    near = int(torch.unique(blocks, dim=0)[:, 1].sum()) if len(blocks) else 0
    kv = 2 * (int(slots) + near + own) * K * D * itemsize
    return kv + 2 * num_partials * H * (D + 1) * 4 + 2 * len(work.own_len) * H * D * itemsize
