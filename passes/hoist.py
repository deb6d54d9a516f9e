"""Compute what is the same in every round, branch or row only once.

Before:  %4: group{a: str, b: str}, %5: ctxs = fork %1 over %3 fields [a, b] (...) {
           %9: ctx, %a.10: str = gen a from %1 as str with (temperature=%2) path [0, %8]
           %11: ctx = append %6, %item.7
           %12: ctx, %b.13: str = gen b from %11 as str with (temperature=%2) path [1, %8]
           yield %12, %a.10, %b.13
         }
After:   %9: ctx, %a.10: str = gen a from %1 as str with (temperature=%2) shared path [0, 0]
         %4: group{a: str, b: str}, %5: ctxs = fork %1 over %3 fields [a, b] (...) {
           %11: ctx = append %1, %item.7
           %12: ctx, %b.13: str = gen b from %11 as str with (temperature=%2) path [1, %8]
           yield %12, %a.10, %b.13
         }
Keeps:   effects, gens above temperature 0, and what may fail or costs time in a body that may not
         run at all, or after what may end it: a branch that is never taken pays for nothing.

Out of a body moves what is repeatable and depends on nothing that the body defines; in a body that
surely runs that may be a gen, a select, a pure extern or a whole task, otherwise only a value that
cannot fail. Contexts move along with the gens that need them, alone they cost nothing. What moves
out and takes time becomes a task where one value comes of it, so that the branches do not start
later for it; a value for which the row would have to wait stays in the branches. A gen that may
fail (too long a context) is not in the way of others: then the row fails either way.

Out of the row moves, without changing its place, what does not depend on the row's fields: such
gens, selects and externs are marked `shared`, and the runtime does them once a run, when the first
row comes to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sglc.ir import graph, ops
from sglc.ir import types as t
from sglc.ir.graph import FreshIds, Substitution
from sglc.ir.host import expr as e
from sglc.ir.host.literal import literal_value
from sglc.ir.host.total import is_total
from sglc.ir.module import Function, Module
from sglc.ir.note import PassNote
from sglc.ir.ops import Op, Region, Value
from sglc.ir.value_type import BranchesType, ContextType, ValueType
from sglc.passes.noting import is_constant, note, with_notes
from sglc.passes.repeatable import Repeatable, pure_externs
from sglc.passes.stages import Stage, stages


def hoist(module: Module) -> Module:
    notes: list[PassNote] = []
    pure = pure_externs(module)

    def hoisted(function: Function) -> Function:
        facts = Repeatable(pure)
        facts.note_all(function.body)
        hoister = _Hoister(facts, function, notes)
        function = replace(function, body=hoister.region(function.body))
        return _shared(function, module, facts, notes) if function.is_program else function

    return with_notes(graph.map_functions(module, hoisted), notes)


_Loop = ops.For | ops.While | ops.Fork
_CONTEXTS = (ops.Start, ops.Append, ops.Control, ops.Close, ops.Join, ops.Capture)


class _Hoister:
    """`full` are the ids of lists that are known to have an item, `single` of those that have just
    one, `promised` those of values that tasks may still be making."""

    def __init__(self, facts: Repeatable, function: Function, notes: list[PassNote]) -> None:
        self.facts = facts
        self.notes = notes
        self.images: dict[int, Value] = {}
        self.full = {arg.id for arg in function.body.args if _is_full(arg.type)}
        self.single: set[int] = set()
        self.fresh = FreshIds(function)
        self.promised = {
            value.id
            for op in graph.walk(function.body)
            if graph.regions(op)
            for value in graph.results(op)
        }

    def image(self, value: Value) -> Value:
        return self.images.get(value.id, value)

    def region(self, region: Region) -> Region:
        new: list[Op] = []
        for op in region.ops:
            if isinstance(op, ops.Fork) and op.context is not None:
                # a branch starts with the fork's own context, which is no item's
                self.images[op.body.args[0].id] = self.image(op.context)
            op = graph.rebuild(op, operand=self.image, region=self.region)
            if isinstance(op, ops.Let) and (num_items := _num_items(op.expr)):
                self.full.add(op.result.id)
                if num_items == 1:
                    self.single.add(op.result.id)
            if isinstance(op, _Loop):
                op = self.loop(op, new)
            new.append(op)
        return Region(region.args, tuple(new), graph.rebuild_end(region.end, self.image))

    def loop(self, op: _Loop, new: list[Op]) -> Op:
        """The loop without what its body need not do; that is added to `new`."""
        is_sure = not isinstance(op, ops.While) and op.items.id in self.full
        inside = {arg.id for arg in op.body.args}
        free: list[Op] = []
        for each in op.body.ops:
            is_free = (
                self.facts.holds(each)
                and (is_sure or _is_harmless(each))
                and not any(value.id in inside for value in self.facts.needs(each))
            )
            if is_free:
                free.append(each)
                continue
            is_sure = is_sure and not _may_end(each)
            inside.update(value.id for value in graph.results(each))
        moved = _worth_moving(free)
        waiting = self.waiting(moved)
        is_alone = isinstance(op, ops.Fork) and op.items.id in self.single
        if is_alone or not any(_takes_time(each) for each in waiting):
            # to wait for a task before the branches start would hold all of them up; and a branch
            # that is alone does nothing twice, while what follows the fork need not wait for it
            moved = _worth_moving(_without(moved, waiting))
            waiting = []
        if not moved:
            return op
        op = replace(op, body=replace(op.body, ops=tuple(_without(op.body.ops, moved))))
        told = (each for each in moved if not is_constant(each))
        self.notes += (note("hoist", "hoisted", each, op.span) for each in told)
        first_round = Substitution({}, {arg.id: 0 for arg in op.body.args})
        new.extend(map(first_round.op, _without(moved, waiting)))
        new.extend(self.as_task(list(map(first_round.op, waiting)), op))
        return op

    def waiting(self, moved: list[Op]) -> list[Op]:
        """Those of the ops at which the row waits: for the model, an extern or a task."""
        late: set[int] = set()
        found: list[Op] = []
        for op in moved:
            waits_for = self.promised | late
            if not isinstance(op, ops.Run) and (
                _takes_time(op) or any(value.id in waits_for for value in self.facts.needs(op))
            ):
                found.append(op)
                late.update(value.id for value in graph.results(op))
        return found

    def as_task(self, moved: list[Op], loop: _Loop) -> list[Op]:
        """The ops as a task that the row does not wait for before it needs its value; as they are
        where they make a context or several values."""
        used = graph.uses(loop.body)
        made = [v for op in moved for v in graph.results(op) if used[v.id]]
        if len(made) != 1 or isinstance(made[0].type, ContextType | BranchesType):
            return moved
        inner = self.fresh.like(made[0])
        renamed = Substitution({made[0].id: inner})
        body = tuple(graph.rebuild(renamed.op(op), result=renamed.value) for op in moved)
        return [ops.Run(made[0], Region((), body, ops.Yield((inner,))), loop.span)]


def _without(all: Iterable[Op], gone: Iterable[Op]) -> list[Op]:
    """The ops but these, by identity."""
    ids = set(map(id, gone))
    return [op for op in all if id(op) not in ids]


def _worth_moving(free: list[Op]) -> list[Op]:
    """Those of the ops that save work, and those that they need."""
    needed: set[int] = set()
    moved = []
    for op in reversed(free):
        is_cheap = is_constant(op) or isinstance(op, (*_CONTEXTS, ops.Open))
        if is_cheap and not any(value.id in needed for value in graph.results(op)):
            continue
        moved.append(op)
        needed.update(value.id for value in graph.operands(op))
        for region in graph.regions(op):
            needed.update(graph.free_values(region))
    return moved[::-1]


def _takes_time(op: Op) -> bool:
    """Whether the row waits for the model or an extern in the op."""
    inner = (each for region in graph.regions(op) for each in graph.walk(region))
    return not isinstance(op, ops.Run) and any(
        isinstance(each, ops.Gen | ops.Select | ops.Extern) for each in (op, *inner)
    )


def _is_harmless(op: Op) -> bool:
    """Whether nobody notices that the op ran for nothing."""
    if isinstance(op, ops.Let):
        return is_total(op.expr)
    return isinstance(op, _CONTEXTS)


def _may_end(op: Op) -> bool:
    """Whether a row, a round or a try block may end at the op, so that what follows never runs."""
    if graph.jumps_of(op):
        return True
    region_ops = (each for region in graph.regions(op) for each in graph.walk(region))
    return any(
        isinstance(each, ops.Extern | ops.Require | ops.Call | ops.Open)
        or (isinstance(each, ops.Let) and not is_total(each.expr))
        for each in (op, *region_ops)
    )


def _is_full(type: ValueType) -> bool:
    return isinstance(type, t.ListType) and bool(type.min_items)


def _num_items(expr: e.Expr) -> int:
    """How many items a list expression is known to yield; 0 where that is not known."""
    match expr:
        case e.JsonConst():
            value = literal_value(expr)
            return len(value) if isinstance(value, list) else 0
        case e.ListOf(items=items):
            return len(items)
        case _:
            return 0


# ---------------------------------------------------------------- out of the row


def _shared(
    program: Function, module: Module, facts: Repeatable, notes: list[PassNote]
) -> Function:
    """The program with what is the same for all rows marked."""
    found = stages(program, module.functions, is_repeatable=facts.holds_alone).by_value

    def mark(op: Op) -> tuple[Op]:
        if not isinstance(op, ops.Gen | ops.Select | ops.Extern) or not facts.holds_alone(op):
            return (op,)
        if any(found[value.id] is not Stage.CONST for value in graph.results(op)):
            return (op,)
        if not op.is_shared:
            notes.append(note("hoist", "shared", op))
        return (replace(op, is_shared=True),)

    return replace(program, body=graph.map_ops(program.body, mark))
