"""When each value of a program is known: while compiling, when rows are bound, or while running.

A value has the latest stage of what it is computed from and of what decides whether it is: the
condition of an `if` counts for its results, a jump's for those of its loop or scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from sglc.ir import graph, ops
from sglc.ir.module import Function
from sglc.ir.ops import Op, Region, Value


class Stage(IntEnum):
    """Ordered: what depends on a later stage is of a later stage."""

    CONST = 0
    INPUT = 1
    GEN = 2

    def __str__(self) -> str:
        return self.name.lower()


# ops whose results are known when their operands are
_COMPUTED = (
    ops.Let,
    ops.Append,
    ops.Open,
    ops.Close,
    ops.Start,
    ops.Control,
    ops.Capture,
    ops.Join,
)


@dataclass(frozen=True, slots=True)
class Stages:
    """The stage of each value, by id. `names` gives, for each name of the author's, in the order of
    first definition, the latest stage of the values that bear it."""

    by_value: Mapping[int, Stage]
    names: tuple[tuple[str, Stage], ...]


def stages(
    program: Function,
    callees: Iterable[Function] = (),
    is_repeatable: Callable[[Op], bool] = lambda op: False,
) -> Stages:
    """The stages of a program, whose calls are of `callees`.

    A gen, select or extern that is repeatable counts as known with what it is computed from, its
    path aside: the stage of its results then says what they depend on, not when they are there.
    """
    walk = _Walk(_Calls({callee.name: callee for callee in callees}, is_repeatable))
    walk.raise_to(program.body.args, Stage.INPUT)
    walk.settle(program.body)
    names: dict[str, Stage] = {}
    by_value: dict[int, Stage] = {}
    for value in graph.definitions(program.body):
        found = by_value[value.id] = walk.stage(value)
        if value.name:
            names[value.name] = max(found, names.get(value.name, found))
    return Stages(by_value, tuple(names.items()))


class _Calls:
    """What functions leave with, by the stages of what they are called with."""

    def __init__(
        self, functions: Mapping[str, Function], is_repeatable: Callable[[Op], bool]
    ) -> None:
        self.functions = functions
        self.is_repeatable = is_repeatable
        self.known: dict[tuple[str, tuple[Stage, ...]], list[Stage]] = {}

    def results(self, call: ops.Call, args: tuple[Stage, ...]) -> list[Stage]:
        """The stages of the call's results, `args` being those of its operands."""
        key = (call.function, args)
        if key not in self.known:
            body = self.functions[call.function].body
            # ids of their own for the results: a function numbers its values from 0
            left = tuple(Value(-1 - i, r.type) for i, r in enumerate(graph.results(call)))
            walk = _Walk(self, left)
            for param, stage in zip(body.args, args, strict=True):
                walk.raise_to((param,), stage)
            walk.settle(body)
            self.known[key] = [walk.stage(value) for value in left]
        return self.known[key]


class _Walk:
    """`loops` and `scopes` hold the results that jumps lead to, innermost last."""

    def __init__(self, calls: _Calls, results: tuple[Value, ...] = ()) -> None:
        self.calls = calls
        self.found: dict[int, Stage] = {}
        self.has_changed = True
        self.loops: list[tuple[Value, ...]] = []
        self.scopes: list[tuple[Value, ...]] = [results]

    def settle(self, body: Region) -> None:
        """Walk until nothing changes in loops, which feed results back into their arguments."""
        while self.has_changed:
            self.has_changed = False
            self.region(body, Stage.CONST)

    def stage(self, value: Value) -> Stage:
        return self.found.get(value.id, Stage.CONST)

    def latest(self, values: Iterable[Value], least: Stage = Stage.CONST) -> Stage:
        return max([self.stage(value) for value in values], default=least)

    def raise_to(self, values: Iterable[Value], stage: Stage) -> None:
        for value in values:
            if self.stage(value) < stage:
                self.found[value.id] = stage
                # outside of loops all that reads the value comes later
                self.has_changed = self.has_changed or bool(self.loops)

    def flow(self, values: Iterable[Value], targets: Iterable[Value], stage: Stage) -> None:
        """Each target is one of the values in its place, chosen at `stage`."""
        for value, target in zip(values, targets, strict=False):
            self.raise_to((target,), max(stage, self.stage(value)))

    def region(self, region: Region, chosen: Stage) -> None:
        """`chosen` is the stage of what decides whether the region runs."""
        for op in region.ops:
            self.op(op, chosen)
        if isinstance(region.end, ops.Leave):
            self.flow(region.end.values, self.scopes[-1], chosen)
        elif not isinstance(region.end, ops.Yield):
            self.flow(region.end.values, self.loops[-1], chosen)

    def op(self, op: Op, chosen: Stage) -> None:
        if isinstance(op, _COMPUTED):  # most ops
            self.raise_to((op.result,), self.latest(graph.operands(op)))
            return
        match op:
            case ops.Gen() | ops.Select() | ops.Extern() if not self.calls.is_repeatable(op):
                self.raise_to(graph.results(op), Stage.GEN)
            case ops.Call():
                given = tuple(map(self.stage, (op.source, *op.args)))
                for result, stage in zip(
                    graph.results(op), self.calls.results(op, given), strict=True
                ):
                    self.raise_to((result,), stage)
            case ops.If(results, condition, then, otherwise):
                stage = max(chosen, self.stage(condition))
                for arm in (then, otherwise):
                    self.region(arm, stage)
                    if isinstance(arm.end, ops.Yield):
                        self.flow(arm.end.values, results, self.stage(condition))
            case ops.For(results, items, inits, body):
                item, round, *args = body.args
                self.raise_to((item,), self.stage(items))
                self.raise_to((round,), self.stage(items))
                self.loop(results, inits, args, body, max(chosen, self.stage(items)))
            case ops.While(results, limit, inits, test, body):
                self.flow(results, test.args[1:], Stage.CONST)
                self.region(test, chosen)
                known = self.latest((limit, *test.end.values))
                self.raise_to((test.args[0], body.args[0]), known)
                self.loop(results, inits, list(body.args[1:]), body, max(chosen, known))
            case ops.Fork():
                self.fork(op)
            case ops.Run(result, body):
                self.region(body, Stage.CONST)
                self.flow(body.end.values, (result,), Stage.CONST)
            case ops.Try(results, body, handler):
                self.region(body, Stage.CONST)
                self.region(handler, Stage.CONST)
                # whether the body fails is known when all in it is
                decided = self.latest(graph.definitions(body))
                self.flow(body.end.values, results, decided)
                self.flow(handler.end.values, results, decided)
            case ops.Scope(results, body):
                self.scopes.append(results)
                self.region(body, Stage.CONST)
                self.scopes.pop()
            case ops.Require(message=message):
                self.region(message, chosen)
            case _:
                used = graph.operands(op)
                used = used[: len(used) - len(graph.path_values(op))]
                self.raise_to(graph.results(op), self.latest(used))

    def loop(
        self,
        results: tuple[Value, ...],
        inits: tuple[Value, ...],
        args: list[Value],
        body: Region,
        chosen: Stage,
    ) -> None:
        self.flow(inits, results, chosen)
        self.flow(results, args, Stage.CONST)
        self.loops.append(results)
        self.region(body, chosen)
        self.loops.pop()

    def fork(self, op: ops.Fork) -> None:
        known = self.stage(op.items)
        start = () if op.context is None else (op.context,)
        self.flow(start, op.body.args, Stage.CONST)
        self.raise_to(op.body.args[len(start) :], known)
        self.region(op.body, known)
        contexts = op.body.end.values[: 0 if op.contexts is None else 1]
        if op.contexts is not None:
            self.raise_to((op.contexts,), self.latest(contexts, known))
        self.raise_to((op.group,), max(known, self.latest(op.body.end.values[len(contexts) :])))
