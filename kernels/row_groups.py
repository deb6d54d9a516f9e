"""Which rows of a decode step are read together: siblings, a few at a time.

Groups are [B', R]: the rows of each, behind them -1; each row is in one. [0, R] says that all rows
are alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.decode_work import Geometry, Indices
from sglc.kernels.ragged import expand

Groups = NDArray[np.int32]

# fitted to the times of 99 batches of 8 to 512 rows with 2 to 512 sharers of 16 to 4096 tokens;
# H100, bf16, H=32, K=8, D=128, 2026-11
PLACES = 4  # programs that a multiprocessor runs at a time
FILLED = 0.75  # of the places while groups run, at least: the last ones must not run by themselves
FULL = 3.5  # rows a group, from which fewer programs are a gain of their own
LEAST_BYTES = 4e6  # that full groups have to save of what rows read
LEAST_BEYOND = 60e6  # that others have to, beyond what the L2 cache gives rows that are alone
CACHE_RATE = 1.8  # how much faster than memory the L2 cache gives what another has read


def deepest_shared(num_rows: Indices, extent_of: Indices, rows: Indices, B: int) -> Indices:
    """For each of B rows the extent of the fewest rows that it shares, or -1. Entry i of `rows` is
    one that sees extent `extent_of[i]`; extent e has `num_rows[e]`."""
    order = np.lexsort((extent_of, num_rows[extent_of], rows))
    with_any, first = np.unique(rows[order], return_index=True)
    deepest = np.full(B, -1)
    deepest[with_any] = extent_of[order][first]
    return deepest


def sibling_groups(deepest: Indices, most: int) -> Groups:
    """Rows of one deepest extent in groups of about equal size, of `most` rows at most."""
    B = len(deepest)
    family = np.where(deepest >= 0, deepest, deepest.max(initial=0) + 1 + np.arange(B))
    by_family = np.argsort(family, kind="stable")
    _, counts = np.unique(family, return_counts=True)
    size = -(-counts // -(-counts // most))  # of a family's groups, the last may be smaller
    num_groups = -(-counts // size)
    of_row, nth = expand(counts)  # the family of each row by_family, and its number there
    first_group = np.cumsum(num_groups) - num_groups
    groups = np.full((int(num_groups.sum()), most), -1, dtype=np.int32)
    groups[first_group[of_row] + nth // size[of_row], nth % size[of_row]] = by_family
    return groups


def are_worth_it(geometry: Geometry, groups: Groups, deepest: Indices, num_tokens: Indices) -> bool:
    """Whether groups fill the device and save enough of what rows would read of their deepest
    shared extents, of `num_tokens`, each for itself."""
    filled = len(groups) * geometry.K / (PLACES * geometry.num_sms)
    if filled < FILLED * np.ceil(filled):
        return False
    kv = 2 * geometry.K * geometry.D * geometry.itemsize
    size = (groups >= 0).sum(1)
    extent = deepest[groups[:, 0]]
    if size.mean() >= FULL:  # a row without an extent is alone, and saves nothing
        return bool(((size - 1) * num_tokens[extent]).sum() * kv >= LEAST_BYTES)
    num_rows, num_groups = (
        np.bincount(of[of >= 0], minlength=len(num_tokens)) for of in (deepest, extent)
    )
    beyond = num_tokens * (np.maximum(num_rows / CACHE_RATE, num_rows > 0) - num_groups)
    return bool(beyond.sum() * kv >= LEAST_BEYOND)


def membership(groups: Groups, B: int) -> tuple[Indices, Indices]:
    """The group of each row [B], and the number of rows of each group; without groups, rows stand
    for themselves."""
    if not len(groups):
        return np.arange(B), np.ones(B, dtype=np.int64)
    is_row = groups >= 0
    group_of = np.zeros(B, dtype=np.int64)
    group_of[groups[is_row]] = np.nonzero(is_row)[0]
    return group_of, is_row.sum(1)
