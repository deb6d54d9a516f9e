"""`any_order`: the one place where statements change places, and the order is fixed here.

What is known earliest comes first: constant text is shared by all rows, text of inputs by the rows
that agree in them. Statements of one stage keep the author's order, so the order does not depend
on data or on passes.
"""

from __future__ import annotations

from sglc.compiler import syntax
from sglc.compiler.lower.facts import is_effect, walk
from sglc.compiler.lower.frame import Frame
from sglc.passes.stages import Stage


def in_shared_order(frame: Frame, node: syntax.AnyOrder) -> syntax.Block:
    """The statements of the block in the order in which they are appended."""
    return tuple(sorted(node.body, key=lambda statement: _stage(frame, statement)))


def _stage(frame: Frame, statement: syntax.Stmt) -> Stage:
    """The latest stage of what the statement's text depends on."""
    latest = Stage.CONST
    for node in walk(statement):
        stage = Stage.CONST
        if isinstance(node, syntax.Name) and node not in frame.checked.consts:
            value = frame.names.get(node.text)
            # a name that is not bound here is one that the statement binds: a loop's, or a fragment
            stage = Stage.CONST if value is None else frame.stage(value)
        elif isinstance(node, syntax.Call) and is_effect(node, frame.checked):
            callee = frame.checked.callees[node]
            stage = Stage.GEN if isinstance(callee, syntax.Extern) else Stage.CONST
        latest = max(latest, stage)
    return latest
