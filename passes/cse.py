"""Make one of what is computed twice (common subexpressions, found by numbering values).

Before:  %2: ctx = append %1, %q.0
         %3: ctx, %a.4: str = gen a from %2 as str with (temperature=%9) path [0]
         %5: ctx = append %1, %q.0
         %6: ctx, %b.7: str = gen b from %5 as str with (temperature=%9) path [1]
         %8: str = let %a.4 + %b.7
After:   %2: ctx = append %1, %q.0
         %3: ctx, %a.4: str = gen a from %2 as str with (temperature=%9) path [0]
         %8: str = let %a.4 + %a.4
Keeps:   gens and selects at a temperature that is not known to be 0; externs that are not pure;
         and what jumps or has an effect.

An op is one with an earlier op of the same class with the same operands that stands in its region
or in one around it, so that it has surely run. Equal chains of appends become one context: its
second use is a fork of the KV. The body of a fork reads the fork's context from outside, so what a
branch says first may be one with what was said before the fork. Tasks, loops and conditions are
equal when their regions are, up to the names of values.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import fields, replace
from typing import Any

from sglc.ir import graph, ops
from sglc.ir.module import Function, Module
from sglc.ir.note import PassNote
from sglc.ir.ops import Op, Region, Value
from sglc.passes.fold import with_expr
from sglc.passes.noting import is_constant, note, with_notes
from sglc.passes.repeatable import Repeatable, pure_externs

_NO_NAMES: Mapping[int, int] = {}


def cse(module: Module) -> Module:
    notes: list[PassNote] = []
    pure = pure_externs(module)

    def numbered(function: Function) -> Function:
        numberer = _Numberer(Repeatable(pure), notes)
        return replace(function, body=numberer.region(function.body))

    return with_notes(graph.map_functions(module, numbered), notes)


class _Numberer:
    """`known` are the ops that have surely run, by what they compute; `images` what stands for a
    value that is gone."""

    def __init__(self, facts: Repeatable, notes: list[PassNote]) -> None:
        self.facts = facts
        self.notes = notes
        self.known: dict[Hashable, Op] = {}
        self.images: dict[int, Value] = {}

    def image(self, value: Value) -> Value:
        return self.images.get(value.id, value)

    def region(self, region: Region) -> Region:
        new: list[Op] = []
        here: list[Hashable] = []  # what is known only in this region
        for op in region.ops:
            if isinstance(op, ops.Fork) and op.context is not None:
                self.images[op.body.args[0].id] = self.image(op.context)
            op = graph.rebuild(op, operand=self.image, region=self.region)
            if isinstance(op, ops.Let) and len({v.id for v in op.operands}) < len(op.operands):
                op = with_expr(op, op.expr)
            self.facts.note(op)
            if not self.facts.holds(op):
                new.append(op)
                continue
            key = _shape(op, _NO_NAMES)
            first = self.known.get(key)
            if first is None:
                self.known[key] = op
                here.append(key)
                new.append(op)
            elif self.replace(op, first):
                if not is_constant(op):
                    self.notes.append(note("cse", "merged", op, first.span))
            else:
                new.append(op)
        for key in here:
            del self.known[key]
        return Region(region.args, tuple(new), graph.rebuild_end(region.end, self.image))

    def replace(self, op: Op, first: Op) -> bool:
        """Let the results of `first` stand for those of `op`, if it has as many."""
        old, new = _named_results(op), _named_results(first)
        if not old.keys() <= new.keys():
            return False
        self.images.update((value.id, new[name]) for name, value in old.items())
        return True


def _named_results(op: Op) -> dict[str, Value]:
    """The results by their names (metas) or their places."""
    metas = dict(op.metas) if isinstance(op, ops.Gen | ops.Select) else {}
    return {str(place): value for place, value in enumerate(_plain_results(op))} | metas


def _plain_results(op: Op) -> tuple[Value, ...]:
    """The results but metas."""
    if isinstance(op, ops.Gen | ops.Select):
        return op.result, op.value
    return graph.results(op)


def _shape(op: Op, names: Mapping[int, int]) -> Hashable:
    """Equal for ops that compute the same; `names` stand for the ids of values defined in the
    regions around the op, which differ where regions are equal."""
    parts: list[Hashable] = [type(op).__name__, *[v.type for v in _plain_results(op)]]
    parts += [_part(getattr(op, name), names) for name in _COMPARED[type(op)]]
    if isinstance(op, ops.Gen):
        unread = ("seed", "temperature")
        options = sorted((name, value) for name, value in op.options if name not in unread)
        parts.append(_part(tuple(options), names))
    return tuple(parts)


def _compared(kind: type[Op]) -> tuple[str, ...]:
    """The fields that ops of a class are compared by as they are."""
    ignored = {*graph.SHAPES[kind].results, "path", "span", "options"}
    if kind in (ops.Gen, ops.Select):
        # repeatable ones are at temperature 0, however that is written
        ignored |= {"name", "temperature"}
    return tuple(f.name for f in fields(kind) if f.name not in ignored)


_COMPARED = {kind: _compared(kind) for kind in graph.SHAPES}


def _part(item: Any, names: Mapping[int, int]) -> Hashable:
    """The same of a field."""
    kind = item.__class__
    if kind is Value:
        number: int = names.get(item.id, item.id)
        return number
    if kind is tuple:
        return tuple([_part(part, names) for part in item])
    if kind is Region:
        return _region_shape(item, names)
    if kind is ops.Piece:
        return (_part(item.base, names), item.before, item.after)
    assert isinstance(item, Hashable)
    return item


def _region_shape(region: Region, names: Mapping[int, int]) -> Hashable:
    inner = dict(names)

    def number(values: tuple[Value, ...]) -> None:
        for value in values:
            inner[value.id] = -1 - len(inner)

    number(region.args)
    shapes: list[Hashable] = []
    for op in region.ops:
        shapes.append((_shape(op, inner), tuple(_named_results(op))))
        number(graph.results(op))
    types = tuple(arg.type for arg in region.args)
    return types, tuple(shapes), type(region.end), _part(region.end.values, inner)
