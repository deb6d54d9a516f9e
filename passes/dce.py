"""Remove what nobody uses (dead code elimination).

Before:  %9: str = run {
           %1: ctx = start
           %2: ctx, %a.3: str = gen a from %1 as str path [0, 0]
           %4: ctx, %b.5: str = gen b from %2 as str path [0, 1]
           yield %a.3
         }
After:   %9: str = run {
           %1: ctx = start
           %2: ctx, %a.3: str = gen a from %1 as str path [0, 0]
           yield %a.3
         }
Keeps:   effects (externs that are not pure, requires, expressions that may fail); a gen whose value
         is used or from whose context something is generated; all fields of a fork.

A gen is alive as a value or as context. What ends a conversation and is read by nobody is neither:

Before:  %4: ctx, %b.5: str = gen b from %2 as str path [0, 1]
         %6: ctx = append %4, %end.7
         leave %6, %a.3
After:   %6: ctx = append %2, %end.7
         leave %6, %a.3

`demand.py` says what is needed. What an `if`, a `try`, a scope or a loop hands out and nobody takes
is cut from its results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sglc.ir import graph, ops
from sglc.ir.module import Function, Module
from sglc.ir.note import PassNote
from sglc.ir.ops import Op, Region, Terminator, Value
from sglc.passes.demand import Demand, demand
from sglc.passes.noting import is_constant, note, with_notes
from sglc.passes.repeatable import pure_externs


def dce(module: Module) -> Module:
    pure = pure_externs(module)
    notes: list[PassNote] = []

    def cleaned(function: Function) -> Function:
        sweeper = _Sweeper(demand(function, pure), notes)
        function = replace(function, body=sweeper.region(function.body, _Masks()))
        # what decided between two arms that are the same now is needed no more
        return cleaned(function) if sweeper.has_dissolved else function

    return with_notes(graph.map_functions(module, cleaned), notes)


@dataclass(frozen=True, slots=True)
class _Masks:
    """Which places of a terminator's values stay, by where it goes; None is all of them."""

    yields: list[bool] | None = None
    loop: list[bool] | None = None
    scope: list[bool] | None = None


class _Sweeper:
    """`images` are the contexts before ops that are gone, for those that they made."""

    def __init__(self, needed: Demand, notes: list[PassNote]) -> None:
        self.needed = needed
        self.notes = notes
        self.images: dict[int, Value] = {}
        self.has_dissolved = False

    def image(self, value: Value) -> Value:
        return self.images.get(value.id, value)

    def region(self, region: Region, masks: _Masks) -> Region:
        kept: list[Op] = []
        for op in region.ops:
            if not self.needed.needs(op):
                self.remove(op)
                continue
            op = graph.rebuild(self.op(op, masks), operand=self.image)
            if isinstance(op, ops.If) and _is_idle(op):
                self.dissolve(op)
            else:
                kept.append(op)
        end = graph.rebuild_end(_cut_end(region.end, masks), self.image)
        return Region(region.args, tuple(kept), end)

    def dissolve(self, op: ops.If) -> None:
        self.images.update((r.id, v) for r, v in zip(op.results, op.then.end.values, strict=True))
        self.has_dissolved = True

    def remove(self, op: Op) -> None:
        if isinstance(op, ops.Append | ops.Gen | ops.Select | ops.Join):
            self.images[op.result.id] = self.image(op.context)
        gone = [op, *(inner for region in graph.regions(op) for inner in graph.walk(region))]
        self.notes += (note("dce", "removed", each) for each in gone if not is_constant(each))

    def op(self, op: Op, masks: _Masks) -> Op:
        mask = self.needed.mask(graph.results(op))
        match op:
            case ops.If(results=results):
                inner = replace(masks, yields=mask)
                then, otherwise = (self.region(r, inner) for r in (op.then, op.otherwise))
                return replace(op, results=_cut(results, mask), then=then, otherwise=otherwise)
            case ops.Try(results=results):
                body, handler = (self.region(r, _Masks(yields=mask)) for r in (op.body, op.handler))
                return replace(op, results=_cut(results, mask), body=body, handler=handler)
            case ops.Scope(results=results):
                body = self.region(op.body, _Masks(scope=mask))
                return replace(op, results=_cut(results, mask), body=body)
            case ops.For() | ops.While():
                return self.loop(op, mask, masks)
            case _:
                return graph.rebuild(op, region=lambda r: self.region(r, _Masks()))

    def loop(self, op: ops.For | ops.While, mask: list[bool], masks: _Masks) -> Op:
        body = self.region(op.body, _Masks(loop=mask, scope=masks.scope))
        first = 2 if isinstance(op, ops.For) else 1
        op = replace(
            op,
            results=_cut(op.results, mask),
            inits=_cut(op.inits, mask),
            body=_cut_args(body, first, mask),
        )
        if isinstance(op, ops.While):
            return replace(op, test=_cut_args(self.region(op.test, _Masks()), first, mask))
        return op


def _is_idle(op: ops.If) -> bool:
    """Whether both arms do nothing and yield the same."""
    end = op.then.end
    return isinstance(end, ops.Yield) and op.then == op.otherwise == Region((), (), end)


def _cut(values: tuple[Value, ...], mask: list[bool] | None) -> tuple[Value, ...]:
    if mask is None:
        return values
    return tuple(value for value, stays in zip(values, mask, strict=True) if stays)


def _cut_args(region: Region, first: int, mask: list[bool]) -> Region:
    """The region with the carried arguments, which begin at `first`, cut."""
    return replace(region, args=(*region.args[:first], *_cut(region.args[first:], mask)))


def _cut_end(end: Terminator, masks: _Masks) -> Terminator:
    match end:
        case ops.Yield():
            mask = masks.yields
        case ops.Leave():
            mask = masks.scope
        case _:
            mask = masks.loop
    return replace(end, values=_cut(end.values, mask))
