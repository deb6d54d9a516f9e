"""`any_order`: the one place where statements change places, and the order is fixed here.

Before:  any_order:
             "About {topic}."
             "Answer in a word."
             "{question}"
After:   "Answer in a word."
         "About {topic}."      # as `topic` takes fewer values than `question` in the sample
         "{question}"

What is known earliest comes first: constant text is shared by all rows, text of inputs by the rows
that agree in them. Among texts of inputs those come first that take the fewest values in the rows
of the sample, if there is one. Statements that are alike in this keep the author's order, so the
order depends neither on the data that the plan is run on nor on passes.
"""

from __future__ import annotations

from sglc.compiler import declaration, syntax
from sglc.compiler.lower.facts import is_effect, walk
from sglc.compiler.lower.frame import Frame
from sglc.ir.note import PassNote
from sglc.passes.stages import Stage


def in_shared_order(frame: Frame, node: syntax.AnyOrder) -> syntax.Block:
    """The statements of the block in the order in which they are appended."""
    ordered = tuple(sorted(node.body, key=lambda statement: _rank(frame, statement)))
    moved = [new.span for new, old in zip(ordered, node.body, strict=True) if new is not old]
    if moved:
        note = PassNote("any_order", "reordered", "statement", len(moved), tuple(moved), node.span)
        frame.scope.unit.notes.append(note)
    return ordered


def _rank(frame: Frame, statement: syntax.Stmt) -> tuple[Stage, int]:
    """The latest stage of what the statement's text depends on, and how many values the inputs
    among that take."""
    latest = Stage.CONST
    origins: frozenset[str] = frozenset()
    for node in walk(statement):
        if isinstance(node, syntax.Name) and node not in frame.checked.consts:
            value = frame.names.get(node.text)
            # a name that is not bound here is one that the statement binds: a loop's, or a fragment
            if value is not None:
                latest = max(latest, frame.stage(value))
                origins |= frame.origins(value)
        elif isinstance(node, syntax.Call) and is_effect(node, frame.checked):
            is_extern = isinstance(frame.checked.callees[node], declaration.Extern)
            latest = Stage.GEN if is_extern else latest
    sample = frame.scope.unit.sample
    if sample is None or latest is not Stage.INPUT:
        return latest, 0
    return latest, sample.num_distinct(origins)
