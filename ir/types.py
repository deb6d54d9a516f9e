"""The types of the language: what a row must hold, what an expression yields, what a gen may write.

One set of frozen classes serves the checker, the binder (rows against types) and structured
generation. `str(t)` prints a type as the language spells it, and that text parses back.
Knows nothing about contexts (`value_type.py`) or about tokens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

Literal = str | int | float | bool


@dataclass(frozen=True, slots=True)
class StrType:
    """Text. Lengths count characters (code points); `pattern` is a full-match regex."""

    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    def __str__(self) -> str:
        pairs = (("min_length", self.min_length), ("max_length", self.max_length))
        args = [f"{name}={value}" for name, value in pairs if value is not None]
        if self.pattern is not None:
            args.append(f"pattern={json.dumps(self.pattern, ensure_ascii=False)}")
        return f"str({', '.join(args)})" if args else "str"


@dataclass(frozen=True, slots=True)
class IntType:
    """An integer of any size, or of the inclusive range low..high."""

    low: int | None = None
    high: int | None = None

    def __str__(self) -> str:
        return "int" + _range(self.low, self.high)


@dataclass(frozen=True, slots=True)
class FloatType:
    """A finite float64, or one of the inclusive range low..high. An int is accepted as one."""

    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return "float" + _range(self.low, self.high)


@dataclass(frozen=True, slots=True)
class BoolType:
    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class NullType:
    """The type of `null`; written only as the `?` of another type."""

    def __str__(self) -> str:
        return "null"


@dataclass(frozen=True, slots=True)
class JsonType:
    """Any JSON value: null, bool, int, float, str, list of json, dict of str to json."""

    def __str__(self) -> str:
        return "json"


@dataclass(frozen=True, slots=True)
class ImageType:
    def __str__(self) -> str:
        return "image"


@dataclass(frozen=True, slots=True, eq=False)
class LiteralType:
    """A union of literals, in the order written. 1, 1.0 and true are three."""

    values: tuple[Literal, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LiteralType) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[tuple[type, Literal], ...]:
        return tuple((type(value), value) for value in self.values)

    def __str__(self) -> str:
        return " | ".join(json.dumps(v, ensure_ascii=False) for v in self.values)


@dataclass(frozen=True, slots=True)
class ListType:
    item: Type
    min_items: int | None = None
    max_items: int | None = None

    def __str__(self) -> str:
        pairs = (("min_items", self.min_items), ("max_items", self.max_items))
        args = ", ".join(f"{name}={value}" for name, value in pairs if value is not None)
        return f"list[{self.item}]" + (f"({args})" if args else "")


@dataclass(frozen=True, slots=True)
class OptionalType:
    """`T?`: a T or null."""

    item: Type

    def __str__(self) -> str:
        return f"({self.item})?" if isinstance(self.item, LiteralType) else f"{self.item}?"


@dataclass(frozen=True, slots=True)
class RecordType:
    """A declared record: a dict with just these fields, in this order."""

    name: str
    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return self.name

    def field(self, name: str) -> Type | None:
        return dict(self.fields).get(name)


@dataclass(frozen=True, slots=True)
class GroupType:
    """What `fork ... as g` binds: a list of one record a branch, with what the branch surely binds.

    `g[i].name` reads one branch, `g.name` the list over all branches. A meta of a generated
    value (`x.tokens`) is the field "x.tokens".
    """

    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return "group{" + ", ".join(f"{n}: {t}" for n, t in self.fields) + "}"

    def field(self, name: str) -> Type | None:
        return dict(self.fields).get(name)


@dataclass(frozen=True, slots=True)
class BranchType:
    """One element of a group: `g[i]`, or the target of `for b in g`."""

    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return "branch{" + ", ".join(f"{n}: {t}" for n, t in self.fields) + "}"

    def field(self, name: str) -> Type | None:
        return dict(self.fields).get(name)


@dataclass(frozen=True, slots=True)
class TupleType:
    """What zip and enumerate yield: a list of fixed length, each place with its own type."""

    items: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple[{', '.join(map(str, self.items))}]"


@dataclass(frozen=True, slots=True)
class UnknownType:
    """The poison of the checker: agrees with everything, so that one mistake is one error."""

    def __str__(self) -> str:
        return "unknown"


Type = (
    StrType
    | IntType
    | FloatType
    | BoolType
    | NullType
    | JsonType
    | ImageType
    | LiteralType
    | ListType
    | OptionalType
    | RecordType
    | GroupType
    | BranchType
    | TupleType
    | UnknownType
)


def is_text(type: Type) -> bool:
    """Whether every value of the type is a str, so that as JSON it stands in quotes."""
    if isinstance(type, LiteralType):
        return all(isinstance(value, str) for value in type.values)
    return isinstance(type, StrType)


STR, INT, FLOAT, BOOL = StrType(), IntType(), FloatType(), BoolType()
NULL, JSON, IMAGE, UNKNOWN = NullType(), JsonType(), ImageType(), UnknownType()


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f"({'' if low is None else low}..{'' if high is None else high})"
