"""Simpler expressions of the same meaning: parts without operands become their values.

Law: the result evaluates as the expression did, failures included.
"""

from __future__ import annotations

from sglc.ir.host import expr as e
from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import HostError
from sglc.ir.host.evaluate import evaluate
from sglc.ir.host.expr import Expr
from sglc.ir.host.literal import is_literal, literal, literal_value
from sglc.ir.host.text import to_text
from sglc.ir.host.walk import map_parts, subexpressions


def simplify(expr: Expr, max_size: int) -> Expr:
    """The expression with what is known in it evaluated; a literal when all of it is known. A
    value whose text has over `max_size` characters does not replace what makes it."""
    expr = map_parts(expr, lambda part: simplify(part, max_size))
    if is_literal(expr):
        return expr
    if not any(isinstance(part, e.Operand | e.Local) for part in subexpressions(expr)):
        return _evaluated(expr, max_size)
    match expr:
        case e.Cond(test, then, otherwise) if isinstance(test, e.Const | e.JsonConst):
            return then if literal_value(test) else otherwise
        case e.Format(parts=parts):
            return e.Format(_joined(parts), expr.span)
        case _:
            return expr


def _evaluated(expr: Expr, max_size: int) -> Expr:
    try:
        value = evaluate(expr, (), HostEnv())
    except HostError:
        return expr
    return literal(value) if len(to_text(value)) <= max_size else expr


Parts = tuple[tuple[Expr, str | None], ...]


def _joined(parts: Parts) -> Parts:
    """The parts with templates inside templates opened up and neighbouring constants made one."""
    joined: list[tuple[Expr, str | None]] = []
    for value, spec in _opened(parts):
        if not spec and isinstance(value, e.Const | e.JsonConst):
            text = to_text(literal_value(value))
            before = joined[-1][0] if joined and not joined[-1][1] else None
            if isinstance(before, e.Const) and isinstance(before.value, str):
                joined[-1] = (e.Const(before.value + text), None)
            elif text:
                joined.append((e.Const(text), None))
        else:
            joined.append((value, spec))
    return tuple(joined)


def _opened(parts: Parts) -> Parts:
    opened: list[tuple[Expr, str | None]] = []
    for value, spec in parts:
        if not spec and isinstance(value, e.Format):
            opened.extend(_opened(value.parts))
        else:
            opened.append((value, spec))
    return tuple(opened)
