"""Which ops yield the same whenever they are run on the same values, and have no effect.

Such an op may be run once for several, and for none when nobody needs it. A gen or select is one at
a temperature that is known to be 0. An explicit seed above that does not count: the path is part of
the seed, and no two gens have one path.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from sglc.ir import graph, ops
from sglc.ir.host import expr as e
from sglc.ir.module import Module
from sglc.ir.ops import Op, Region, Value


class Repeatable:
    """`note` is told each op before it is asked about: constants are learned from lets."""

    def __init__(self, pure_externs: Set[str]) -> None:
        self.pure_externs = pure_externs
        self.zeros: set[int] = set()  # ids of values that are the number 0

    def note(self, op: Op) -> None:
        if isinstance(op, ops.Let) and isinstance(op.expr, e.Const):
            value = op.expr.value
            if value == 0 and not isinstance(value, bool):
                self.zeros.add(op.result.id)

    def note_all(self, region: Region) -> None:
        for op in graph.walk(region):
            self.note(op)

    def holds(self, op: Op) -> bool:
        """Whether the op and all in its regions are repeatable, and none of it jumps out."""
        return not graph.jumps_of(op) and all(map(self.holds_alone, _with_inner(op)))

    def holds_alone(self, op: Op) -> bool:
        """Whether the op is, its regions aside."""
        match op:
            case ops.Gen(options=options):
                heat = dict(options).get("temperature")
                return heat is not None and heat.id in self.zeros
            case ops.Select(temperature=heat):
                return heat is None or heat.id in self.zeros
            case ops.Extern(name=name):
                return name in self.pure_externs
            case _:
                return not isinstance(op, ops.Require | ops.Call)

    def needs(self, op: Op) -> tuple[Value, ...]:
        """The values from outside that what the op yields depends on. Paths decide seeds alone, so
        those of repeatable ops do not count."""
        used: dict[int, Value] = {}
        defined: set[int] = set()
        for each in _with_inner(op):
            mine = len(graph.path_values(each)) if self.holds_alone(each) else 0
            values = graph.operands(each)
            used.update((v.id, v) for v in values[: len(values) - mine])
            for region in graph.regions(each):
                used.update((v.id, v) for v in region.end.values)
                defined.update(arg.id for arg in region.args)
            if each is not op:
                defined.update(v.id for v in graph.results(each))
        return tuple(value for id, value in used.items() if id not in defined)


def pure_externs(module: Module) -> frozenset[str]:
    return frozenset(extern.name for extern in module.externs if extern.is_pure)


def _with_inner(op: Op) -> Iterator[Op]:
    yield op
    for region in graph.regions(op):
        yield from graph.walk(region)
