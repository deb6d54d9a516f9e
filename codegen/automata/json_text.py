"""JSON as `Expr`s, in the compact form that `json_text` writes: no white space anywhere.

Law: a str has one spelling, the one that `json_text` gives it, so a generated string is the text
of its value. A character is itself, but for quotes, backslashes and the control characters that
have a letter behind a backslash (b, f, n, r, t). The others, which JSON can only write by their
number, are never generated: tables stay small, and there are no halves of surrogate pairs.
Knows nothing of types and schemas.
"""

from __future__ import annotations

from collections.abc import Sequence

from sglc.codegen.automata import char_sets
from sglc.codegen.automata.build import (
    EMPTY,
    NOTHING,
    alt,
    chars,
    cut,
    optional,
    repeat,
    seq,
)
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Seq, Text
from sglc.codegen.automata.lengths import sized
from sglc.codegen.automata.numbers import any_float
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text

_ESCAPES = {'"': '"', "\\": "\\", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_PLAIN = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF))


def literal(value: Value) -> Expr:
    """The compact JSON of a constant."""
    return Text(json_text(value))


def escaped(expr: Expr) -> Expr:
    """The JSON spellings, without the quotes, of the texts of a regular `expr`.

    A character has one spelling and no spelling begins another, so the spellings of `Both` are
    what the spellings of its parts have in common.
    """
    match expr:
        case Text(text):
            return seq(*(_escaped_chars(((ord(c), ord(c)),)) for c in text))
        case Chars(ranges):
            return _escaped_chars(ranges)
        case Seq(parts):
            return seq(*map(escaped, parts))
        case Alt(options):
            return alt(*map(escaped, options))
        case Repeat(item, low, high):
            return repeat(escaped(item), low, high)
        case Both(parts):
            return Both(tuple(map(escaped, parts)))
        case Ref(name):
            raise AssertionError(f"a str with the rule {name}")


def _escaped_chars(ranges: Sequence[tuple[int, int]]) -> Expr:
    letters = [
        letter
        for char, letter in _ESCAPES.items()
        if any(low <= ord(char) <= high for low, high in ranges)
    ]
    behind = chars((ord(letter), ord(letter)) for letter in letters)
    return alt(cut(ranges, _PLAIN), seq("\\", behind))


def quoted(body: Expr) -> Expr:
    return seq('"', body, '"')


ANY_STRING = quoted(escaped(sized(0, None)))


def array(
    prefix: Sequence[Expr], item: Expr | None, low: int | None = None, high: int | None = None
) -> Expr:
    """`low` to `high` values: first those of `prefix`, each in its place, then any number of
    `item` (None: no further ones)."""
    least, most = low or 0, high
    if item is None:
        most = len(prefix) if most is None else min(most, len(prefix))
        item = NOTHING
    start = min(len(prefix), len(prefix) if most is None else most)
    begun = max(start, 1)  # values written where only `item` can follow
    # from the back: what may follow after so many values
    rest = repeat(
        seq(",", item), max(least - begun, 0), None if most is None else max(most - begun, 0)
    )
    if start == 0:
        rest = EMPTY if most == 0 else seq(item, rest)
    for count in reversed(range(start)):
        rest = seq("," if count else "", prefix[count], rest)
        if count and count >= least:
            rest = optional(rest)
    inner = NOTHING if most is not None and most < least else rest
    return seq("[", optional(inner) if least == 0 else inner, "]")


def member(name: str, value: Expr) -> Expr:
    """`"name":value` of an object."""
    return seq(literal(name), ":", value)


def record(members: Sequence[Expr]) -> Expr:
    """An object of all members, in order."""
    return seq("{", *(seq("," if i else EMPTY, one) for i, one in enumerate(members)), "}")


def any_object(value: Expr) -> Expr:
    """An object of any members whose values are `value`."""
    return seq("{", optional(joined(seq(ANY_STRING, ":", value))), "}")


def joined(item: Expr) -> Expr:
    """One or more items with commas between them."""
    return seq(item, repeat(seq(",", item), 0, None))


def other_name(names: Sequence[str]) -> Expr:
    """A quoted string that is none of `names`."""
    return quoted(escaped(_other_text(sorted(set(names)))))


def _other_text(texts: Sequence[str]) -> Expr:
    """Any text but these, which are sorted."""
    if not texts:
        return sized(0, None)
    inner: dict[str, list[str]] = {}
    for text in texts:
        if text:
            inner.setdefault(text[0], []).append(text[1:])
    others = char_sets.negate(char_sets.union(*(char_sets.one(ord(first)) for first in inner)))
    options = [seq(first, _other_text(rest)) for first, rest in inner.items()]
    if "" not in texts:
        options.append(EMPTY)
    return alt(*options, seq(chars(others), sized(0, None)))


# any JSON value; the rule that it refers to is itself
JSON_RULE = "json"
ANY_JSON = Ref(JSON_RULE)
JSON_RULES: tuple[tuple[str, Expr], ...] = (
    (
        JSON_RULE,
        alt(
            any_object(ANY_JSON),
            array((), ANY_JSON),
            ANY_STRING,
            any_float(),
            "true",
            "false",
            "null",
        ),
    ),
)
