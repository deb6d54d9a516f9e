"""Where each value is used last: what emission frees and what bounds the memory of a row.

Facts are told region by region. A value that an op's regions use is used by the op. What a loop's
body, a task or an arm uses of values from outside stays alive until the op around it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sglc.ir import graph
from sglc.ir.ops import Function, Region, Value


@dataclass(frozen=True, slots=True)
class Liveness:
    """`last_use[v]` is the place, among the ops of the region that defines v, of the last op that
    uses it; the number of ops when the region's end does, -1 when nothing does."""

    last_use: Mapping[int, int]

    def dies_after(self, place: int, defined: tuple[Value, ...]) -> tuple[Value, ...]:
        """Those of a region's own values whose last use is the op at this place."""
        return tuple(value for value in defined if self.last_use[value.id] == place)


def liveness(function: Function) -> Liveness:
    found: dict[int, int] = {}
    for region in graph.walk_regions(function.body):
        found.update(_last_uses(region))
    return Liveness(found)


def _last_uses(region: Region) -> dict[int, int]:
    """Of the values that the region itself defines."""
    found = {arg.id: -1 for arg in region.args}
    for place, op in enumerate(region.ops):
        used = {value.id for value in graph.operands(op)}
        for inner in graph.regions(op):
            used |= graph.free_values(inner).keys()
        found.update((id, place) for id in used & found.keys())
        found.update((result.id, -1) for result in graph.results(op))
    for value in region.end.values:
        if value.id in found:
            found[value.id] = len(region.ops)
    return found
