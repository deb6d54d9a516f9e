"""Values that stand in for what only a run can know: what externs return."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sglc.codegen.plan import ExternDecl
from sglc.ir import types as t
from sglc.ir.host.expr import Value


def stand_in_externs(externs: Sequence[ExternDecl]) -> dict[str, Callable[..., Value]]:
    """A function for each extern, that returns a value of its type and does nothing."""
    return {extern.name: _returning(extern.result) for extern in externs}


def _returning(type: t.Type) -> Callable[..., Value]:
    return lambda *_: value_of_type(type)


def value_of_type(type: t.Type) -> Value:
    """A plain value of `type`: about the smallest that is not empty."""
    match type:
        case t.StrType():
            return "x" * max(1, type.min_length or 0)
        case t.IntType():
            return max(0, type.low or 0) if type.high is None else type.high
        case t.FloatType():
            return float(max(0, type.low or 0) if type.high is None else type.high)
        case t.BoolType():
            return True
        case t.LiteralType(values):
            return values[0]
        case t.OptionalType(item):
            return value_of_type(item)
        case t.ListType():
            most = 1 if type.max_items is None else type.max_items
            return [value_of_type(type.item)] * max(type.min_items or 0, min(1, most))
        case t.RecordType(fields=fields):
            return {name: value_of_type(field) for name, field in fields}
        case _:
            return {} if isinstance(type, t.JsonType) else None
