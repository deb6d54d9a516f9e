"""Which ops and values a function needs: the marking half of dead code elimination.

A value is needed when an op that is needed uses it; an op, when one of its results is, or when it
has an effect: an extern that is not pure, a require, an expression that may fail. A context is
needed where something is generated from it or its text is read, a host value as a value, and a gen
for either.

A context that only ends, the program's or that of a branch which nobody joins, is shown in traces
and no more: it is not needed. It keeps the text that is there anyway; a gen that only it would hold
is left out of it.

Of what an `if`, a `try`, a scope or a loop hands out each place is marked apart, so what a loop
carries for nobody does not keep alive what computes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from sglc.ir import graph, ops
from sglc.ir.host.total import is_total
from sglc.ir.module import Function
from sglc.ir.ops import Op, Region, Value
from sglc.ir.value_type import ContextType


@dataclass(frozen=True, slots=True)
class Demand:
    """Ids of the values that are needed or shown; the ops that stay, by the identity of their
    objects. The context before an op that goes stands for a shown one that it would have made."""

    values: Set[int]
    ops: Set[int]

    def needs(self, op: Op) -> bool:
        return id(op) in self.ops

    def mask(self, results: Iterable[Value]) -> list[bool]:
        return [value.id in self.values for value in results]


def demand(function: Function, pure_externs: Set[str]) -> Demand:
    """What a function needs. A fragment's caller may go on from the context that it leaves."""
    index = _Index(function, pure_externs)
    marker = _Marker(index)
    for value in index.wanted:
        marker.value(value)
    for site in index.roots:
        marker.op(site)
    marker.finish()
    marker.show()
    return Demand(marker.values | marker.shown, marker.ops | marker.shown_ops)


_Site = tuple[Op, ...]  # an op, after the ops that it stands in, the outermost first


class _Index:
    """Who defines what, and what leads where.

    `owners` gives the site that defines a value; `sources` what a result needs beside its op;
    `parts` what an op needs beside its operands; `jumps` the sites that end an op early; `ends` the
    contexts that only end, each with the op in which it does.
    """

    def __init__(self, function: Function, pure_externs: Set[str]) -> None:
        self.is_program = function.is_program
        self.pure_externs = pure_externs
        self.owners: dict[int, _Site] = {}
        self.sources: dict[int, list[Value]] = {}
        self.parts: dict[int, list[Value]] = {}
        self.jumps: dict[int, list[_Site]] = {}
        self.roots: list[_Site] = []
        self.wanted: list[Value] = []
        self.ends: list[tuple[Op | None, Value]] = []
        self.region(function.body, ())

    def region(self, region: Region, site: _Site) -> None:
        """Index a region of the last op of `site`."""
        for arg in region.args:
            if site:
                self.owners[arg.id] = site
        for op in region.ops:
            here = (*site, op)
            self.owners.update((result.id, here) for result in graph.results(op))
            if self.has_effect(op):
                self.roots.append(here)
            if isinstance(op, ops.For | ops.While):
                self.carry(op)
            for inner in graph.regions(op):
                self.region(inner, here)
        self.end(region, site)

    def has_effect(self, op: Op) -> bool:
        match op:
            case ops.Extern(name=name):
                return name not in self.pure_externs
            case ops.Let(expr=expr):
                return not is_total(expr)
            case _:
                return isinstance(op, ops.Require | ops.Call)

    def carry(self, op: ops.For | ops.While) -> None:
        """Tie each place that a loop carries: its result, its arguments and its first value."""
        bodies = [op.body.args[2:]] if isinstance(op, ops.For) else [op.body.args[1:]]
        if isinstance(op, ops.While):
            bodies.append(op.test.args[1:])
        for args in bodies:
            for result, init, arg in zip(op.results, op.inits, args, strict=True):
                self.add_source(result, init)
                self.add_source(arg, result)

    def end(self, region: Region, site: _Site) -> None:
        values = region.end.values
        match region.end:
            case ops.Yield():
                if isinstance(site[-1], ops.If | ops.Try):
                    self.add_sources(graph.results(site[-1]), values)
                    return
                if isinstance(site[-1], ops.Fork) and site[-1].contexts is not None:
                    self.add_source(site[-1].contexts, values[0])
                    self.ends.append((site[-1], values[0]))
                    values = values[1:]
                self.parts.setdefault(id(site[-1]), []).extend(values)
            case ops.Leave():
                self.jump(site, (ops.Scope,), values)
            case _:
                self.jump(site, (ops.For, ops.While), values)

    def jump(self, site: _Site, targets: tuple[type[Op], ...], values: tuple[Value, ...]) -> None:
        """Values that go to the innermost op around of these classes, or out of the function."""
        for depth in range(len(site), 0, -1):
            if isinstance(site[depth - 1], targets):
                self.add_sources(graph.results(site[depth - 1]), values)
                if depth < len(site):
                    self.jumps.setdefault(id(site[depth - 1]), []).append(site)
                return
        if self.is_program:
            self.ends.append((None, values[0]))
            values = values[1:]
        self.wanted.extend(values)
        if site:
            self.roots.append(site)

    def add_sources(self, results: tuple[Value, ...], values: tuple[Value, ...]) -> None:
        for result, value in zip(results, values, strict=True):
            self.add_source(result, value)

    def add_source(self, result: Value, value: Value) -> None:
        self.sources.setdefault(result.id, []).append(value)


class _Marker:
    """`values` and `ops` are needed, `shown` and `shown_ops` only shown."""

    def __init__(self, index: _Index) -> None:
        self.index = index
        self.shown: set[int] = set()
        self.shown_ops: set[int] = set()
        self.values: set[int] = set()
        self.ops: set[int] = set()
        self.todo: list[Value] = []

    def value(self, value: Value) -> None:
        if value.id not in self.values:
            self.values.add(value.id)
            self.todo.append(value)

    def op(self, site: _Site) -> None:
        """Mark the op of a site and those around it."""
        for depth in range(len(site), 0, -1):
            op = site[depth - 1]
            if id(op) in self.ops:
                break
            self.ops.add(id(op))
            for value in (*_own_operands(op), *self.index.parts.get(id(op), ())):
                self.value(value)
            for jump in self.index.jumps.get(id(op), ()):
                self.op(jump)

    def show(self) -> None:
        """Mark what the contexts that only end hold beside what is needed."""
        todo = [value for op, value in self.index.ends if op is None or id(op) in self.ops]
        while todo:
            value = todo.pop()
            if value.id in self.values or value.id in self.shown:
                continue
            self.shown.add(value.id)
            site = self.index.owners[value.id]
            if graph.regions(site[-1]):
                self.op(site)
                self.finish()
                todo += self.index.sources.get(value.id, ())
                continue
            if self.is_free(site[-1]):
                self.shown_ops.add(id(site[-1]))
            todo += (v for v in graph.operands(site[-1]) if isinstance(v.type, ContextType))

    def is_free(self, op: Op) -> bool:
        """Whether a context op asks for nothing that is not needed anyway."""
        match op:
            case ops.Append(text=text):
                return self.is_at_hand([text])
            case ops.Join(branches=branches):
                return branches.id in self.values
            case _:
                return isinstance(op, ops.Start | ops.Control | ops.Open | ops.Close)

    def is_at_hand(self, values: Sequence[Value]) -> bool:
        """Whether expressions over what is needed anyway yield the values; then they are needed."""
        todo, lets = [*values], []
        while todo:
            value = todo.pop()
            site = self.index.owners.get(value.id)
            if value.id in self.values or site is None or self.is_given(value, site[-1]):
                continue
            if not isinstance(site[-1], ops.Let):
                return False
            lets.append(value)
            todo += site[-1].operands
        for value in lets:
            self.value(value)
        self.finish()
        return True

    def is_given(self, value: Value, op: Op) -> bool:
        """Whether it is the item or the number of a round or branch of an op that stays."""
        if id(op) not in self.ops or not isinstance(op, ops.For | ops.Fork):
            return False
        return value in op.body.args[: 2 if isinstance(op, ops.For) else None]

    def finish(self) -> None:
        while self.todo:
            value = self.todo.pop()
            if value.id in self.index.owners:
                self.op(self.index.owners[value.id])
            for source in self.index.sources.get(value.id, ()):
                self.value(source)


def _own_operands(op: Op) -> tuple[Value, ...]:
    """The operands that an op needs whichever of its results are."""
    match op:
        case ops.For(items=items):
            return (items,)
        case ops.While(limit=limit):
            return (limit,)
        case _:
            return graph.operands(op)
