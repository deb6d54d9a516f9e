"""Which expressions cannot fail, so that nobody sees whether and when they are evaluated."""

from __future__ import annotations

from sglc.ir.host import expr as e
from sglc.ir.host.expr import Expr
from sglc.ir.host.walk import parts

_TOTAL = (
    e.Operand,
    e.Local,
    e.Const,
    e.JsonConst,
    e.Logic,
    e.Cond,
    e.ListOf,
    e.Format,
)


def is_total(expr: Expr) -> bool:
    """True when the expression yields a value for all operands (but for the size limits)."""
    if isinstance(expr, e.Try):
        return is_total(expr.default)
    if not all(is_total(part) for part in parts(expr)):
        return False
    match expr:
        case e.Unary(op):
            return op == "not"
        case e.Compare(op):
            return op in ("==", "!=")
        case e.Format(parts=pieces):
            return all(not spec for _, spec in pieces)
        case e.DictOf(items):
            return all(isinstance(key, e.Const) and isinstance(key.value, str) for key, _ in items)
        case _:
            return isinstance(expr, _TOTAL)
