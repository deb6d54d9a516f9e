"""What texts begin with in common.

Rows that are given the same long text (shots, a header, a document) differ only after it; whoever
knows that tokenizes it once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TypeVar

LEAST = 256  # characters in common from which a beginning is worth its own bookkeeping

_Text = TypeVar("_Text", str, bytes)


def common_len(a: _Text, b: _Text) -> int:
    """How many characters, or bytes, `a` and `b` begin with in common."""
    most = min(len(a), len(b))
    if a[:most] == b[:most]:
        return most
    return bisect_left(range(most), True, key=lambda i: a[: i + 1] != b[: i + 1])


def shared_beginnings(texts: Iterable[str]) -> dict[str, int]:
    """How many characters each text has in common with the others of its group; those that are in
    no group are left out.

    Groups are neighbours in sorted order: one more joins where that does not halve what the group
    has in common, so rows below two documents are two groups though both have the header.
    """
    found: dict[str, int] = {}
    group: list[str] = []
    common = 0  # of the group, of two at least

    def end_group() -> None:
        if len(group) > 1:
            found.update(dict.fromkeys(group, common))

    for text in sorted(set(texts)):
        length = 0
        if group and group[-1][:LEAST] == text[:LEAST]:
            length = common_len(group[-1], text)
        if len(group) > 1:
            length = min(length, common)
        if length >= LEAST and (len(group) < 2 or 2 * length > common):
            group.append(text)
            common = length
        else:
            end_group()
            group = [text]
    end_group()
    return found
