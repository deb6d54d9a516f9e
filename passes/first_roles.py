"""Which roles a program's conversations may begin with: what a template adds at the start depends
on it.

A context in which no role was opened yet is called blank here. Where paths meet, a context is blank
if it is so on one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sglc.ir import graph, ops
from sglc.ir.module import Function
from sglc.ir.ops import Op, Region, Value


def first_roles(program: Function) -> frozenset[str]:
    """The roles that a program without calls may open in a blank context."""
    walk = _Walk()
    walk.region(program.body)
    return frozenset(walk.roles)


class _Walk:
    def __init__(self) -> None:
        self.blank: set[int] = set()  # ids of contexts
        self.roles: set[str] = set()

    def region(self, region: Region) -> None:
        for op in region.ops:
            self.op(op)

    def op(self, op: Op) -> None:
        match op:
            case ops.Start():
                self.blank.add(op.result.id)
            case ops.Open():
                if op.context.id in self.blank:
                    self.roles.add(op.role)
            case ops.Join():
                # there may be no branches; what they open, they open in a blank context as well
                self.flow([op.context], [op.result])
            case ops.For() | ops.While():
                for region in graph.regions(op):
                    self.flow(op.inits, region.args[len(region.args) - len(op.inits) :])
                    self.region(region)
                self.flow(op.inits, op.results)
            case ops.Fork():
                if op.context is not None:
                    self.flow([op.context], op.body.args[:1])
                self.region(op.body)
            case _:
                for region in graph.regions(op):
                    self.region(region)
                if isinstance(op, ops.If | ops.Try | ops.Scope):
                    self.meet(op)

    def meet(self, op: ops.If | ops.Try | ops.Scope) -> None:
        """The results are what the regions, or jumps inside a scope, end with."""
        kind = ops.Leave if isinstance(op, ops.Scope) else ops.Yield
        for region in graph.regions(op):
            inner = graph.walk_regions(region) if isinstance(op, ops.Scope) else [region]
            for end in (each.end for each in inner):
                if isinstance(end, kind):
                    self.flow(end.values, op.results)

    def flow(self, sources: Sequence[Value], results: Sequence[Value]) -> None:
        """The results may be these values. Leaves of a nested scope may be more or fewer."""
        for source, result in zip(sources, results, strict=False):
            if source.id in self.blank:
                self.blank.add(result.id)
