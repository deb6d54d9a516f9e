"""Whether two runs of a row ended alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sglc.ir.host.expr import Value
from sglc.runtime.row import Outcome, RowFailed

TOLERANCE = 1e-3
"""Scores differ in their last digits when sums are taken in another order: no outcome of theirs is
changed by less than this, nor by less than this part of them."""


def num_changed(some: Sequence[Outcome], others: Sequence[Outcome]) -> int:
    """How many rows, in the order of both, ended differently."""
    return sum(not _is_same(_said(a), _said(b)) for a, b in zip(some, others, strict=True))


def _said(outcome: Outcome) -> Value:
    if isinstance(outcome, RowFailed):
        return [outcome.code, outcome.message]
    return outcome.output


def _is_same(a: Value, b: Value) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or a == b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_is_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_is_same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b
