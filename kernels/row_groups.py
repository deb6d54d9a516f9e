"""Which rows of a decode step are read together: siblings, a few at a time.

Groups are [B', R]: the rows of each, behind them -1; each row is in one. [0, R] says that all rows
are alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.decode_work import Geometry, Indices

Groups = NDArray[np.int32]

PROGRAMS = 3  # of groups a multiprocessor, from which it does not matter that they are fewer
LEAST_BYTES = 4e6  # that grouping has to save of what rows read


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
    of_row = np.repeat(np.arange(len(counts)), counts)  # the family of each row by_family
    nth = np.arange(B) - np.repeat(np.cumsum(counts) - counts, counts)
    first_group = np.cumsum(num_groups) - num_groups
    groups = np.full((int(num_groups.sum()), most), -1, dtype=np.int32)
    groups[first_group[of_row] + nth // size[of_row], nth % size[of_row]] = by_family
    return groups


def are_worth_it(geometry: Geometry, groups: Groups, deepest: Indices, num_tokens: Indices) -> bool:
    """Whether groups fill the device and save enough of what rows would read of their deepest
    shared extents, of `num_tokens`, each for itself."""
    if len(groups) * geometry.K < PROGRAMS * geometry.num_sms:
        return False
    extent = deepest[groups[:, 0]]
    saved = ((groups >= 0).sum(1) - 1) * num_tokens[extent]  # a row without one is alone
    return bool(saved.sum() * 2 * geometry.K * geometry.D * geometry.itemsize >= LEAST_BYTES)


def membership(groups: Groups, B: int) -> tuple[Indices, Indices]:
    """The group of each row [B], and the number of rows of each group; without groups, rows stand
    for themselves."""
    if not len(groups):
        return np.arange(B), np.ones(B, dtype=np.int64)
    is_row = groups >= 0
    group_of = np.zeros(B, dtype=np.int64)
    group_of[groups[is_row]] = np.nonzero(is_row)[0]
    return group_of, is_row.sum(1)
