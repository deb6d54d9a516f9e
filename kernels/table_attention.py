"""Attention by tables of slots, whose rows are the same bits in any batch.

Shapes: q [T, H, D]; pools [N, K, D], with the new tokens' K and V in them; y [T, H, D]; scale
        1/sqrt(D).
Types:  all one of fp16/bf16/fp32; scores and sums in fp32.

`TableWork` says who sees what. A row's context is cut at multiples of SPAN positions; within a span
it is read TILE positions at a time from its first on, with online softmax; the spans' results are
merged in their order. All cuts are by position, and prefill and decode run the same instructions,
so KV that was evicted and computed again, in whatever chunks, leads to the same bits.
Law: a row of y follows from its row of q, its position, and what the slots of its table hold. What
is read for other rows of its program is weighed by exact zeros. Nothing is shared among sequences.
Rows of q that no unit names are not written.
Moves:  K and V of each unit's context once: `bytes_moved`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sglc.kernels.table_work import TableWork
from sglc.kernels.tree_attention import tree_attention_ref


def table_attention_ref(q: Tensor, k_pool: Tensor, v_pool: Tensor, work: TableWork) -> Tensor:
    """The meaning of the op, a row at a time: shapes that never change keep the law. Rows that no
    unit names are zeros."""
    y = torch.zeros_like(q)
    for row, count, position, place in work.units.tolist():
        for i in range(count):
            slots = work.slots[place : place + position + i + 1].long()
            y[row + i : row + i + 1] = tree_attention_ref(
                q[row + i : row + i + 1], k_pool, v_pool, [slots]
            )
    return y


def table_attention(q: Tensor, k_pool: Tensor, v_pool: Tensor, work: TableWork) -> Tensor:
    """Attend as `work` says. On the GPU it waits for nothing and reads all that varies from the
    tensors of `work`: it may be captured in a graph."""
    if not q.is_cuda:
        return table_attention_ref(q, k_pool, v_pool, work)
    # Triton is not there on every machine
    from sglc.kernels.table_attention_triton import table_attention_triton

    return table_attention_triton(q, k_pool, v_pool, work)


def bytes_moved(work: TableWork, H: int, K: int, D: int, itemsize: int) -> int:
    """Bytes that one call reads and writes at least, partial results aside."""
    units = work.units.long()
    rows, seen = units[:, 1].sum(), (units[:, 1] + units[:, 2])[units[:, 1] > 0].sum()
    return int(2 * seen * K + 2 * rows * H) * D * itemsize
