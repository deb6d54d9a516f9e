"""Attention over a tree of tokens: each query attends to its root path up to its own position.

Shapes: q [T, H, D], pools [N, K, D], k and v of this step [T, K, D], y [T, H, D]; scale 1/sqrt(D).
Types:  all one of fp16/bf16/fp32/fp64; partial results are merged by log-sum-exp in fp32 or better.

The caller says who sees what as a `TreeWork`: KV extents with the rows that see all of them, runs
of rows that see one another causally, and cache blocks that a few rows see in part. Each row's
partial results lie on different levels, and one pass over the levels merges them.
Law: rows are independent, and a slot that no item shows to a row does not change it. A masked slot
of a listed block has minus infinity added and is multiplied by zero, so the pools are finite.
Moves:  each item's K and V once, however many rows see it: `bytes_moved`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sglc.kernels.contract import require

BLOCK = 32  # slots of a cache block; 16 to 256 tried on an EPYC 7003, K=3 D=64 fp32, 2026-11
SHARE_AT = 512  # rows x tokens from which one product over an extent beats its blocks; same machine


@dataclass(frozen=True, slots=True)
class SharedExtent:
    """Slots [slot, slot + num_tokens) that each of `rows` (a slice or indices) sees whole."""

    slot: int
    num_tokens: int
    rows: slice | Tensor
    level: int


@dataclass(frozen=True, slots=True)
class CausalRuns:
    """Runs of rows, each seeing the rows of its run up to itself. `rows` is [R, n], short runs
    padded at their end with any row; `real` are the indices of the true rows in it, flattened."""

    rows: Tensor
    real: Tensor
    level: int


@dataclass(frozen=True, slots=True)
class OwnBlocks:
    """Blocks of BLOCK slots that one group of rows sees: those of `groups[owners[i]]` see the slots
    of block i where `mask[i]` is 0, and where it is minus infinity they do not.

    Block i is the pool's block `first_block + i`, a view; or, where `slots` is given, the i-th
    BLOCK of these, gathered. No row is in two groups; T stands in a group for no row, and `real`
    are the indices of the true rows in `groups`, flattened. A block that nobody sees belongs to a
    group of none; no other is hidden whole, and neither is its mask (softmax would divide by 0).
    """

    groups: Tensor  # [g, R] int64
    real: Tensor  # [r] int64
    owners: Tensor  # [n] int64
    mask: Tensor  # [n, BLOCK] fp32
    level: int
    first_block: int = 0
    slots: Tensor | None = None  # [n * BLOCK] int64


@dataclass(frozen=True, slots=True)
class TreeWork:
    """Who sees what in one step. No row has two items on one level, but for the blocks of a group
    in one `OwnBlocks`."""

    num_levels: int
    shared: tuple[SharedExtent, ...] = ()
    causal: tuple[CausalRuns, ...] = ()
    own: tuple[OwnBlocks, ...] = ()


def tree_attention_ref(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, visible: Sequence[Tensor]
) -> Tensor:
    """The meaning of the op: query t attends to the slots `visible[t]`, one query at a time."""
    T, H, D = q.shape
    group = H // k_pool.shape[1]
    y = torch.empty_like(q)
    for t in range(T):
        k = k_pool[visible[t]].repeat_interleave(group, dim=1)  # [S, H, D]
        v = v_pool[visible[t]].repeat_interleave(group, dim=1)
        weights = (torch.einsum("hd,shd->hs", q[t], k) / math.sqrt(D)).softmax(-1)
        y[t] = torch.einsum("hs,shd->hd", weights, v)
    return y


def tree_attention(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, k: Tensor, v: Tensor, work: TreeWork
) -> Tensor:
    """Attend as `work` says; k and v are this step's rows, already in the pools too."""
    T, H, D = q.shape
    N, K, _ = k_pool.shape
    G = H // K
    require(H % K == 0, "tree_attention", f"query heads a multiple of {K} kv heads, got {H}")
    require(k.shape == (T, K, D), "tree_attention", f"k [{T}, {K}, {D}], got {list(k.shape)}")
    require(N % BLOCK == 0, "tree_attention", f"a pool of whole blocks of {BLOCK}, got {N} slots")
    exact = torch.float64 if q.dtype == torch.float64 else torch.float32
    # heads first: then the rows of an extent are one matrix a kv head
    q_heads = q.reshape(T, K, G, D).transpose(0, 1).contiguous()  # [K, T, G, D]
    outs = q.new_zeros((work.num_levels, T, K, G, D), dtype=exact)
    lses = q.new_full((work.num_levels, T, K, G), -math.inf, dtype=exact)
    for extent in work.shared:
        slots = slice(extent.slot, extent.slot + extent.num_tokens)
        y, lse = _attend_all(_select(q_heads, 1, extent.rows), k_pool[slots], v_pool[slots])
        _put(outs[extent.level], extent.rows, y)
        _put(lses[extent.level], extent.rows, lse)
    for runs in work.causal:
        R, n = runs.rows.shape
        rows = runs.rows.view(-1)
        y, lse = _attend_causal(*(x.index_select(0, rows).view(R, n, -1, D) for x in (q, k, v)))
        _put(outs[runs.level], rows[runs.real], y.reshape(R * n, K, G, D)[runs.real])
        _put(lses[runs.level], rows[runs.real], lse.reshape(R * n, K, G)[runs.real])
    for own in work.own:
        _attend_own(q, k_pool, v_pool, own, outs[own.level], lses[own.level])
    return _merge(outs, lses).view(T, H, D).to(q.dtype)


def _select(x: Tensor, dim: int, rows: slice | Tensor) -> Tensor:
    if isinstance(rows, slice):
        return x.narrow(dim, rows.start, rows.stop - rows.start)
    return x.index_select(dim, rows)


def _put(out: Tensor, rows: slice | Tensor, x: Tensor) -> None:
    """out[rows] = x."""
    if isinstance(rows, slice):
        out[rows] = x
    else:
        out.index_copy_(0, rows, x.to(out.dtype))


def _merge(outs: Tensor, lses: Tensor) -> Tensor:
    """Partial results [P, ..., D] with log-sum-exps [P, ...] to the whole [..., D]; overwrites."""
    if len(outs) == 1:
        return outs[0]
    weights = lses.sub_(lses.amax(0)).exp_()
    weights /= weights.sum(0)
    weights = weights.unsqueeze(-1)
    whole = outs[0].mul_(weights[0])
    for out, weight in zip(outs[1:], weights[1:], strict=True):
        whole.addcmul_(out, weight)
    return whole


def _attend_all(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Every query to every key. q [K, r, G, D], k and v [L, K, D]; results [r, K, G, D]
    and log-sum-exps [r, K, G]."""
    K, r, G, D = q.shape
    folded = q.reshape(1, K, r * G, D)
    k, v = k.transpose(0, 1)[None], v.transpose(0, 1)[None]  # [1, K, L, D]
    y, lse = _attend_heads(folded, k, v, is_causal=False)
    y, lse = y.view(K, r, G, D), lse.view(K, r, G)
    return y.transpose(0, 1), lse.transpose(0, 1)


def _attend_causal(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Queries to keys at or before them. q [R, n, H, D], k and v [R, n, K, D]; results
    [R, n, H, D] and log-sum-exps [R, n, H]."""
    group = q.shape[2] // k.shape[2]
    k, v = (x.transpose(1, 2).repeat_interleave(group, dim=1) for x in (k, v))
    y, lse = _attend_heads(q.transpose(1, 2), k, v, is_causal=True)
    return y.transpose(1, 2), lse.transpose(1, 2)


def _attend_heads(
    q: Tensor, k: Tensor, v: Tensor, is_causal: bool, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Attention with its log-sum-exp. q [B, h, n, D], k and v [B, h, L, D]; results
    [B, h, n, D] and log-sum-exps [B, h, n]. `mask` [B, L] is added to the scores."""
    if mask is not None:
        mask = mask.to(q.dtype)[:, None, None].expand(-1, 1, q.shape[2], -1)
    if q.device.type == "cpu":
        y, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, is_causal, attn_mask=mask
        )
        return y, lse
    exact = torch.float64 if q.dtype == torch.float64 else torch.float32
    scores = (q @ k.transpose(-1, -2)).to(exact) / math.sqrt(q.shape[-1])
    if is_causal:
        n, L = scores.shape[-2:]
        future = torch.ones(n, L, dtype=torch.bool, device=q.device).triu_(1)
        scores = scores.masked_fill_(future, -math.inf)
    if mask is not None:
        scores += mask
    lse = scores.logsumexp(-1)
    return (scores - lse.unsqueeze(-1)).exp_().to(v.dtype) @ v, lse


def _attend_own(
    q: Tensor, k_pool: Tensor, v_pool: Tensor, own: OwnBlocks, out: Tensor, lse: Tensor
) -> None:
    """Each block by the queries of its group, and the blocks of a group merged, into `out`
    [T, K, G, D] and `lse` [T, K, G]."""
    H, D = q.shape[1:]
    K = k_pool.shape[1]
    G, n = H // K, own.owners.shape[0]
    g, R = own.groups.shape
    F = H * R  # queries of a group
    exact = out.dtype
    q_rows = torch.cat((q, q.new_zeros((1, H, D))))  # row T: where a group has no row
    q_groups = q_rows.index_select(0, own.groups.view(-1)).view(g, R, K, G, D).transpose(1, 2)
    q_blocks = q_groups.reshape(g, K, R * G, D).index_select(0, own.owners)
    k, v = (_block_view(pool, own, n).transpose(1, 2) for pool in (k_pool, v_pool))
    y, lse_blocks = _attend_heads(q_blocks, k, v, is_causal=False, mask=own.mask)
    lse_blocks = lse_blocks.reshape(n, F).to(exact)
    highest = lse_blocks.new_full((g, F), torch.finfo(exact).min)
    highest.scatter_reduce_(0, own.owners[:, None].expand(n, F), lse_blocks, "amax")
    weights = lse_blocks.sub_(highest.index_select(0, own.owners)).exp_()
    total = _sum_by_owner(weights, own.owners, g)  # [g, F]
    weighted = y.reshape(n, F, D).to(exact) * weights.unsqueeze(-1)
    whole = _sum_by_owner(weighted.view(n, F * D), own.owners, g).view(g, K, R, G, D)
    # groups that see none of the blocks divide nothing by something
    whole /= total.clamp_min(torch.finfo(exact).tiny).view(g, K, R, G, 1)
    lse_groups = (highest + total.log()).view(g, K, R, G)
    rows = own.groups.view(-1)[own.real]
    out.index_copy_(0, rows, whole.transpose(1, 2).reshape(g * R, K, G, D)[own.real])
    lse.index_copy_(0, rows, lse_groups.transpose(1, 2).reshape(g * R, K, G)[own.real])


def _sum_by_owner(x: Tensor, owners: Tensor, g: int) -> Tensor:
    """[n, F] to [g, F]: row i is the sum of the rows whose owner is i."""
    return x.new_zeros((g, x.shape[1])).index_add_(0, owners, x)


def _block_view(pool: Tensor, own: OwnBlocks, n: int) -> Tensor:
    """[n, BLOCK, K, D]: a view where the blocks lie together, else a copy."""
    if own.slots is None:
        first = own.first_block * BLOCK
        blocks = pool[first : first + n * BLOCK]
    else:
        blocks = pool.index_select(0, own.slots)
    return blocks.view(n, BLOCK, *pool.shape[1:])


def bytes_moved(work: TreeWork, T: int, H: int, K: int, D: int, itemsize: int) -> int:
    """Bytes one call reads and writes at least: KV of each item once, q in and y out."""
    tokens = sum(extent.num_tokens for extent in work.shared)
    tokens += sum(len(runs.real) for runs in work.causal)
    tokens += sum(BLOCK * own.owners.shape[0] for own in work.own)
    return (2 * tokens * K * D + 2 * T * H * D) * itemsize
