"""Rules without their large counts, for xgrammar.

xgrammar makes the mask of a place in a counted repeat when it is asked for, or one for each count
beforehand: with 49,152 tokens a text of up to 200 characters took 5 s to compile and each mask of
a list of records with such texts a second. Those of `*` and `+` are made once.
Law: every text of the rules is one of the loosened rules. What these allow beyond it is refused
token by token by who follows the rules themselves (`closing.py`).
"""

from __future__ import annotations

from sglc.codegen.automata.build import repeat
from sglc.codegen.automata.expr import Chars, Expr, Repeat, Rules
from sglc.codegen.automata.rules import rewritten

MAX_COUNT = 8
"""Larger counts are left out."""

_NARROW = 16
"""Counts of classes of so few characters stay: hardly a token belongs to them."""


def loosened(rules: Rules) -> Rules:
    """The rules with every large count made a `*` or a `+`."""
    return Rules(_loose(rules.root), tuple((name, _loose(expr)) for name, expr in rules.rules))


def _loose(expr: Expr) -> Expr:
    return rewritten(expr, _without_count)


def _without_count(expr: Expr) -> Expr | None:
    if not isinstance(expr, Repeat) or max(expr.low, expr.high or 0) <= MAX_COUNT:
        return None
    if isinstance(expr.item, Chars) and _num_chars(expr.item) <= _NARROW:
        return None
    return repeat(_loose(expr.item), min(expr.low, 1), None)


def _num_chars(chars: Chars) -> int:
    return sum(high - low + 1 for low, high in chars.ranges)
