"""How types relate: what may stand where, what two types share, what going through one yields.

Law: `unknown` agrees with everything, so that one mistake is reported once.
Knows nothing about syntax or names; all functions are pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from sglc.ir.host.expr import Value
from sglc.ir.types import (
    BOOL,
    FLOAT,
    INT,
    JSON,
    NULL,
    STR,
    UNKNOWN,
    BoolType,
    BranchType,
    FloatType,
    GroupType,
    ImageType,
    IntType,
    JsonType,
    ListType,
    Literal,
    LiteralType,
    NullType,
    OptionalType,
    RecordType,
    StrType,
    TupleType,
    Type,
    UnknownType,
)
from sglc.ir.values import Mismatch, conform


def assignable(found: Type, wanted: Type) -> bool:
    """True when every value of `found` may stand where `wanted` is asked for."""
    if isinstance(found, UnknownType) or isinstance(wanted, UnknownType) or found == wanted:
        return True
    if isinstance(wanted, JsonType):
        return is_json(found)
    if isinstance(wanted, OptionalType):
        inner = found.item if isinstance(found, OptionalType) else found
        return isinstance(found, NullType) or assignable(inner, wanted.item)
    match found, wanted:
        case LiteralType(values), _:
            return all(value_fits(value, wanted) for value in values)
        case StrType(), StrType():
            return (
                _at_least(found.min_length, wanted.min_length)
                and _at_most(found.max_length, wanted.max_length)
                and wanted.pattern in (None, found.pattern)
            )
        case IntType() | FloatType(), FloatType():
            return _at_least(found.low, wanted.low) and _at_most(found.high, wanted.high)
        case IntType(), IntType():
            return _at_least(found.low, wanted.low) and _at_most(found.high, wanted.high)
        case ListType(), ListType():
            return (
                assignable(found.item, wanted.item)
                and _at_least(found.min_items, wanted.min_items)
                and _at_most(found.max_items, wanted.max_items)
            )
        case TupleType(items), ListType():
            return (
                all(assignable(item, wanted.item) for item in items)
                and _at_least(len(items), wanted.min_items)
                and _at_most(len(items), wanted.max_items)
            )
        case TupleType(items), TupleType(others):
            pairs = zip(items, others, strict=False)
            return len(items) == len(others) and all(assignable(a, b) for a, b in pairs)
    return False


def fits_when_run(found: Type, wanted: Type) -> bool:
    """True when `found` is json, or a list of it, where json values may be `wanted`: each value is
    then checked when the program runs."""
    match found, wanted:
        case JsonType(), _:
            return is_json(wanted)
        case OptionalType(item), OptionalType():
            return fits_when_run(item, wanted.item)
        case ListType(item), ListType():
            return fits_when_run(item, wanted.item)
    return False


def value_fits(value: Value, wanted: Type) -> bool:
    """True when this one value is of the type `wanted`."""
    try:
        conform(value, wanted)
    except Mismatch:
        return False
    return True


def is_json(type: Type) -> bool:
    """True of types whose values are JSON: all but images."""
    match type:
        case ImageType():
            return False
        case ListType(item) | OptionalType(item):
            return is_json(item)
        case TupleType(items):
            return all(map(is_json, items))
        case RecordType(_, fields) | GroupType(fields) | BranchType(fields):
            return all(is_json(field) for _, field in fields)
    return True


def join(a: Type, b: Type) -> Type:
    """The narrowest type that holds the values of both; `json` where nothing narrower does."""
    if a == b or isinstance(b, UnknownType):
        return a
    if isinstance(a, UnknownType):
        return b
    if isinstance(a, NullType):
        return optional(b)
    if isinstance(b, NullType):
        return optional(a)
    if isinstance(a, OptionalType) or isinstance(b, OptionalType):
        return optional(join(without_null(a), without_null(b)))
    match a, b:
        case LiteralType(left), LiteralType(right):
            return _literals((*left, *right))
        case ListType(), ListType():
            return ListType(join(a.item, b.item))
        case TupleType(left), TupleType(right) if len(left) == len(right):
            return TupleType(tuple(join(x, y) for x, y in zip(left, right, strict=True)))
        case TupleType(), ListType() | TupleType():
            return join(ListType(join_all(a.items)), b)
        case ListType(), TupleType():
            return join(a, ListType(join_all(b.items)))
    wide_a, wide_b = base(a), base(b)
    if wide_a == wide_b:
        return wide_a
    if {wide_a, wide_b} == {INT, FLOAT}:
        return FLOAT
    return JSON if is_json(a) and is_json(b) else UNKNOWN


def join_all(types: Iterable[Type]) -> Type:
    """The type that holds values of all of these; UNKNOWN of none."""
    found: Type = UNKNOWN
    for type in types:
        found = join(found, type)
    return found


def optional(type: Type) -> Type:
    """`T?`, written once: json has null already."""
    return type if isinstance(type, OptionalType | NullType | JsonType) else OptionalType(type)


def without_null(type: Type) -> Type:
    """T of `T?`, any other type as it is."""
    return type.item if isinstance(type, OptionalType) else type


def base(type: Type) -> Type:
    """The type without refinements: what operators go by. A union of literals of one kind is
    that kind."""
    match type:
        case StrType():
            return STR
        case IntType():
            return INT
        case FloatType():
            return FLOAT
        case LiteralType(values):
            return join_all(value_type(value) for value in values)
        case ListType(item):
            return ListType(item)
    return type


def value_type(value: Value) -> Type:
    """The type of a constant, without refinements. A dict is json."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOL
        case int():
            return INT
        case float():
            return FLOAT
        case str():
            return STR
        case list():
            return ListType(join_all(map(value_type, value)))
    return JSON


def item_of(type: Type) -> Type | None:
    """What going through a value yields, or None where one cannot."""
    match type:
        case ListType(item):
            return item
        case TupleType(items):
            return join_all(items)
        case GroupType(fields):
            return BranchType(fields)
        case JsonType() | UnknownType():
            return type
        case RecordType():
            return STR
    return STR if base(type) == STR else None


def is_number(type: Type) -> bool:
    return isinstance(base(type), IntType | FloatType | BoolType)


def comparable(a: Type, b: Type) -> bool:
    """False when `==` between the two can never hold."""
    a, b = without_null(a), without_null(b)
    if isinstance(a, JsonType | UnknownType) or isinstance(b, JsonType | UnknownType):
        return True
    if is_number(a) and is_number(b):
        return True
    match a, b:
        case LiteralType(left), LiteralType(right):
            return not set(left).isdisjoint(right)
        case LiteralType(values), _:
            return any(comparable(value_type(value), b) for value in values)
        case _, LiteralType(values):
            return any(comparable(value_type(value), a) for value in values)
        case ListType() | TupleType() | GroupType(), ListType() | TupleType() | GroupType():
            return True
        case RecordType() | BranchType(), RecordType() | BranchType():
            return True
    return base(a) == base(b)


def ordered(a: Type, b: Type) -> bool:
    """True when `<` is defined between the two."""
    a, b = base(a), base(b)
    if isinstance(a, JsonType | UnknownType) or isinstance(b, JsonType | UnknownType):
        return True
    if is_number(a) and is_number(b):
        return True
    match a, b:
        case StrType(), StrType():
            return True
        case ListType() | TupleType(), ListType() | TupleType():
            return True
    return False


def show_fields(fields: Iterable[tuple[str, Type]]) -> str:
    return ", ".join(f"`{name}`" for name, _ in fields) or "none"


def _literals(values: tuple[Literal, ...]) -> LiteralType:
    # 1 and true are equal in Python and are two literals here
    unique = {(type(value), value): value for value in values}
    return LiteralType(tuple(unique.values()))


def _at_least(found: float | None, wanted: float | None) -> bool:
    return wanted is None or (found is not None and found >= wanted)


def _at_most(found: float | None, wanted: float | None) -> bool:
    return wanted is None or (found is not None and found <= wanted)
