"""Expressions that the checker knows to be constant: as host expressions, and as values."""

from __future__ import annotations

from sglc.compiler import syntax
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.host import to_host
from sglc.ir.host import expr as host
from sglc.ir.host.evaluate import evaluate


def constant_expr(expr: syntax.Expr, checked: CheckedProgram) -> host.Expr:
    """The host expression, which has no operands."""
    return to_host(expr, checked, _no_operand)


def constant_value(expr: syntax.Expr, checked: CheckedProgram) -> host.Value:
    """The value of an expression that the checker found constant."""
    return evaluate(constant_expr(expr, checked))


def _no_operand(node: syntax.Node) -> int:
    raise AssertionError(f"{node} is not constant")
