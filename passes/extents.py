"""How long the text of a host value can be, from its type alone.

A lower bound counts bytes, an upper bound tokens: no token is longer than the longest of the
vocabulary, and none is shorter than a byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from sglc.ir import types as t
from sglc.ir.host.text import to_text
from sglc.ir.value_type import ValueType

_FLOAT_DIGITS = 24  # of the longest shortest text that reads back as the same float64


@dataclass(frozen=True, slots=True)
class Extent:
    """A text of `least` bytes or more, in `most` tokens or fewer; None is any number."""

    least: int
    most: int | None


ANY = Extent(0, None)
NOTHING = Extent(0, 0)


def extent(type: ValueType) -> Extent:
    """Of the text that interpolating a value of the type appends."""
    if isinstance(type, t.StrType):
        most = None if type.max_length is None else 4 * type.max_length
        return Extent(type.min_length or 0, most)
    return _json(type)


def _json(type: ValueType) -> Extent:
    """Of a value as compact JSON; a str in it is quoted, and a character escaped in six bytes."""
    match type:
        case t.StrType(low, high):
            return Extent(2 + (low or 0), None if high is None else 2 + 6 * high)
        case t.IntType(int() as low, int() as high):
            return Extent(1, max(len(str(low)), len(str(high))))
        case t.FloatType():
            return Extent(1, _FLOAT_DIGITS)
        case t.BoolType():
            return Extent(4, 5)
        case t.NullType():
            return Extent(4, 4)
        case t.LiteralType(values):
            lengths = [len(to_text(value).encode()) for value in values]
            return Extent(min(lengths), max(lengths) + 2)
        case t.OptionalType(item):
            inner = _json(item)
            return Extent(min(4, inner.least), None if inner.most is None else max(4, inner.most))
        case t.ListType(item, low, high):
            inner = _json(item)
            most = None if high is None or inner.most is None else 2 + high * (inner.most + 1)
            return Extent(2 + (low or 0) * inner.least, most)
        case t.TupleType(items):
            return _sum([_json(item) for item in items])
        case t.RecordType(fields=fields) | t.BranchType(fields=fields):
            names = sum(len(to_text([name]).encode()) for name, _ in fields)
            parts = [_json(field) for _, field in fields]
            return _sum([Extent(names, 2 * names), *parts])
        case t.IntType() | t.JsonType() | t.GroupType():
            return Extent(1, None)
        case _:
            return ANY


def _sum(parts: list[Extent]) -> Extent:
    """Of the parts one after another, with brackets around and a comma behind each."""
    bounds = [part.most for part in parts]
    known = [bound for bound in bounds if bound is not None]
    most = 2 + sum(known) + len(known) if len(known) == len(bounds) else None
    return Extent(2 + sum(part.least for part in parts), most)
