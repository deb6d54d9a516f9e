"""Put the bodies of fragments where they are called.

Before:  function ask(%0: ctx, %q.1: str) -> str {
           %2: ctx = append %0, %q.1
           %3: ctx, %4: str = gen from %2 as str path [0]
           leave %3, %4
         }
         ...
         %9: ctx, %10: str = call ask(%7, %8) defaults (temperature=%5) path [2]
After:   %11: ctx = append %7, %8
         %12: ctx, %13: str = gen from %11 as str with (temperature=%5) path [2, 0]
Keeps:   a body that leaves early as one op, `scope`, that its `leave`s end.

The call's path stands before each path of the body, and the caller's sampling defaults apply where
the body sets none itself. Afterwards the module has no functions and no calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sglc.ir import graph, ops
from sglc.ir.gen_options import is_gen_constrained, with_defaults
from sglc.ir.graph import FreshIds
from sglc.ir.module import Function, Module
from sglc.ir.note import PassNote
from sglc.ir.ops import Op, Region, Value
from sglc.passes.noting import note, with_notes


def inline(module: Module) -> Module:
    callees = {function.name: function for function in module.functions}
    inlined: dict[str, Function] = {}
    notes: list[PassNote] = []

    def function(name: str) -> Function:
        if name not in inlined:
            inlined[name] = expand(callees[name])
        return inlined[name]

    def expand(caller: Function) -> Function:
        return replace(caller, body=_Inliner(FreshIds(caller), function, notes).region(caller.body))

    return with_notes(replace(module, program=expand(module.program), functions=()), notes)


class _Inliner:
    """Expands the calls of one function; `images` are the values that a spliced body put for the
    results of its call."""

    def __init__(
        self, fresh: FreshIds, callee: Callable[[str], Function], notes: list[PassNote]
    ) -> None:
        self.fresh = fresh
        self.callee = callee
        self.notes = notes
        self.images: dict[int, Value] = {}

    def image(self, value: Value) -> Value:
        return self.images.get(value.id, value)

    def region(self, region: Region) -> Region:
        new: list[Op] = []
        for op in region.ops:
            op = graph.rebuild(op, operand=self.image, region=self.region)
            if isinstance(op, ops.Call):
                new.extend(self.call(op))
            else:
                new.append(op)
        return replace(region, ops=tuple(new), end=graph.rebuild_end(region.end, self.image))

    def call(self, call: ops.Call) -> tuple[Op, ...]:
        callee = self.callee(call.function).body
        self.notes.append(note("inline", "inlined", call))
        arguments = (call.source, *call.args)
        given = {param.id: arg for param, arg in zip(callee.args, arguments, strict=True)}
        body = graph.clone(callee, self.fresh, given)
        body = graph.prefix_paths(_with_defaults(body, call.defaults), call.path)
        results = graph.results(call)
        if graph.leaves_early(body):
            return (ops.Scope(results, body, call.span),)
        self.images.update(
            (result.id, value) for result, value in zip(results, body.end.values, strict=True)
        )
        return body.ops


def _with_defaults(body: Region, defaults: tuple[tuple[str, Value], ...]) -> Region:
    """The body with these options added to its gens where they have none of that name."""

    def add(op: Op) -> tuple[Op]:
        if not isinstance(op, ops.Gen):
            return (op,)
        is_constrained = is_gen_constrained(op)
        options = with_defaults(dict(op.options), dict(defaults), is_constrained=is_constrained)
        return (replace(op, options=tuple(options.items())),)

    return graph.map_ops(body, add) if defaults else body
