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
         or whose context is used; the contexts that a fork's branches end with, and all its fields.

`demand.py` says what is needed. What an `if`, a `try`, a scope or a loop hands out and nobody takes
is cut from its results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sglc.ir import graph, ops
from sglc.ir.module import Function, Module
from sglc.ir.ops import Op, Region, Terminator, Value
from sglc.passes.demand import Demand, demand


def dce(module: Module) -> Module:
    pure = _pure_externs(module)

    def cleaned(function: Function) -> Function:
        sweeper = _Sweeper(demand(function.body, pure))
        return replace(function, body=sweeper.region(function.body, _Masks()))

    return graph.map_functions(module, cleaned)


def _pure_externs(module: Module) -> frozenset[str]:
    return frozenset(extern.name for extern in module.externs if extern.is_pure)


@dataclass(frozen=True, slots=True)
class _Masks:
    """Which places of a terminator's values stay, by where it goes; None is all of them."""

    yields: list[bool] | None = None
    loop: list[bool] | None = None
    scope: list[bool] | None = None


class _Sweeper:
    def __init__(self, needed: Demand) -> None:
        self.needed = needed

    def region(self, region: Region, masks: _Masks) -> Region:
        kept = (self.op(op, masks) for op in region.ops if self.needed.needs(op))
        return replace(region, ops=tuple(kept), end=_cut_end(region.end, masks))

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
