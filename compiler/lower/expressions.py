"""Expressions: pure ones become a `Let`, effects inside them ops of their own, in order.

An effect is a run or the call of a fragment or extern. Where evaluation always reaches it, its op
stands before the `Let`; where it may not (the right of `and`, an arm of a conditional, `try`, the
element of a comprehension), the expression around it becomes ops too (`lazy.py`,
`comprehensions.py`).
Law: what the language evaluates once, in order, or not at all, the ops do too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.compiler import declaration, syntax
from sglc.compiler.checked import Builtin
from sglc.compiler.host import to_host
from sglc.compiler.lower import calls, comprehensions, lazy
from sglc.compiler.lower.facts import children, has_effect
from sglc.compiler.lower.frame import Frame
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.types import JSON, STR, ListType


def lower_expr(frame: Frame, expr: syntax.Expr, name: str = "") -> ops.Value:
    """The value of `expr`, computed where `frame` stands. `name` is what the author binds it to."""
    operands = _Operands(frame)
    _lower_effects(frame, expr, operands.given, name)
    converted = to_host(expr, frame.checked, operands.index, operands.given)
    if converted == host.Operand(0):
        return operands.values[0]
    # lowering itself makes some strings and comprehensions, which the checker has not seen
    made = STR if isinstance(expr, syntax.String) else ListType(JSON)
    type = frame.checked.types.get(expr, made)
    return frame.let(converted, operands.values, type, expr.span, name)


@dataclass(slots=True)
class _Operands:
    """The operands of one `Let`, numbered in the order in which the host expression asks for them.

    `given` are the values of the parts that are ops already.
    """

    frame: Frame
    given: dict[syntax.Node, ops.Value] = field(default_factory=dict)
    values: list[ops.Value] = field(default_factory=list)

    def index(self, node: syntax.Node) -> int:
        """The operand that stands for `node`: a variable, a meta, or what is in `given`."""
        value = self._value(node)
        if value not in self.values:
            self.values.append(value)
        return self.values.index(value)

    def _value(self, node: syntax.Node) -> ops.Value:
        if node in self.given:
            return self.given[node]
        if isinstance(node, syntax.Attribute):
            meta = self.frame.checked.metas[node]
            return self.frame.names[f"{meta.variable}.{meta.meta}"]
        assert isinstance(node, syntax.Name)
        return self.frame.names[node.text]


def _lower_effects(
    frame: Frame, node: syntax.Node, given: dict[syntax.Node, ops.Value], name: str = ""
) -> None:
    """Emit the effects in `node` in the order of evaluation and note their values in `given`.
    `name` is what `node` itself is bound to."""
    checked = frame.checked
    if not has_effect(node, checked):
        return
    match node:
        case syntax.Run():
            given[node] = calls.lower_run(frame, node, name)
        case syntax.Call() if isinstance(
            checked.callees[node], declaration.Fragment | declaration.Extern
        ):
            given[node] = calls.lower_call(frame, node, name)
        case syntax.Call() if checked.callees[node] == Builtin("try"):
            given[node] = lazy.lower_try(frame, node, name)
        case syntax.Logic(values=(_, *later)) if any(has_effect(v, checked) for v in later):
            given[node] = lazy.lower_logic(frame, node, name)
        case syntax.Compare(operands=(_, _, *later)) if any(has_effect(v, checked) for v in later):
            given[node] = lazy.lower_chain(frame, node, name)
        case syntax.Conditional(then=then, otherwise=otherwise) if has_effect(
            then, checked
        ) or has_effect(otherwise, checked):
            given[node] = lazy.lower_conditional(frame, node, name)
        case syntax.Comprehension() if comprehensions.repeats_effects(node, checked):
            given[node] = comprehensions.lower_comprehension(frame, node, name)
        case _:
            for child in children(node):
                _lower_effects(frame, child, given)
