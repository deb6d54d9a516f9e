"""What a test says about values that may be null: the facts that hold where it was true, or false.

A fact is about a name or a path of fields of one, as in `row.title != null`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sglc.compiler import syntax
from sglc.ir.types import OptionalType, Type

Facts = dict[str, Type]


def path(expr: syntax.Expr) -> str | None:
    """The path that `expr` reads, or None when it is no name and no field of one."""
    if isinstance(expr, syntax.Name):
        return expr.text
    if isinstance(expr, syntax.Attribute):
        owner = path(expr.value)
        return None if owner is None else f"{owner}.{expr.name.text}"
    return None


def facts(test: syntax.Expr, types: Mapping[syntax.Node, Type], holds: bool) -> Facts:
    """What is known after `test` came out true (`holds`) or false."""
    match test:
        case syntax.Name() | syntax.Attribute():
            return _not_null(test, types) if holds else {}
        case syntax.Unary(op="not", value=value):
            return facts(value, types, not holds)
        case syntax.Logic(op=op, values=values) if holds == (op == "and"):
            # all of an `and` were true, all of an `or` false
            return {k: t for value in values for k, t in facts(value, types, holds).items()}
        case syntax.Compare(ops=(("==" | "!=") as op,), operands=(left, right)):
            if holds == (op == "!="):
                if _is_null(right):
                    return _not_null(left, types)
                if _is_null(left):
                    return _not_null(right, types)
    return {}


def _not_null(expr: syntax.Expr, types: Mapping[syntax.Node, Type]) -> Facts:
    where, found = path(expr), types.get(expr)
    if where is None or not isinstance(found, OptionalType):
        return {}
    return {where: found.item}


def _is_null(expr: syntax.Expr) -> bool:
    return isinstance(expr, syntax.Literal) and expr.value is None
