"""How many tokens the contexts of a program can have, before any row is known.

Constants count exactly, inputs and externs by their types, gens by min_tokens and max_tokens.
`shortest` is a bound that holds for every row: what stands before one of its gens and that gen's
max_tokens, for which there must be room, or what stands in a context, is no shorter. `longest` is
an estimate from above (texts that meet inside a run may encode to a token or so more than the sum
that is taken); None where no type bounds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sglc.ir import graph, ops
from sglc.ir import types as t
from sglc.ir.host import expr as e
from sglc.ir.host.literal import is_literal, literal_value
from sglc.ir.host.text import to_text
from sglc.ir.module import Function
from sglc.ir.ops import Op, Region, Value
from sglc.ir.span import Span
from sglc.ir.value_type import BranchesType, ContextType
from sglc.passes.extents import ANY, NOTHING, Extent, extent
from sglc.passes.measure import Measure, Part, Size, meet, plus, times

DEFAULT_MAX_TOKENS = 128
_STOPS = ("stop", "stop_regex", "stop_token_ids")


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens that a row's longest context needs room for: at least `shortest`, reached at `span`;
    at most `longest`, or None."""

    shortest: int
    longest: int | None
    span: Span | None


def lengths(program: Function, measure: Measure) -> Lengths:
    """The bounds of a program without calls."""
    walk = _Walk(measure)
    walk.region(program.body, is_sure=True)
    return Lengths(walk.shortest, walk.longest, walk.span)


@dataclass(frozen=True, slots=True)
class _Branches:
    """The contexts of a fork: how many, where they began and how they end."""

    count: tuple[int, int | None]
    base: Size
    end: Size


class _Walk:
    """Goes through the program once (twice through loops); a part that not every row runs is not
    `sure` and says nothing on the shortest."""

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self.sizes: dict[int, Size] = {}
        self.branches: dict[int, _Branches] = {}
        self.texts: dict[int, tuple[Part, ...]] = {}
        self.constants: dict[int, e.Value] = {}
        self.loops: list[list[tuple[Value, ...]]] = []
        self.scopes: list[list[tuple[Value, ...]]] = [[]]
        self.shortest = 0
        self.longest: int | None = 0
        self.span: Span | None = None

    def region(self, region: Region, is_sure: bool) -> None:
        for op in region.ops:
            self.op(op, is_sure)
            is_sure = is_sure and not graph.jumps_of(op)
        if isinstance(region.end, ops.Leave):
            self.scopes[-1].append(region.end.values)
        elif not isinstance(region.end, ops.Yield):
            self.loops[-1].append(region.end.values)

    # ------------------------------------------------------------ values

    def size(self, context: Value) -> Size:
        return self.sizes[context.id]

    def set(self, context: Value, size: Size, is_sure: bool, span: Span | None) -> None:
        """The context has this size; it counts among those that a row may reach."""
        self.sizes[context.id] = size
        end = size.settled(self.measure)
        if is_sure:
            self.need(end.least, span)
        self.longest = (
            None if self.longest is None or end.most is None else max(self.longest, end.most)
        )

    def need(self, least: int, span: Span | None) -> None:
        """Every row needs room for so many tokens, here at the latest."""
        if least > self.shortest:
            self.shortest, self.span = least, span

    def parts(self, value: Value) -> tuple[Part, ...]:
        """What is known of a host value's text."""
        return self.texts.get(value.id) or (extent(value.type),)

    def count(self, items: Value) -> tuple[int, int | None]:
        """Bounds of a list's length."""
        known = self.constants.get(items.id)
        if isinstance(known, list):
            return len(known), len(known)
        if isinstance(items.type, t.ListType):
            return items.type.min_items or 0, items.type.max_items
        return 0, None

    def number(self, value: Value | None, default: int) -> tuple[int, int | None]:
        """Bounds of an option that is a whole number."""
        if value is None:
            return default, default
        known = self.constants.get(value.id)
        if isinstance(known, int):
            return known, known
        if isinstance(value.type, t.IntType):
            return value.type.low or 0, value.type.high
        return 0, None

    def merge(self, results: tuple[Value, ...], ends: Sequence[tuple[Value, ...]]) -> None:
        """Each result is one of the values that stand in its place in `ends`."""
        for place, result in enumerate(results):
            if isinstance(result.type, ContextType):
                sizes = [self.size(values[place]) for values in ends]
                self.sizes[result.id] = meet(sizes, self.measure) if sizes else Size()
            elif isinstance(result.type, BranchesType):
                found = [self.branches[values[place].id] for values in ends]
                self.branches[result.id] = found[0]

    # ------------------------------------------------------------ ops

    def op(self, op: Op, is_sure: bool) -> None:
        match op:
            case ops.Let(result, expr, operands):
                self.let(result, expr, operands)
            case ops.Capture(result, _, after):
                self.texts[result.id] = (Extent(0, self.size(after).settled(self.measure).most),)
            case ops.If(results, _, then, otherwise):
                self.either(results, then, otherwise, is_sure)
            case ops.For(results, items, inits, body):
                args = body.args[2:]
                self.loop(results, inits, args, body, self.count(items), is_sure)
            case ops.While(results, limit, inits, test, body):
                for arg, init in zip(test.args[1:], inits, strict=True):
                    self.merge((arg,), [(init,)])
                self.region(test, False)
                rounds = (0, self.number(limit, 0)[1])
                self.loop(results, inits, body.args[1:], body, rounds, is_sure)
            case ops.Fork():
                self.fork(op, is_sure)
            case ops.Run(_, body):
                self.region(body, is_sure)
            case ops.Try(results, body, handler):
                self.region(body, False)
                self.region(handler, False)
                self.merge(results, [body.end.values, handler.end.values])
            case ops.Scope(results, body):
                self.scopes.append([])
                self.region(body, is_sure)
                self.merge(results, self.scopes.pop())
            case ops.Require() | ops.Extern():
                pass
            case ops.Call():
                raise ValueError("lengths are taken of a program without calls")
            case _:
                if isinstance(op, ops.Gen) and is_sure:
                    self.need_room(op)
                context = graph.results(op)[0]
                self.set(context, self.extended(op), is_sure, op.span)

    def extended(self, op: Op) -> Size:
        """The context after an op that makes one."""
        measure = self.measure
        match op:
            case ops.Start():
                return Size()
            case ops.Append(_, context, text):
                return self.size(context).begun(measure).with_parts(self.parts(text))
            case ops.Control(_, context, _):
                return self.size(context).begun(measure).with_pieces((0,), measure)
            case ops.Open(_, context, role):
                return self.size(context).opened(role, measure)
            case ops.Close(_, context):
                assert isinstance(context.type, ContextType)
                return self.size(context).closed(context.type.role or "", measure)
            case ops.Gen():
                return self.generated(op)
            case ops.Select(_, _, _, context, choices):
                longest = self.longest_choice(choices)
                return self.size(context).begun(measure).settled(measure).grown(0, longest)
            case ops.Join(_, context, _, branches):
                return self.joined(self.size(context).begun(measure), self.branches[branches.id])
            case _:
                raise TypeError(f"no length of {op!r}")

    def need_room(self, op: ops.Gen) -> None:
        """There must be room for max_tokens; those of a value in pieces begin where it does."""
        if op.piece is not None and op.piece.base != op.context:
            return
        opening = 0 if op.piece is None else self.measure.count(op.piece.before) + 1
        least, _ = self.number(dict(op.options).get("max_tokens"), DEFAULT_MAX_TOKENS)
        before = self.size(op.context).begun(self.measure).settled(self.measure)
        self.need(before.least + max(least - opening, 0), op.span)

    def generated(self, op: ops.Gen) -> Size:
        options = dict(op.options)
        least, _ = self.number(options.get("min_tokens"), 0)
        _, most = self.number(options.get("max_tokens"), DEFAULT_MAX_TOKENS)
        self.texts[op.value.id] = (_shorter(extent(op.value.type), most),)
        size = self.size(op.context).begun(self.measure).settled(self.measure).grown(least, most)
        if op.piece is not None:
            # all pieces of a value have max_tokens together, and leave them to the texts behind
            texts = (part for part in op.piece.after if isinstance(part, str))
            kept = sum(map(self.measure.count, texts))
            base = self.size(op.piece.base).begun(self.measure).settled(self.measure)
            room = None if most is None else max(most - kept, 0)
            size = replace(size, most=plus(base.most, room))
        # text before a stop may stand at the start of the next run
        may_stop = any(name in options for name in _STOPS)
        return size.with_parts((NOTHING,)) if may_stop else size

    def longest_choice(self, choices: Value) -> int | None:
        known = self.constants.get(choices.id)
        if isinstance(known, list):
            return max((self.measure.count(to_text(choice)) for choice in known), default=0)
        item = choices.type.item if isinstance(choices.type, t.ListType) else t.STR
        return extent(item).most

    def joined(self, size: Size, branches: _Branches) -> Size:
        end, base = branches.end.settled(self.measure), branches.base.settled(self.measure)
        added = None if end.most is None or base.most is None else end.most - base.most
        return size.with_parts((Extent(0, times(branches.count[1], added)),))

    def let(self, result: Value, expr: e.Expr, operands: tuple[Value, ...]) -> None:
        if is_literal(expr):
            assert isinstance(expr, e.Const | e.JsonConst)
            self.constants[result.id] = literal_value(expr)
            self.texts[result.id] = (to_text(literal_value(expr)),)
        elif isinstance(expr, e.Format):
            self.texts[result.id] = tuple(
                part for value, spec in expr.parts for part in self.piece(value, spec, operands)
            )

    def piece(
        self, value: e.Expr, spec: str | None, operands: tuple[Value, ...]
    ) -> tuple[Part, ...]:
        match value:
            case e.Operand(index) if not spec:
                return self.parts(operands[index])
            case e.Const(constant) if not spec:
                return (to_text(constant),)
            case _:
                return (ANY,)

    # ------------------------------------------------------------ structure

    def either(
        self, results: tuple[Value, ...], then: Region, otherwise: Region, is_sure: bool
    ) -> None:
        before = (self.shortest, self.span)
        self.region(then, is_sure)
        first = (self.shortest, self.span)
        self.shortest, self.span = before
        self.region(otherwise, is_sure)
        if first[0] < self.shortest:
            self.shortest, self.span = first
        arms = [arm.end.values for arm in (then, otherwise) if isinstance(arm.end, ops.Yield)]
        self.merge(results, arms)

    def loop(
        self,
        results: tuple[Value, ...],
        inits: tuple[Value, ...],
        args: tuple[Value, ...],
        body: Region,
        count: tuple[int, int | None],
        is_sure: bool,
    ) -> None:
        """One round from the start, then one as if all others were behind."""
        self.merge(args, [inits])
        self.loops.append([])
        self.region(body, is_sure and count[0] > 0)
        ends = self.loops[-1]
        self.merge(results, [*ends, inits] if count[0] == 0 or not ends else ends)
        for place, (arg, init, result) in enumerate(zip(args, inits, results, strict=True)):
            if not isinstance(arg.type, ContextType):
                continue
            start = self.size(init).settled(self.measure)
            after = [self.size(values[place]).settled(self.measure).most for values in ends]
            most = None if None in after else max((m for m in after if m is not None), default=0)
            growth = None if most is None or start.most is None else max(most - start.most, 0)
            others = times(growth, None if count[1] is None else max(count[1] - 1, 0))
            self.sizes[arg.id] = meet([self.size(init), start.grown(0, others)], self.measure)
            self.sizes[result.id] = self.size(result).grown(0, others)
        self.region(body, False)
        self.loops.pop()

    def fork(self, op: ops.Fork, is_sure: bool) -> None:
        count = self.count(op.items)
        if op.context is not None:
            self.sizes[op.body.args[0].id] = self.size(op.context)
        self.region(op.body, is_sure and count[0] > 0)
        if op.context is not None and op.contexts is not None:
            base, end = self.size(op.context), self.size(op.body.end.values[0])
            self.branches[op.contexts.id] = _Branches(count, base, end)


def _shorter(a: Extent, most: int | None) -> Extent:
    """The extent with another upper bound beside its own."""
    bounds = [bound for bound in (a.most, most) if bound is not None]
    return Extent(a.least, min(bounds) if bounds else None)
