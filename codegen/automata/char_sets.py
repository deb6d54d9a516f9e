"""Sets of characters as ranges of code points, and the sets that `re` knows by name.

A range set is a tuple of inclusive ranges, sorted, disjoint and not touching, without surrogates:
texts are made of U+0000 to U+10FFFF but U+D800 to U+DFFF. What `\\d`, `\\w`, `\\s` hold, and which
characters are one when case is ignored, is asked of `re` itself: its Unicode tables are the law.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache

import numpy as np

Ranges = tuple[tuple[int, int], ...]

_BEFORE_SURROGATES, _AFTER_SURROGATES = 0xD7FF, 0xE000
ALL: Ranges = ((0, _BEFORE_SURROGATES), (_AFTER_SURROGATES, 0x10FFFF))


def union(*sets: Ranges) -> Ranges:
    """All characters of any of the sets, which need not be sorted or disjoint."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(range_ for ranges in sets for range_ in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return _without_surrogates(merged)


def negate(ranges: Ranges) -> Ranges:
    """All characters but these."""
    rest, start = [], 0
    for low, high in ranges:
        rest.append((start, low - 1))
        start = high + 1
    rest.append((start, 0x10FFFF))
    return _without_surrogates(rest)


def one(character: int) -> Ranges:
    """The character alone; nothing for a surrogate."""
    return _without_surrogates([(character, character)])


@cache
def category(letter: str, *, ascii_only: bool) -> Ranges:
    """What the class `\\` + letter matches, for `letter` one of d, D, s, S, w, W."""
    if letter.isupper():
        return negate(category(letter.lower(), ascii_only=ascii_only))
    pattern = re.compile(f"\\{letter}+", re.ASCII if ascii_only else 0)
    found = pattern.finditer(_every_character())
    return union(
        tuple((_code_point(match.start()), _code_point(match.end() - 1)) for match in found)
    )


def ignore_case(ranges: Ranges, *, ascii_only: bool) -> Ranges:
    """The set with every character that is the same as one of it when case is ignored."""
    lows = [low for low, _ in ranges]
    others: list[tuple[int, int]] = []
    for character, same in _case_variants(ascii_only).items():
        place = bisect_right(lows, character) - 1
        if place >= 0 and character <= ranges[place][1]:
            others.extend((other, other) for other in same)
    return union(ranges, tuple(others))


@cache
def _case_variants(ascii_only: bool) -> dict[int, tuple[int, ...]]:
    """Character -> the others that `re.IGNORECASE` takes for it."""
    cased = "".join(
        character
        for character in _every_character()
        if not character.lower() == character.upper() == character
    )
    flags = re.IGNORECASE | (re.ASCII if ascii_only else 0)
    variants = {}
    for character in cased:
        same = re.findall(character, cased, flags)
        if len(same) > 1:
            variants[ord(character)] = tuple(map(ord, same))
    return variants


@cache
def _every_character() -> str:
    points = [np.arange(low, high + 1, dtype="<u4") for low, high in ALL]
    return np.concatenate(points).tobytes().decode("utf-32-le")


def _code_point(place: int) -> int:
    """The code point at a place of `_every_character()`."""
    return place if place <= _BEFORE_SURROGATES else place + 0x800


def _without_surrogates(ranges: Iterable[tuple[int, int]]) -> Ranges:
    kept = []
    for low, high in ranges:
        for part in (
            (low, min(high, _BEFORE_SURROGATES)),
            (max(low, _AFTER_SURROGATES), high),
        ):
            if part[0] <= part[1]:
                kept.append(part)
    return tuple(kept)
