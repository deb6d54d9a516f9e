"""Constructors of `Expr`s that keep them small: texts joined, empty sets dropped.

Law: each yields the same set of texts as the plain node would.
"""

from __future__ import annotations

from collections.abc import Iterable

from sglc.codegen.automata import char_sets
from sglc.codegen.automata.expr import Alt, Chars, Expr, Repeat, Seq, Text

NOTHING: Expr = Alt(())  # the empty set
EMPTY: Expr = Text("")  # the empty text
ANY_CHAR = Chars(char_sets.ALL)
DIGIT = Chars(((0x30, 0x39),))


def seq(*parts: Expr | str) -> Expr:
    """The parts one after the other; a str stands for its `Text`."""
    flat: list[Expr] = []
    for given in parts:
        part = Text(given) if isinstance(given, str) else given
        for piece in part.parts if isinstance(part, Seq) else (part,):
            if piece == NOTHING:
                return NOTHING
            if isinstance(piece, Text) and flat and isinstance(flat[-1], Text):
                flat[-1] = Text(flat[-1].text + piece.text)
            elif piece != EMPTY:
                flat.append(piece)
    if not flat:
        return EMPTY
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(*options: Expr | str) -> Expr:
    """Any of the options, each once."""
    flat: dict[Expr, None] = {}
    for given in options:
        option = Text(given) if isinstance(given, str) else given
        for one in option.options if isinstance(option, Alt) else (option,):
            flat[one] = None
    return next(iter(flat)) if len(flat) == 1 else Alt(tuple(flat))


def optional(item: Expr) -> Expr:
    return alt(item, EMPTY)


def repeat(item: Expr, low: int, high: int | None) -> Expr:
    """`low` to `high` items; no text at all when `high` is below `low`."""
    if high is not None and high < low:
        return NOTHING
    if high == 0 or item == EMPTY or (item == NOTHING and low == 0):
        return EMPTY
    if item == NOTHING:
        return NOTHING
    return item if low == high == 1 else Repeat(item, low, high)


def chars(ranges: Iterable[tuple[int, int]]) -> Expr:
    """One character out of inclusive ranges in any order."""
    found = char_sets.union(tuple(ranges))
    return Chars(found) if found else NOTHING


def cut(ranges: Iterable[tuple[int, int]], within: Iterable[tuple[int, int]]) -> Expr:
    """One character that is in both sets of ranges."""
    limits = tuple(within)
    return chars(
        (max(low, least), min(high, most))
        for low, high in ranges
        for least, most in limits
        if max(low, least) <= min(high, most)
    )
