"""Regions: which terminator may end them, which arguments they have, what they hand over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sglc.ir import graph, ops
from sglc.ir.checks.operands import is_host
from sglc.ir.checks.shown import shown
from sglc.ir.module import Function
from sglc.ir.ops import Op, Region, Value
from sglc.ir.types import IntType
from sglc.ir.value_type import BranchesType, ContextType, ValueType


@dataclass(frozen=True, slots=True)
class _Inside:
    """What stands around a region: where its jumps would go, None where they may not."""

    loop: ops.For | ops.While | None
    leaves: bool
    scope: ops.Scope | None  # of Leave; None with `leaves` is the function


def ends_fit(function: Function) -> Iterator[str]:
    """Each region ends as its op wants it, and each jump has a target that it may reach."""
    if not isinstance(function.body.end, ops.Leave):
        yield "the body does not end in a `leave`"
    yield from _region_ends(function.body, _Inside(None, True, None))


def _region_ends(region: Region, inside: _Inside) -> Iterator[str]:
    for op in region.ops:
        for name in graph.SHAPES[type(op)].regions:
            inner: Region = getattr(op, name)
            around = _around(op, name, inside)
            if not isinstance(inner.end, _allowed(op, name, around)):
                yield f"`{type(inner.end).__name__.lower()}` ends the {name} of {shown(op)}"
            elif isinstance(inner.end, ops.Leave) and around.scope is not None:
                if not _match(inner.end.values, around.scope.results):
                    yield f"a `leave` does not match the results of {shown(around.scope)}"
            elif isinstance(inner.end, ops.Break | ops.Continue):
                assert around.loop is not None
                if not _match(inner.end.values, around.loop.results):
                    yield f"a jump does not match the results of {shown(around.loop)}"
            yield from _region_ends(inner, around)


def _around(op: Op, name: str, inside: _Inside) -> _Inside:
    match op:
        case ops.If():
            return inside
        case ops.For() | ops.While() if name == "body":
            return _Inside(op, inside.leaves, inside.scope)
        case ops.Scope():
            return _Inside(None, True, op)
        case _:  # tasks, tests, messages and tries cannot be left
            return _Inside(None, False, None)


def _allowed(op: Op, name: str, around: _Inside) -> tuple[type, ...]:
    leave = (ops.Leave,) if around.leaves else ()
    jumps = (ops.Continue, ops.Break) if around.loop is not None else ()
    match op:
        case ops.If():
            return (ops.Yield, *jumps, *leave)
        case ops.For() | ops.While() if name == "body":
            return (*jumps, *leave)
        case ops.Scope():
            return leave
        case _:
            return (ops.Yield,)


def regions_have_their_arguments(op: Op) -> Iterator[str]:
    match op:
        case ops.For(inits=inits, body=body):
            wanted = [None, IntType, *(v.type for v in inits)]
            if not _args_match(body.args, wanted):
                yield f"the arguments of the body do not fit {shown(op)}"
        case ops.While(inits=inits, test=test, body=body):
            wanted = [IntType, *(v.type for v in inits)]
            if not _args_match(test.args, wanted) or not _args_match(body.args, wanted):
                yield f"the arguments of the regions do not fit {shown(op)}"
        case ops.Fork(context=context, body=body):
            start = [] if context is None else [context.type]
            if not _args_match(body.args, [*start, None, IntType]):
                yield f"the arguments of the body do not fit {shown(op)}"
        case _:
            if any(region.args for region in graph.regions(op)):
                yield f"regions of {shown(op)} have no arguments"


def _args_match(args: tuple[Value, ...], wanted: Sequence[ValueType | type | None]) -> bool:
    """None is any host value, a class any type of it."""
    if len(args) != len(wanted):
        return False
    for arg, want in zip(args, wanted, strict=True):
        if want is None:
            if not is_host(arg):
                return False
        elif isinstance(want, type):
            if not isinstance(arg.type, want):
                return False
        elif not _same_sort(arg.type, want):
            return False
    return True


def regions_yield_the_results(op: Op) -> Iterator[str]:
    for region, results in _yields(op):
        if isinstance(region.end, ops.Yield) and not _match(region.end.values, results):
            yield f"a `yield` does not match the results of {shown(op)}"


def _yields(op: Op) -> Iterator[tuple[Region, tuple[Value, ...]]]:
    """The regions that end in yields, with values like those that they shall yield."""
    match op:
        case ops.If(results, _, then, otherwise):
            yield from ((then, results), (otherwise, results))
        case ops.Try(results, body, handler):
            yield from ((body, results), (handler, results))
        case ops.Run(result, body):
            yield body, (result,)


def loops_carry_their_values(op: Op) -> Iterator[str]:
    if isinstance(op, ops.For | ops.While) and not _match(op.inits, op.results):
        yield f"what {shown(op)} carries does not match its results"
    tests = (op.test,) if isinstance(op, ops.While) else ()
    messages = (op.message,) if isinstance(op, ops.Require) else ()
    for region in (*tests, *messages):
        if len(region.end.values) != 1 or not is_host(region.end.values[0]):
            yield f"the region of {shown(op)} does not yield one host value"


def fork_fields(op: Op) -> Iterator[str]:
    """A fork yields its context, if it has one, and then its fields, whose names differ."""
    if not isinstance(op, ops.Fork):
        return
    if (op.context is None) != (op.contexts is None):
        yield f"one of context and contexts is missing in {shown(op)}"
    if len(set(op.fields)) != len(op.fields):
        yield f"two fields have one name in {shown(op)}"
    values = op.body.end.values
    if op.contexts is not None:
        first, values = values[:1], values[1:]
        if not first or not isinstance(first[0].type, ContextType):
            yield f"no context is yielded in {shown(op)}"
        elif first[0].type.role != getattr(op.contexts.type, "role", None):
            yield f"the role of the yielded context is not that of {shown(op)}"
    if len(values) != len(op.fields) or not all(map(is_host, values)):
        yield f"the yielded values are not the fields of {shown(op)}"


def _match(values: tuple[Value, ...], results: tuple[Value, ...]) -> bool:
    return len(values) == len(results) and all(
        _same_sort(value.type, result.type) for value, result in zip(values, results, strict=True)
    )


def _same_sort(a: ValueType, b: ValueType) -> bool:
    """Contexts of one role, or two host values: their exact types are the checker's matter."""
    if isinstance(a, ContextType | BranchesType) or isinstance(b, ContextType | BranchesType):
        return a == b
    return True
