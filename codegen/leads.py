"""The lead of a piece: forced text whose tokens may merge with what the gen writes after it.

The gen writes it itself, so the append before the gen loses it:

    append ...{"score":      ->      append ...{"score"
    gen score                        gen score, lead ":"

Passes may have joined the forced text with text before it, but it still ends the append. Where the
append serves others too, or its text is not known to end so, it stays and the gen has no lead:
that costs canonical tokens, never text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from sglc.ir import graph, ops
from sglc.ir.graph import FreshIds
from sglc.ir.host import expr as host
from sglc.ir.host.total import is_total
from sglc.ir.module import Function
from sglc.ir.ops import Op, Value
from sglc.ir.types import STR


def cut_leads(program: Function, leads: Mapping[int, str]) -> tuple[Function, frozenset[int]]:
    """The program with leads, by the id of a gen's value, cut from the appends before those gens;
    and the ids for which that could be done."""
    if not any(leads.values()):
        return program, frozenset()
    search, fresh = _Search(program), FreshIds(program)
    texts: dict[int, ops.Let] = {}  # by the id of the context that an append makes
    done = set()
    for op in graph.walk(program.body):
        if isinstance(op, ops.Gen) and leads.get(op.value.id):
            let = search.text_before(op.context)
            shortened = None if let is None else _without(let.expr, leads[op.value.id])
            if let is not None and shortened is not None:
                value = fresh.value(STR)
                texts[op.context.id] = replace(let, result=value, expr=shortened)
                done.add(op.value.id)

    def shorten(op: Op) -> tuple[Op, ...]:
        if isinstance(op, ops.Append) and op.result.id in texts:
            let = texts[op.result.id]
            return let, replace(op, text=let.result)
        return (op,)

    return replace(program, body=graph.map_ops(program.body, shorten)), frozenset(done)


class _Search:
    """Who makes what. `uses` leave out those as the base of a piece: that goes along with the
    append."""

    def __init__(self, program: Function) -> None:
        self.made_by: dict[int, Op] = {}
        bases: Counter[int] = Counter()
        for op in graph.walk(program.body):
            self.made_by.update((result.id, op) for result in graph.results(op))
            if isinstance(op, ops.Gen) and op.piece is not None:
                bases[op.piece.base.id] += 1
        self.uses = graph.uses(program.body) - bases

    def text_before(self, context: Value) -> ops.Let | None:
        """The let of the text that is appended right before a gen from `context`, where no other op
        goes on from there and computing the text again does nothing else."""
        append = self.made_by.get(context.id)
        if not isinstance(append, ops.Append) or self.uses[context.id] != 1:
            return None
        let = self.made_by.get(append.text.id)
        return let if isinstance(let, ops.Let) and is_total(let.expr) else None


def _without(expr: host.Expr, lead: str) -> host.Expr | None:
    """The text without `lead` at its end, if it is known to end so."""
    match expr:
        case host.Const(str() as text) if text.endswith(lead):
            return host.Const(text.removesuffix(lead))
        case host.Format(parts=(*before, (host.Const(str() as text), None))):
            if text.endswith(lead):
                last = host.Const(text.removesuffix(lead))
                return replace(expr, parts=(*before, (last, None)))
    return None
