"""Comparisons: which make sense, and which can never hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import operators, relations
from sglc.ir.types import BOOL, NULL, LiteralType, NullType, Type

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions


def comparison_type(expressions: Expressions, expr: syntax.Compare) -> Type:
    """A chain of comparisons is a bool; each link of it must make sense."""
    found = [expressions.infer(operand) for operand in expr.operands]
    for i, op in enumerate(expr.ops):
        _link(expressions, expr, op, i, found[i], found[i + 1])
    return BOOL


def _link(
    expressions: Expressions, expr: syntax.Compare, op: str, place: int, left: Type, right: Type
) -> None:
    a, b = expr.operands[place], expr.operands[place + 1]
    if op in ("in", "not in"):
        if not operators.contains(left, right):
            message = f"`{op}` cannot look for `{left}` in `{right}`"
            expressions.report.error(
                "E0303", message, a.span.to(b.span), help=expressions.null_help(b)
            )
    elif op in ("==", "!="):
        _equality(expressions, a, b, left, right)
    elif not relations.ordered(left, right):
        help = expressions.null_help(a) or expressions.null_help(b)
        message = f"`{op}` does not compare `{left}` and `{right}`"
        expressions.report.error("E0303", message, a.span.to(b.span), help=help)


def _equality(
    expressions: Expressions, a: syntax.Expr, b: syntax.Expr, left: Type, right: Type
) -> None:
    """An equality that can never hold is a mistake: of types, or of one of a few texts."""
    if isinstance(left, NullType) or isinstance(right, NullType):
        other = right if isinstance(left, NullType) else left
        if not relations.assignable(NULL, other):
            message = f"a value of type `{other}` is never null"
            expressions.report.error("E0303", message, a.span.to(b.span))
        return
    for expr, other in ((b, left), (a, right)):
        options = relations.without_null(other)
        if isinstance(options, LiteralType):
            known = expressions.consts.known(expr)
            if known is not None and not relations.value_fits(known.value, options):
                message = f"this is never equal: the value is one of {options}"
                expressions.report.error("E0303", message, expr, "not one of them")
                return
    if not relations.comparable(left, right):
        message = f"`{left}` and `{right}` are never equal"
        expressions.report.error("E0303", message, a.span.to(b.span))
