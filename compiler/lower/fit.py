"""Ints where floats are asked for: `3` for a parameter of type `float` becomes 3.0.

A value of static type `float` may be an int when it runs (`max([3, 2.5])` is 3), so what a type
asks for is converted whatever the value's own type is.
"""

from __future__ import annotations

from sglc.compiler.lower.frame import Frame
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.span import Span
from sglc.ir.types import FloatType, ListType, OptionalType, RecordType, Type


def fitted(frame: Frame, value: ops.Value, wanted: Type, span: Span | None) -> ops.Value:
    """The value in the form that a place of type `wanted`, which it fits, takes."""
    if not holds_floats(wanted):
        return value
    return frame.let(as_floats(host.Operand(0), wanted), (value,), wanted, span, value.name)


def holds_floats(type: Type) -> bool:
    match type:
        case FloatType():
            return True
        case OptionalType(item) | ListType(item):
            return holds_floats(item)
        case RecordType(fields=fields):
            return any(holds_floats(field) for _, field in fields)
    return False


def as_floats(expr: host.Expr, wanted: Type, depth: int = 0) -> host.Expr:
    """The expression with the numbers that `wanted` calls floats made floats."""
    if not holds_floats(wanted):
        return expr
    match wanted:
        case OptionalType(item):
            is_null = host.Compare("==", expr, host.Const(None))
            return host.Cond(is_null, host.Const(None), as_floats(expr, item, depth))
        case ListType(item):
            name = f"item{depth}"
            element = as_floats(host.Local(name), item, depth + 1)
            return host.Comprehension(element, (host.Clause((name,), expr, ()),))
        case RecordType(fields=fields):
            return host.DictOf(
                tuple(
                    (host.Const(name), as_floats(host.Field(expr, name), field, depth))
                    for name, field in fields
                )
            )
    return host.Call("float", (expr,))
