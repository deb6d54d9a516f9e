"""Frozen dataclasses as JSON and back: types, expressions and all that is built of them.

A dataclass is the list of its fields; where a union leaves a choice of classes, its name comes
first.
A tuple is a list, a dict a list of pairs. The annotations of the fields say all of this, so a new
class needs no code here.
Laws: `decode(encode(x)) == x`, spans included, and equal values encode to equal JSON.
Knows nothing about files or about what the classes mean.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from sglc.ir.host.expr import Value

# a hint that stands for any host value: it is JSON already
_ANY_VALUE = Value


class CodecError(ValueError):
    """JSON that is not what the annotation promises; the text says where they part."""


@dataclass(frozen=True, slots=True)
class Codec:
    """`encode` yields JSON (None, bool, int, float, str, list); `decode` raises `CodecError`."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


@cache
def codec(hint: Any) -> Codec:
    """The codec of values that the annotation `hint` allows.

    Handles scalars, None, frozen dataclasses, unions of these, `tuple[X, ...]`, `tuple[X, Y]`,
    `dict[K, V]` and the alias `Value`.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint == _ANY_VALUE:
        return Codec(_same, _same)
    if origin in (Union, types.UnionType):
        return _union(args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _sequence(args[0])
    if origin is tuple:
        return _fixed(tuple(args))
    if origin is dict:
        return _mapping(*args)
    if isinstance(hint, type) and is_dataclass(hint):
        return _record(hint)
    if hint in (bool, int, float, str, types.NoneType):
        return _scalar((hint,))
    raise TypeError(f"no codec for the annotation {hint!r}")


def _same(value: Any) -> Any:
    return value


def _scalar(allowed: tuple[type, ...]) -> Codec:
    # a float field may hold an int, and keeps it
    accepted = frozenset((*allowed, int) if float in allowed else allowed)

    def check(value: Any) -> Any:
        if type(value) not in accepted:
            names = " or ".join(t.__name__ for t in allowed)
            raise CodecError(f"expected {names}, found {_shown(value)}")
        return value

    return Codec(check, check)


def _record(cls: type) -> Codec:
    # looked up at first use: classes refer to each other in circles
    @cache
    def parts() -> tuple[tuple[str, Codec], ...]:
        hints = _hints(cls)
        return tuple((f.name, codec(hints[f.name])) for f in fields(cls) if f.init)

    def encode(value: Any) -> list[Any]:
        if type(value) is not cls:
            raise CodecError(f"expected {cls.__name__}, found {_shown(value)}")
        return [part.encode(getattr(value, name)) for name, part in parts()]

    def decode(data: Any) -> Any:
        if type(data) is not list or len(data) != len(parts()):
            raise CodecError(f"expected the {len(parts())} fields of {cls.__name__}")
        return cls(*(part.decode(item) for (_, part), item in zip(parts(), data, strict=True)))

    return Codec(encode, decode)


def _union(members: tuple[Any, ...]) -> Codec:
    classes = {m.__name__: m for m in members if is_dataclass(m) and isinstance(m, type)}
    scalars = tuple(m for m in members if m in (bool, int, float, str, types.NoneType))
    others = [m for m in members if m not in scalars and m not in classes.values()]
    if others and (classes or len(others) > 1):
        raise TypeError(f"no codec for a union with {others}")
    plain = _scalar(scalars)
    is_tagged = len(classes) > 1
    compound = codec(others[0]) if others else None
    records = {name: codec(cls) for name, cls in classes.items()}

    def encode(value: Any) -> Any:
        record = records.get(type(value).__name__)
        if record is not None:
            data = record.encode(value)
            return [type(value).__name__, *data] if is_tagged else data
        if compound is not None and isinstance(value, tuple | dict):
            return compound.encode(value)
        return plain.encode(value)

    def decode(data: Any) -> Any:
        if type(data) is not list:
            return plain.decode(data)
        if compound is not None:
            return compound.decode(data)
        if not is_tagged:
            return next(iter(records.values()), plain).decode(data)
        tag = data[0] if data else None
        record = records.get(tag) if isinstance(tag, str) else None
        if record is None:
            raise CodecError(f"{_shown(tag)} is none of the known kinds here")
        return record.decode(data[1:])

    return Codec(encode, decode)


def _sequence(item_hint: Any) -> Codec:
    item = codec(item_hint)

    def encode(value: Any) -> list[Any]:
        if type(value) is not tuple:
            raise CodecError(f"expected a tuple, found {_shown(value)}")
        return [item.encode(x) for x in value]

    def decode(data: Any) -> tuple[Any, ...]:
        if type(data) is not list:
            raise CodecError(f"expected a list, found {_shown(data)}")
        return tuple(item.decode(x) for x in data)

    return Codec(encode, decode)


def _fixed(hints: tuple[Any, ...]) -> Codec:
    items = tuple(codec(h) for h in hints)

    def encode(value: Any) -> list[Any]:
        if type(value) is not tuple or len(value) != len(items):
            raise CodecError(f"expected a tuple of {len(items)}, found {_shown(value)}")
        return [item.encode(x) for item, x in zip(items, value, strict=True)]

    def decode(data: Any) -> tuple[Any, ...]:
        if type(data) is not list or len(data) != len(items):
            raise CodecError(f"expected a list of {len(items)}, found {_shown(data)}")
        return tuple(item.decode(x) for item, x in zip(items, data, strict=True))

    return Codec(encode, decode)


def _mapping(key_hint: Any, value_hint: Any) -> Codec:
    pairs = _sequence(tuple[key_hint, value_hint])

    def encode(value: Any) -> list[Any]:
        if type(value) is not dict:
            raise CodecError(f"expected a dict, found {_shown(value)}")
        encoded: list[Any] = pairs.encode(tuple(value.items()))
        return encoded

    def decode(data: Any) -> dict[Any, Any]:
        return dict(pairs.decode(data))

    return Codec(encode, decode)


@cache
def _hints(cls: type) -> dict[str, Any]:
    """The annotations of a dataclass, with aliases as the objects they are."""
    resolved = get_type_hints(cls)
    # `Value` refers to itself: its evaluated form does not compare equal to the alias
    means_value = vars(sys.modules[cls.__module__]).get("Value") is Value
    return {
        f.name: Value if means_value and f.type == "Value" else resolved[f.name]
        for f in fields(cls)
    }


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
