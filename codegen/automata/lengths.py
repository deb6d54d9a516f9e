"""Texts of a length, in characters."""

from __future__ import annotations

from collections.abc import Iterable

from sglc.codegen.automata.build import ANY_CHAR, repeat
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Seq, Text


def sized(low: int | None, high: int | None) -> Expr:
    """Any text of `low` to `high` characters; None is no bound."""
    return repeat(ANY_CHAR, low or 0, high)


def of_length(expr: Expr, low: int | None, high: int | None) -> Expr:
    """Those texts of a regular expression that have `low` to `high` characters."""
    shortest, longest = widths(expr)
    least = low or 0
    if shortest >= least and (high is None or (longest is not None and longest <= high)):
        return expr
    if isinstance(expr, Repeat) and widths(expr.item) == (1, 1):
        # two counts are one, where an automaton would need a state for each length
        return repeat(expr.item, max(expr.low, least), _least((expr.high, high)))
    return Both((expr, sized(low, high)))


def widths(expr: Expr) -> tuple[int, int | None]:
    """Bounds of the lengths of an expression's texts; None is no bound."""
    match expr:
        case Text(text):
            return len(text), len(text)
        case Chars():
            return 1, 1
        case Repeat(item, low, high):
            shortest, longest = widths(item)
            if longest is None or high is None:
                return shortest * low, 0 if longest == 0 or high == 0 else None
            return shortest * low, longest * high
        case Ref(name):
            raise AssertionError(f"a text with the rule {name}")
        case Seq(parts) | Alt(parts) | Both(parts):
            lows, highs = zip((0, 0), *map(widths, parts), strict=True)
    match expr:
        case Seq():
            known = [high for high in highs if high is not None]
            return sum(lows), sum(known) if len(known) == len(highs) else None
        case Alt():
            known = [high for high in highs if high is not None]
            return min(lows[1:], default=0), max(known) if len(known) == len(highs) else None
    return max(lows), _least(highs[1:])


def _least(bounds: Iterable[int | None]) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)
