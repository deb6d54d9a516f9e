"""What a JSON schema says, once references and combinators are gone.

A `Place` is a schema and where it stands; a `Sub` is several that must all hold; a `Flat` is what
some of them together ask of one value. `both` is the meaning of allOf. Nothing is generated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sglc.ir.host.expr import Value

T = TypeVar("T")
Number = int | float
N = TypeVar("N", int, int | float)


@dataclass(frozen=True, slots=True)
class Place:
    """A schema (a dict or a bool) and the JSON pointer to it."""

    schema: Value = field(compare=False)
    pointer: str

    def at(self, *keys: str | int) -> str:
        """The pointer to something inside."""
        steps = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
        return "".join([self.pointer, *("/" + step for step in steps)])

    def inner(self, schema: Value, *keys: str | int) -> Place:
        return Place(schema, self.at(*keys))


Sub = tuple[Place, ...]  # all of them hold; () allows everything

# "number" is integer and fraction: then the types are disjoint
TYPES: Mapping[str, frozenset[str]] = {
    "null": frozenset({"null"}),
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "fraction"}),
    "string": frozenset({"string"}),
    "array": frozenset({"array"}),
    "object": frozenset({"object"}),
}
ALL_TYPES = frozenset(name for names in TYPES.values() for name in names)


@dataclass(frozen=True, slots=True)
class Flat:
    """`types` are those that are allowed, `hints` those that a keyword speaks of; `values` are
    those of enum or const. `low` and `high` are bounds, `above` and `below` bounds that exclude
    themselves. A pattern or format goes with its pointer. `additional` is None where nothing is
    said of other properties, `items` where nothing is said of the items behind `prefix`. `picked`
    are the options of oneOf that this is: the pointer of each, and which."""

    pointer: str
    types: frozenset[str] = ALL_TYPES
    hints: frozenset[str] = frozenset()
    values: tuple[Value, ...] | None = None
    low: Number | None = None
    high: Number | None = None
    above: Number | None = None
    below: Number | None = None
    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[tuple[str, str], ...] = ()
    formats: tuple[tuple[str, str], ...] = ()
    properties: Mapping[str, Sub] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    additional: Sub | None = None
    prefix: tuple[Sub, ...] = ()
    items: Sub | None = None
    min_items: int = 0
    max_items: int | None = None
    picked: tuple[tuple[str, int], ...] = ()

    def of_property(self, name: str) -> Sub:
        return self.properties.get(name, self.additional or ())

    def of_item(self, index: int) -> Sub:
        return self.prefix[index] if index < len(self.prefix) else self.items or ()


def both(a: Flat, b: Flat) -> Flat:
    """What `a` and `b` ask together, called after `a`'s place."""
    length = max(len(a.prefix), len(b.prefix))
    return Flat(
        pointer=a.pointer,
        types=a.types & b.types,
        hints=a.hints | b.hints,
        values=_common(a.values, b.values),
        low=max(_given(a.low, b.low), default=None),
        high=min(_given(a.high, b.high), default=None),
        above=max(_given(a.above, b.above), default=None),
        below=min(_given(a.below, b.below), default=None),
        min_length=max(a.min_length, b.min_length),
        max_length=min(_given(a.max_length, b.max_length), default=None),
        patterns=_joined(a.patterns, b.patterns),
        formats=_joined(a.formats, b.formats),
        properties={
            name: _joined(a.of_property(name), b.of_property(name))
            for name in (*a.properties, *b.properties)
        },
        required=_joined(a.required, b.required),
        additional=_all_of(a.additional, b.additional),
        prefix=tuple(_joined(a.of_item(i), b.of_item(i)) for i in range(length)),
        items=_all_of(a.items, b.items),
        min_items=max(a.min_items, b.min_items),
        max_items=min(_given(a.max_items, b.max_items), default=None),
        picked=_joined(a.picked, b.picked),
    )


def same(a: Value, b: Value) -> bool:
    """Equality as JSON Schema has it: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


def type_of(value: Value) -> str:
    """The one of `ALL_TYPES` that a value is of."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "integer" if value == int(value) else "fraction"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"


def _common(a: tuple[Value, ...] | None, b: tuple[Value, ...] | None) -> tuple[Value, ...] | None:
    if a is None or b is None:
        return a if b is None else b
    return tuple(value for value in a if any(same(value, other) for other in b))


def _all_of(a: Sub | None, b: Sub | None) -> Sub | None:
    return None if a is None and b is None else _joined(a or (), b or ())


def _joined(a: tuple[T, ...], b: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*a, *b)))


def _given(*values: N | None) -> list[N]:
    return [value for value in values if value is not None]
