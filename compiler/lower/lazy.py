"""Expressions that may not evaluate an effect inside them: and/or, chains, conditionals, try.

cond and f(x)    ->    %v = if %cond {yield call f} else {yield %cond}
"""

from __future__ import annotations

from sglc.compiler import syntax
from sglc.compiler.lower.frame import Frame, branch
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.types import BOOL, Type


def lower_logic(frame: Frame, node: syntax.Logic, name: str) -> ops.Value:
    """Left to right, and the deciding operand is the value."""
    return _logic(frame, node.op, node.values, frame.checked.types[node], name)


def _logic(
    frame: Frame, op: str, values: tuple[syntax.Expr, ...], type: Type, name: str = ""
) -> ops.Value:
    first = frame.expr(values[0])
    if len(values) == 1:
        return first

    def rest(arm: Frame) -> ops.Value:
        return _logic(arm, op, values[1:], type)

    def decided(_: Frame) -> ops.Value:
        return first

    then, otherwise = (rest, decided) if op == "and" else (decided, rest)
    return branch(frame, first, then, otherwise, type, values[0].span, name)


def lower_chain(frame: Frame, node: syntax.Compare, name: str) -> ops.Value:
    """`a < b < f(x)`: each operand once, and none after the first comparison that fails."""
    return _chain(frame, frame.expr(node.operands[0]), node, 0, name)


def _chain(
    frame: Frame, left: ops.Value, node: syntax.Compare, place: int, name: str = ""
) -> ops.Value:
    right = frame.expr(node.operands[place + 1])
    compare = host.Compare(node.ops[place], host.Operand(0), host.Operand(1), node.span)
    holds = frame.let(compare, (left, right), BOOL, node.span, name)
    if place + 1 == len(node.ops):
        return holds
    return branch(
        frame,
        holds,
        lambda arm: _chain(arm, right, node, place + 1),
        lambda _: holds,
        BOOL,
        node.span,
        name,
    )


def lower_conditional(frame: Frame, node: syntax.Conditional, name: str) -> ops.Value:
    """`a if test else b` as an `If`: only one of the two is evaluated."""
    return branch(
        frame,
        frame.expr(node.test),
        lambda arm: arm.expr(node.then),
        lambda arm: arm.expr(node.otherwise),
        frame.checked.types[node],
        node.span,
        name,
    )


def lower_try(frame: Frame, node: syntax.Call, name: str) -> ops.Value:
    """`try(value, default)`. The handler sees the runs in `value` fail too."""
    value, default = node.args
    body, handler = frame.child(), frame.child()
    tried = body.region(ops.Yield((body.expr(value),)))
    handled = handler.region(ops.Yield((handler.expr(default),)))
    result = frame.value(frame.checked.types[node], name)
    frame.emit(ops.Try((result,), tried, handled, node.span))
    return result
