"""Evaluate what is known when compiling, and drop the arms that cannot be taken.

Before:  %1: int = let 2
         %2: bool = let %1 > 1
         %3: str = let t"{%1} of {%q.0}"
         %4: ctx = if %2 {
           %5: ctx = append %9, %3
           yield %5
         } else {
           yield %9
         }
After:   %1: int = let 2
         %2: bool = let true
         %3: str = let t"2 of {%q.0}"
         %5: ctx = append %9, %3
Keeps:   an expression whose evaluation fails, to fail when the program runs; one whose value
         would be a text of over MAX_FOLDED characters.
"""

from __future__ import annotations

from dataclasses import replace

from sglc.ir import graph, ops
from sglc.ir.host import expr as e
from sglc.ir.host.expr import Expr
from sglc.ir.host.literal import is_literal, literal_value
from sglc.ir.host.simplify import simplify
from sglc.ir.host.walk import map_operands, operand_order
from sglc.ir.module import Function, Module
from sglc.ir.ops import Op, Region, Terminator, Value

MAX_FOLDED = 1_000_000


def fold(module: Module) -> Module:
    return graph.map_functions(module, fold_function)


def fold_function(function: Function) -> Function:
    return replace(function, body=_Folder().region(function.body))


class _Folder:
    """`constants` are the literals by value id; `images` what stands for a value that is gone."""

    def __init__(self) -> None:
        self.constants: dict[int, Expr] = {}
        self.images: dict[int, Value] = {}

    def image(self, value: Value) -> Value:
        return self.images.get(value.id, value)

    def region(self, region: Region) -> Region:
        new: list[Op] = []
        end = self.add_ops(region.ops, new)
        end = end or graph.rebuild_end(region.end, self.image)
        return Region(region.args, tuple(new), end)

    def add_ops(self, old: tuple[Op, ...], new: list[Op]) -> Terminator | None:
        """Add the images of `old` to `new`. An arm that is taken for sure and jumps ends the region
        there: then its end is the region's."""
        for op in old:
            if isinstance(op, ops.If) and (known := self.constant(op.condition)) is not None:
                arm = op.then if literal_value(known) else op.otherwise
                end = self.add_ops(arm.ops, new) or graph.rebuild_end(arm.end, self.image)
                if not isinstance(end, ops.Yield):
                    return end
                self.images.update((r.id, v) for r, v in zip(op.results, end.values, strict=True))
                continue
            op = graph.rebuild(op, operand=self.image, region=self.region)
            if isinstance(op, ops.Let):
                op = self.let(op)
                if op.expr == e.Operand(0):
                    self.images[op.result.id] = op.operands[0]
                    continue
            if isinstance(op, ops.Require) and self.holds(op.condition):
                continue
            new.append(op)
        return None

    def constant(self, value: Value) -> e.Const | e.JsonConst | None:
        known = self.constants.get(self.image(value).id)
        return known if isinstance(known, e.Const | e.JsonConst) else None

    def holds(self, condition: Value) -> bool:
        known = self.constant(condition)
        return known is not None and bool(literal_value(known))

    def let(self, op: ops.Let) -> ops.Let:
        """The op with constant operands put into its expression, and that made simpler."""

        is_known = all(value.id in self.constants for value in op.operands)

        def known(index: int) -> Expr:
            constant = self.constants.get(op.operands[index].id)
            if constant is None or (not is_known and _is_bulky(constant)):
                return e.Operand(index)
            return constant

        op = with_expr(op, simplify(map_operands(op.expr, known), MAX_FOLDED))
        if is_literal(op.expr):
            self.constants[op.result.id] = op.expr
        return op


def _is_bulky(constant: Expr) -> bool:
    """Whether copies of a list or dict in several expressions would cost more than they save."""
    return isinstance(constant, e.JsonConst) and len(constant.text) > 256


def with_expr(op: ops.Let, expr: Expr) -> ops.Let:
    """The op with another expression over its operands, those that are no longer used left out."""
    order = operand_order(expr)
    operands = tuple(dict.fromkeys([op.operands[index] for index in order]))
    if operands == op.operands:
        return op if expr is op.expr else replace(op, expr=expr)
    places = {index: operands.index(op.operands[index]) for index in order}
    expr = map_operands(expr, lambda index: e.Operand(places[index]))
    return replace(op, expr=expr, operands=operands)
