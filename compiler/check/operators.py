"""The types of operators: Python's rules. What is json is checked when it runs."""

from __future__ import annotations

from sglc.compiler.check import relations
from sglc.ir.types import (
    BOOL,
    FLOAT,
    INT,
    JSON,
    STR,
    UNKNOWN,
    BoolType,
    BranchType,
    GroupType,
    IntType,
    JsonType,
    ListType,
    LiteralType,
    RecordType,
    TupleType,
    Type,
    UnknownType,
)


def unary(op: str, value: Type) -> Type | None:
    """None where the operator does not take the type."""
    if op == "not":
        return BOOL
    found = relations.base(value)
    if _is_dynamic(found):
        return found
    if not relations.is_number(found):
        return None
    return INT if found == BOOL else found


def binary(op: str, left: Type, right: Type) -> Type | None:
    """None where the operator does not take the two types."""
    a, b = relations.base(left), relations.base(right)
    if isinstance(a, UnknownType) or isinstance(b, UnknownType):
        return UNKNOWN
    if isinstance(a, JsonType) or isinstance(b, JsonType):
        return FLOAT if op == "/" else JSON
    if relations.is_number(a) and relations.is_number(b):
        if op == "**" and a != FLOAT != b and not _is_natural(right):
            return JSON  # 2 ** -1 is 0.5
        return FLOAT if op == "/" or FLOAT in (a, b) else INT
    if op == "+":
        if a == b == STR:
            return STR
        if _is_list(a) and _is_list(b):
            return ListType(_item(relations.join(_as_list(a), _as_list(b))))
    if op == "*":
        for value, times in ((a, b), (b, a)):
            if isinstance(times, IntType) or times == BOOL:
                if value == STR:
                    return STR
                if _is_list(value):
                    return _as_list(value)
    return None


def contains(item: Type, container: Type) -> bool:
    """True when `item in container` makes sense."""
    container = relations.base(container)
    if _is_dynamic(container):
        return True
    if container == STR:
        return _is_dynamic(item) or relations.base(item) == STR
    if isinstance(container, RecordType):
        return relations.comparable(item, STR)
    inner = relations.item_of(container)
    return inner is not None and relations.comparable(item, inner)


def index(value: Type, at: Type, known: int | str | None) -> Type | None:
    """The type of `value[at]`; `known` is the index where it is a constant."""
    value = relations.base(value)
    is_int = relations.base(at) in (INT, BOOL, JSON, UNKNOWN)
    is_str = relations.base(at) in (STR, JSON, UNKNOWN)
    match value:
        case UnknownType():
            return UNKNOWN
        case JsonType():
            return JSON if is_int or is_str else None
        case RecordType() | BranchType():
            if isinstance(known, str):
                return value.field(known)
            return relations.join_all(t for _, t in value.fields) if is_str else None
        case GroupType(fields):
            return BranchType(fields) if is_int else None
        case TupleType(items):
            if isinstance(known, int):
                return items[known] if -len(items) <= known < len(items) else None
            return relations.join_all(items) if is_int else None
        case ListType(item):
            return item if is_int else None
    return STR if value == STR and is_int else None


def slice_of(value: Type) -> Type | None:
    """The type of a slice, or None where the value has none."""
    value = relations.base(value)
    match value:
        case UnknownType() | JsonType():
            return value
        case ListType() | TupleType() | GroupType():
            return ListType(relations.item_of(value) or UNKNOWN)
    return STR if value == STR else None


def _is_dynamic(type: Type) -> bool:
    return isinstance(type, JsonType | UnknownType)


def _is_natural(type: Type) -> bool:
    """True of ints that are surely not negative."""
    match type:
        case BoolType():
            return True
        case IntType(low=low):
            return low is not None and low >= 0
        case LiteralType(values):
            return all(isinstance(value, int) and value >= 0 for value in values)
    return False


def _is_list(type: Type) -> bool:
    return isinstance(type, ListType | TupleType)


def _as_list(type: Type) -> Type:
    return ListType(_item(type))


def _item(type: Type) -> Type:
    return relations.item_of(type) or UNKNOWN
