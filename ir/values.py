"""Whether a value is of a type, and the form in which it is kept.

Law: `conform(v, t)` yields a value equal in JSON to `v` (an int where a float is wanted becomes a
float), and conforming it again changes nothing. A bool is never an int. NaN, infinities, halves of
surrogate pairs and values nested over `MAX_DEPTH` levels are of no type.
Knows nothing about defaults, rows or where the value came from.
"""

from __future__ import annotations

import math

from sglc.ir import types as t
from sglc.ir.host import regex
from sglc.ir.host.error import MAX_DEPTH, MAX_INT_BITS, kind
from sglc.ir.host.expr import Value
from sglc.ir.host.text import has_lone_surrogate, json_text

PathKey = str | int


class Mismatch(Exception):
    """A value is not of the type wanted. `path` leads to the part that is wrong (field names and
    places in lists); `expected` and `found` are phrases: "an int from 0 to 10", "a str"."""

    def __init__(self, path: tuple[PathKey, ...], expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = path
        self.expected = expected
        self.found = found

    @property
    def place(self) -> str:
        """The path as people write it: `reasons[2].text`; empty for the whole value."""
        steps = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path)
        return "".join(steps).removeprefix(".")

    def __str__(self) -> str:
        where = f"at {self.place}: " if self.path else ""
        return f"{where}expected {self.expected}, found {self.found}"


def conform(value: object, type: t.Type) -> Value:
    """The value as one of `type`, or Mismatch. Takes anything, not only JSON-like values."""
    return _conform(value, type, ())


def _conform(value: object, type: t.Type, path: tuple[PathKey, ...]) -> Value:
    if len(path) > MAX_DEPTH:
        raise Mismatch(path[:3], f"at most {MAX_DEPTH} levels of nesting", "more")
    match type:
        case t.StrType():
            return _str(value, type, path)
        case t.IntType():
            return _int(value, type, path)
        case t.FloatType():
            return _float(value, type, path)
        case t.BoolType():
            if isinstance(value, bool):
                return value
            raise Mismatch(path, "a bool", _found(value))
        case t.NullType():
            if value is None:
                return None
            raise Mismatch(path, "null", _found(value))
        case t.JsonType() | t.UnknownType():
            return _json(value, path)
        case t.LiteralType(values):
            return _literal(value, values, path)
        case t.OptionalType(item):
            return None if value is None else _conform(value, item, path)
        case t.ListType():
            return _list(value, type, path)
        case t.TupleType(items):
            if not isinstance(value, list) or len(value) != len(items):
                raise Mismatch(path, f"a list of {len(items)} items", _found(value))
            pairs = zip(value, items, strict=True)
            return [_conform(v, item, (*path, i)) for i, (v, item) in enumerate(pairs)]
        case t.RecordType(name, fields):
            return _record(value, f"a {name}", fields, path)
        case t.BranchType(fields):
            return _record(value, "a branch", fields, path)
        case t.GroupType(fields):
            if not isinstance(value, list):
                raise Mismatch(path, "a group", _found(value))
            return [_record(v, "a branch", fields, (*path, i)) for i, v in enumerate(value)]
        case t.ImageType():
            raise Mismatch(path, "an image", _found(value))


def _str(value: object, type: t.StrType, path: tuple[PathKey, ...]) -> str:
    if not isinstance(value, str):
        raise Mismatch(path, "a str", _found(value))
    if has_lone_surrogate(value):
        raise Mismatch(path, "a str of whole characters", "half of a surrogate pair")
    low, high = type.min_length, type.max_length
    if (low is not None and len(value) < low) or (high is not None and len(value) > high):
        raise Mismatch(path, f"a str of {_range(low, high)} characters", f"one of {len(value)}")
    if type.pattern is not None and not _matches(type.pattern, value, path):
        raise Mismatch(path, f"a str that matches {type.pattern}", _quote(value))
    return value


def _matches(pattern: str, text: str, path: tuple[PathKey, ...]) -> bool:
    try:
        return bool(regex.spans("fullmatch", pattern, text))
    except regex.SearchFailed as failed:
        raise Mismatch(path, f"a str that matches {pattern}", f"that {failed}") from None


def _int(value: object, type: t.IntType, path: tuple[PathKey, ...]) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Mismatch(path, "an int", _found(value))
    _check_bits(value, path)
    if not _within(value, type.low, type.high):
        raise Mismatch(path, f"an int of {_range(type.low, type.high)}", _quote(value))
    return value


def _float(value: object, type: t.FloatType, path: tuple[PathKey, ...]) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Mismatch(path, "a float", _found(value))
    try:
        number = float(value)
    except OverflowError:
        raise Mismatch(path, "a float", "an int beyond what a float can hold") from None
    if not math.isfinite(number):
        raise Mismatch(path, "a finite float", str(number))
    if not _within(number, type.low, type.high):
        raise Mismatch(path, f"a float of {_range(type.low, type.high)}", _quote(value))
    return number


def _literal(value: object, values: tuple[t.Literal, ...], path: tuple[PathKey, ...]) -> Value:
    for literal in values:
        if _same_kind(value, literal) and value == literal:
            return literal
    expected = " or ".join(json_text(literal) for literal in values)
    raise Mismatch(path, expected, _quote(value))


def _same_kind(value: object, literal: t.Literal) -> bool:
    if isinstance(value, bool) or isinstance(literal, bool):
        return isinstance(value, bool) and isinstance(literal, bool)
    return isinstance(value, int | float | str)


def _list(value: object, type: t.ListType, path: tuple[PathKey, ...]) -> Value:
    if not isinstance(value, list):
        raise Mismatch(path, "a list", _found(value))
    low, high = type.min_items, type.max_items
    if (low is not None and len(value) < low) or (high is not None and len(value) > high):
        raise Mismatch(path, f"a list of {_range(low, high)} items", f"one of {len(value)}")
    return [_conform(item, type.item, (*path, i)) for i, item in enumerate(value)]


def _record(
    value: object, what: str, fields: tuple[tuple[str, t.Type], ...], path: tuple[PathKey, ...]
) -> Value:
    """A dict with these fields and no other, in this order."""
    if not isinstance(value, dict):
        raise Mismatch(path, what, _found(value))
    names = dict(fields)
    for name in value:
        if name not in names:
            known = ", ".join(names) or "none"
            raise Mismatch(path, f"{what} with no field but {known}", f"a field {_quote(name)}")
    for name in names:
        if name not in value:
            raise Mismatch(path, f"{what} with a field `{name}`", "none of that name")
    return {name: _conform(value[name], type, (*path, name)) for name, type in fields}


def _json(value: object, path: tuple[PathKey, ...]) -> Value:
    if len(path) > MAX_DEPTH:
        raise Mismatch(path[:3], f"at most {MAX_DEPTH} levels of nesting", "more")
    match value:
        case None | bool():
            return value
        case int():
            _check_bits(value, path)
            return value
        case float():
            return _float(value, t.FLOAT, path)
        case str():
            return _str(value, t.STR, path)
        case list():
            return [_json(item, (*path, i)) for i, item in enumerate(value)]
        case dict():
            return {
                _str(name, t.STR, path): _json(item, (*path, str(name)))
                for name, item in value.items()
            }
        case _:
            raise Mismatch(path, "a JSON value", _found(value))


def _check_bits(value: int, path: tuple[PathKey, ...]) -> None:
    if value.bit_length() > MAX_INT_BITS:
        raise Mismatch(path, f"an int of at most {MAX_INT_BITS} bits", "a longer one")


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"{low} or more"
    if low is None:
        return f"at most {high}"
    return f"{low}" if low == high else f"{low} to {high}"


def _found(value: object) -> str:
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return kind(value)
    return f"a Python {type(value).__name__}"


def _quote(value: object) -> str:
    """The value in a message, cut short; or its kind, when it is not a short scalar."""
    if isinstance(value, str):
        return json_text(value if len(value) <= 40 else value[:40] + "...")
    if isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 200):
        return json_text(value) if not isinstance(value, float) else repr(value)
    return _found(value)
