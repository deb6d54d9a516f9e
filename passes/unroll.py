"""Write out loops over lists that are known when compiling.

Before:  %1: list[str] = let #["a","b"]
         %5: ctx = for %1 carrying (%0) (%2: str, %3: int, %4: ctx) {
           %6: ctx = append %4, %2
           %7: ctx, %8: str = gen from %6 as str path [0, %3]
           continue %7
         }
After:   %1: list[str] = let #["a","b"]
         %9: str = let "a"
         %10: int = let 0
         %11: ctx = append %0, %9
         %12: ctx, %13: str = gen from %11 as str path [0, 0]
         %14: str = let "b"
         ...
Keeps:   a loop that would become over MAX_OPS ops; one with both `break` and `continue` inside, or
         one of them beside a `leave`, where a scope would catch what it should not.

A `while` whose test is false at once vanishes too. Loops inside the rounds are unrolled in turn,
for which each level is folded.
"""

from __future__ import annotations

from dataclasses import replace

from sglc.ir import graph, ops
from sglc.ir.graph import FreshIds
from sglc.ir.host import expr as e
from sglc.ir.host.literal import literal, literal_value
from sglc.ir.module import Function, Module
from sglc.ir.note import PassNote
from sglc.ir.ops import Op, Region, Terminator, Value
from sglc.passes.fold import fold_function
from sglc.passes.noting import note, with_notes

MAX_OPS = 20_000


def unroll(module: Module) -> Module:
    notes: list[PassNote] = []
    unrolled = graph.map_functions(module, lambda function: _function(function, notes))
    return with_notes(unrolled, notes)


def _function(function: Function, notes: list[PassNote]) -> Function:
    while True:
        unroller = _Unroller(function)
        body = unroller.region(function.body)
        if not unroller.notes:
            return function
        notes += unroller.notes
        function = fold_function(replace(function, body=body))


class _Unroller:
    """One sweep: outer loops first; those inside are seen by the next."""

    def __init__(self, function: Function) -> None:
        self.fresh = FreshIds(function)
        self.constants: dict[int, e.Const | e.JsonConst] = {}
        self.images: dict[int, Value] = {}
        self.notes: list[PassNote] = []  # one for each loop written out
        # ops that may still be added
        self.budget = MAX_OPS - sum(1 for _ in graph.walk(function.body))

    def image(self, value: Value) -> Value:
        return self.images.get(value.id, value)

    def region(self, region: Region) -> Region:
        new: list[Op] = []
        for op in region.ops:
            rounds = self.known_items(op)
            if rounds is not None:
                assert isinstance(op, ops.For | ops.While)
                # the rounds are copies: what stands in them has to be up to date before
                op = graph.Substitution(self.images).op(op)
                assert isinstance(op, ops.For | ops.While)
                self.notes.append(note("unroll", "unrolled", op))
                end = self.write_out(op, rounds, new)
                if end is not None:
                    return replace(region, ops=tuple(new), end=end)
                continue
            op = graph.rebuild(op, operand=self.image, region=self.region)
            if isinstance(op, ops.Let) and isinstance(op.expr, e.Const | e.JsonConst):
                self.constants[op.result.id] = op.expr
            new.append(op)
        return replace(region, ops=tuple(new), end=graph.rebuild_end(region.end, self.image))

    def known_items(self, op: Op) -> list[e.Value] | None:
        """What the rounds of a loop go through, where that is known and may be written out."""
        match op:
            case ops.While(limit=limit, test=test):
                rounds = self.constant(limit)
                is_over = isinstance(rounds, int) and rounds <= 0
                return [] if is_over or self.is_false(test) else None
            case ops.For(items=items, body=body):
                values = self.constant(items)
                if not isinstance(values, list) or not _can_write_out(body):
                    return None
                cost = len(values) * (2 + sum(1 for _ in graph.walk(body)))
                if cost > self.budget:
                    return None
                self.budget -= cost
                return values
            case _:
                return None

    def constant(self, value: Value) -> e.Value:
        """The value, if it is known when compiling, else null."""
        known = self.constants.get(self.image(value).id)
        return None if known is None else literal_value(known)

    def is_false(self, test: Region) -> bool:
        """Whether a test does nothing but yield a constant that counts as false."""
        for op in test.ops:
            if not isinstance(op, ops.Let) or not isinstance(op.expr, e.Const | e.JsonConst):
                return False
            self.constants[op.result.id] = op.expr
        known = self.constants.get(self.image(test.end.values[0]).id)
        return known is not None and not literal_value(known)

    def write_out(
        self, op: ops.For | ops.While, items: list[e.Value], new: list[Op]
    ) -> Terminator | None:
        """Add the rounds to `new`. A round that leaves for sure ends the region: its `leave` is
        then the region's."""
        inside = graph.jumps_inside(op.body)
        written: list[Op] = []
        carried, end = op.inits, None
        for number, item in enumerate(items):
            assert isinstance(op, ops.For)
            body = self.round(op, number, item, carried, written)
            if ops.Continue in inside:
                results = tuple(map(self.fresh.like, op.results))
                written.append(ops.Scope(results, _with_leaves(body, ops.Continue), op.span))
                carried = results
                continue
            body = _with_leaves(body, ops.Break) if ops.Break in inside else body
            written.extend(body.ops)
            carried = body.end.values
            if not isinstance(op.body.end, ops.Continue):
                end = body.end if isinstance(op.body.end, ops.Leave) else None
                break
        if ops.Break in inside and items:
            new.append(ops.Scope(op.results, Region((), tuple(written), ops.Leave(carried))))
            return None
        new.extend(written)
        if end is None:
            self.images.update((r.id, v) for r, v in zip(op.results, carried, strict=True))
        return end

    def round(
        self,
        op: ops.For,
        number: int,
        item: e.Value,
        carried: tuple[Value, ...],
        written: list[Op],
    ) -> Region:
        """A copy of the body for one item; the constants that it needs are added to `written`."""
        item_arg, round_arg, *args = op.body.args
        given = {arg.id: value for arg, value in zip(args, carried, strict=True)}
        for arg, value in ((item_arg, item), (round_arg, number)):
            given[arg.id] = self.fresh.like(arg)
            written.append(ops.Let(given[arg.id], literal(value), (), op.span))
        return graph.clone(op.body, self.fresh, given, {round_arg.id: number})


def _can_write_out(body: Region) -> bool:
    inside = graph.jumps_inside(body)
    if not inside & {ops.Break, ops.Continue}:
        return True
    ends = {*inside, type(body.end)}
    return ops.Leave not in ends and (ops.Continue not in inside or ops.Break not in ends)


def _with_leaves(region: Region, kind: type[Terminator]) -> Region:
    """The region with the jumps of one kind out of it turned into `leave`s, its end included."""

    def inner(op: Op) -> Op:
        # nothing but an `if` lets a jump of the loop around it through
        if isinstance(op, ops.If):
            return graph.rebuild(op, region=lambda r: _with_leaves(r, kind))
        return op

    end = ops.Leave(region.end.values) if isinstance(region.end, kind) else region.end
    return replace(region, ops=tuple(map(inner, region.ops)), end=end)
