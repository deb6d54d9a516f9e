"""The alphabet of an expression: characters sorted into classes that it does not tell apart.

Automata are first made over classes, of which there are few; `utf8.py` turns classes into bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.char_sets import Ranges
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Seq, Text


@dataclass(frozen=True, slots=True, eq=False)
class Alphabet:
    """The code points from `bounds[i]` up to the next bound are all of class `class_of[i]`, -1
    where the expression has no use for them. Classes are 0 to num_classes - 1."""

    bounds: list[int]
    class_of: list[int]
    num_classes: int

    def classes(self, ranges: Ranges) -> tuple[int, ...]:
        """The classes that make up a set which the alphabet was made for."""
        found: set[int] = set()
        for low, high in ranges:
            start, end = bisect_left(self.bounds, low), bisect_left(self.bounds, high + 1)
            found.update(self.class_of[start:end])
        return tuple(sorted(found))


def alphabet_of(parts: Iterable[Expr]) -> Alphabet:
    """The coarsest alphabet for all character sets and texts of the expressions."""
    sets: set[Ranges] = set()
    characters: set[str] = set()
    for part in parts:
        _collect(part, sets, characters)
    singles = sorted(map(ord, characters))
    points = {0, 0x110000, *singles, *(point + 1 for point in singles)}
    points.update(low for ranges in sets for low, _ in ranges)
    points.update(high + 1 for ranges in sets for _, high in ranges)
    bounds = np.array(sorted(points))
    group: NDArray[np.int64] = np.zeros(len(bounds) - 1, np.int64)
    for ranges in sets:
        group = _split(group, _members(bounds, ranges))
    # a character of a text is a class by itself
    places = np.searchsorted(bounds, singles)
    group[places] = group.max(initial=0) + 1 + np.arange(len(places))
    used = _members(bounds, tuple((point, point) for point in singles))
    for ranges in sets:
        used |= _members(bounds, ranges)
    class_of = np.full(len(group), -1)
    names, class_of[used] = np.unique(group[used], return_inverse=True)
    return Alphabet(bounds[:-1].tolist(), class_of.tolist(), len(names))


def _collect(expr: Expr, sets: set[Ranges], characters: set[str]) -> None:
    match expr:
        case Text(text):
            characters.update(text)
        case Chars(ranges):
            sets.add(ranges)
        case Seq(parts) | Alt(parts) | Both(parts):
            for part in parts:
                _collect(part, sets, characters)
        case Repeat(item, _, _):
            _collect(item, sets, characters)
        case Ref(_):
            pass


def _members(bounds: NDArray[np.int64], ranges: Ranges) -> NDArray[np.bool_]:
    """Which intervals lie in the set."""
    steps = np.zeros(len(bounds), np.int64)
    if ranges:
        low, high = np.array(ranges).T
        np.add.at(steps, np.searchsorted(bounds, low), 1)
        np.add.at(steps, np.searchsorted(bounds, high + 1), -1)
    return np.cumsum(steps)[:-1] > 0


def _split(group: NDArray[np.int64], members: NDArray[np.bool_]) -> NDArray[np.int64]:
    split: NDArray[np.int64] = np.unique(group * 2 + members, return_inverse=True)[1]
    return split
