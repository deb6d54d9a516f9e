"""SSA: each value is defined once, and used only where its definition is visible."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.ir import graph
from sglc.ir.checks.shown import shown
from sglc.ir.module import Function
from sglc.ir.ops import Region, Value
from sglc.ir.textual.printer import value_text


def defined_once(function: Function) -> Iterator[str]:
    seen: set[int] = set()
    for value in graph.definitions(function.body):
        if value.id in seen:
            yield f"{value_text(value)} is defined twice"
        seen.add(value.id)


def visible_where_used(function: Function) -> Iterator[str]:
    """A use stands after its definition, in the same region or in one nested in what follows it,
    and names the value as it was defined."""
    yield from _uses(function.body, {})


def _uses(region: Region, outer: dict[int, Value]) -> Iterator[str]:
    visible = dict(outer)
    visible.update((arg.id, arg) for arg in region.args)
    for op in region.ops:
        for value in graph.operands(op):
            if visible.get(value.id) != value:
                yield f"{value_text(value)} is not visible in {shown(op)}"
        for inner in graph.regions(op):
            yield from _uses(inner, visible)
        visible.update((value.id, value) for value in graph.results(op))
    for value in region.end.values:
        if visible.get(value.id) != value:
            name = type(region.end).__name__.lower()
            yield f"{value_text(value)} is not visible in a `{name}`"
