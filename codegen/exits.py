"""The ways out of a region, and where inside it values die.

A value is needed at a point when it is used after it on some path, or when the way out that follows
needs it. Where it is needed no more it dies; for a context, that is where its KV can be freed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sglc.codegen.registers import Ids
from sglc.ir import graph, ops


@dataclass(frozen=True, slots=True)
class Exit:
    """`go` emits the way out with these values; `keep` are the values needed after it."""

    go: Callable[[Sequence[ops.Value]], None]
    keep: frozenset[int]


@dataclass(frozen=True, slots=True)
class Exits:
    """What each terminator does where a region is being emitted; None where it cannot stand."""

    yields: Exit | None
    leaves: Exit | None = None
    breaks: Exit | None = None
    continues: Exit | None = None

    def of(self, kind: type[ops.Terminator]) -> Exit:
        exit = {
            ops.Yield: self.yields,
            ops.Leave: self.leaves,
            ops.Break: self.breaks,
            ops.Continue: self.continues,
        }[kind]
        assert exit is not None, "the verifier lets terminators stand where they lead somewhere"
        return exit


def deaths(region: ops.Region, live: Ids, exits: Exits) -> list[Ids]:
    """First the values of `live` that are not needed in the region at all, then for each op those,
    of `live` and of the region's own, that are not needed after it."""
    mortal = live | {v.id for op in region.ops for v in graph.results(op)}
    needed = {value.id for value in region.end.values} | exits.of(type(region.end)).keep
    dying: list[Ids] = []
    for op in reversed(region.ops):
        used = _needs(op, exits)
        defined = {value.id for value in graph.results(op)}
        dying.append(((used | defined) - needed) & mortal)
        needed |= used
    return [live - needed, *reversed(dying)]


def _needs(op: ops.Op, exits: Exits) -> Ids:
    """What the op uses, its regions included, and what ways out of it need."""
    needed = {value.id for value in graph.operands(op)}
    for region in graph.regions(op):
        needed.update(graph.free_values(region))
    for kind in graph.jumps_of(op):
        needed |= exits.of(kind).keep
    return needed
