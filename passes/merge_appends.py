"""Make one append of several in a row.

Before:  %2: str = let t"Essay: {%essay.0}"
         %3: ctx = append %1, %2
         %4: str = let "\\nJudge it."
         %5: ctx = append %3, %4
After:   %6: str = let t"Essay: {%essay.0}\\nJudge it."
         %5: ctx = append %1, %6
Keeps:   an append whose context is used elsewhere too: there the chain forks.

The texts of a chain are one piece of a stretch already, so its tokens do not change.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from sglc.ir import graph, ops
from sglc.ir.graph import FreshIds
from sglc.ir.host import expr as e
from sglc.ir.host.expr import Expr
from sglc.ir.host.simplify import simplify
from sglc.ir.host.total import is_total
from sglc.ir.host.walk import map_operands
from sglc.ir.module import Function, Module
from sglc.ir.note import PassNote
from sglc.ir.ops import Op, Region, Value
from sglc.ir.types import STR
from sglc.passes.fold import MAX_FOLDED, with_expr
from sglc.passes.noting import note, with_notes


def merge_appends(module: Module) -> Module:
    notes: list[PassNote] = []
    merged = graph.map_functions(module, lambda function: _function(function, notes))
    return with_notes(merged, notes)


def _function(function: Function, notes: list[PassNote]) -> Function:
    merger = _Merger(FreshIds(function), graph.uses(function.body))
    body = merger.region(function.body)
    notes += merger.notes
    return replace(function, body=body)


class _Merger:
    """`texts` are the expressions of the lets seen so far, by result id, where they cannot fail."""

    def __init__(self, fresh: FreshIds, uses: Counter[int]) -> None:
        self.fresh = fresh
        self.uses = uses
        self.texts: dict[int, ops.Let] = {}
        self.notes: list[PassNote] = []

    def region(self, region: Region) -> Region:
        new: list[Op] = []
        chain: list[ops.Append] = []
        for op in region.ops:
            if isinstance(op, ops.Append):
                if chain and not self.follows(op, chain[-1]):
                    self.flush(chain, new)
                chain.append(op)
                continue
            if isinstance(op, ops.Let) and is_total(op.expr):
                self.texts[op.result.id] = op
            if chain and self.needs(op, chain[-1].result):
                self.flush(chain, new)
            new.append(graph.rebuild(op, region=self.region))
        self.flush(chain, new)
        return replace(region, ops=tuple(new))

    def follows(self, op: ops.Append, last: ops.Append) -> bool:
        return op.context == last.result and self.uses[last.result.id] == 1

    def needs(self, op: Op, context: Value) -> bool:
        if context in graph.operands(op):
            return True
        return any(context.id in graph.free_values(region) for region in graph.regions(op))

    def flush(self, chain: list[ops.Append], new: list[Op]) -> None:
        """Add the chain to `new` as one append, and empty it."""
        if len(chain) > 1:
            merged = (note("merge_appends", "merged", op) for op in chain[1:])
            self.notes += (replace(each, what="append") for each in merged)
            text = self.fresh.value(STR)
            new.append(self.joined(text, tuple(op.text for op in chain)))
            new.append(replace(chain[-1], context=chain[0].context, text=text))
        else:
            new.extend(chain)
        chain.clear()

    def joined(self, result: Value, texts: tuple[Value, ...]) -> ops.Let:
        """The let of all these texts in one."""
        operands: list[Value] = []
        parts: list[tuple[Expr, str | None]] = []
        for text in texts:
            let = self.texts.get(text.id)
            expr, values = (e.Operand(0), (text,)) if let is None else (let.expr, let.operands)
            parts.append((_shifted(expr, len(operands)), None))
            operands.extend(values)
        whole = ops.Let(result, e.Format(tuple(parts)), tuple(operands))
        return with_expr(whole, simplify(whole.expr, MAX_FOLDED))


def _shifted(expr: Expr, by: int) -> Expr:
    """The expression over operands that begin `by` places later."""
    return map_operands(expr, lambda index: e.Operand(by + index))
