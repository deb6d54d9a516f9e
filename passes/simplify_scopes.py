"""Dissolve a scope that nothing leaves early.

Before:  %5: ctx = scope {
           %3: ctx = append %1, %2
           leave %3
         }
         %6: ctx = append %5, %2
After:   %3: ctx = append %1, %2
         %6: ctx = append %3, %2
"""

from __future__ import annotations

from dataclasses import replace

from sglc.ir import graph, ops
from sglc.ir.module import Function, Module
from sglc.ir.ops import Op, Region, Value


def simplify_scopes(module: Module) -> Module:
    return graph.map_functions(module, _function)


def _function(function: Function) -> Function:
    images: dict[int, Value] = {}

    def image(value: Value) -> Value:
        return images.get(value.id, value)

    def region(old: Region) -> Region:
        new: list[Op] = []
        for op in old.ops:
            op = graph.rebuild(op, operand=image, region=region)
            if isinstance(op, ops.Scope) and not graph.leaves_early(op.body):
                values = op.body.end.values
                images.update((r.id, v) for r, v in zip(op.results, values, strict=True))
                new.extend(op.body.ops)
            else:
                new.append(op)
        return Region(old.args, tuple(new), graph.rebuild_end(old.end, image))

    return replace(function, body=region(function.body))
