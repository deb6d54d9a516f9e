"""Control flow: if, for, while, fork, join.

What a construct may rebind flows through it as values: an `If` yields the names that both arms
have, a loop carries the names that its body rebinds, and the context is one name more.
A statement after an arm that ends (by return, break or continue) belongs to the other arm alone,
so the other arm is lowered in place, after an `If` that holds only the ending one.
"""

from __future__ import annotations

from sglc.compiler import syntax
from sglc.compiler.lower.appending import metas_of
from sglc.compiler.lower.facts import appends, binders
from sglc.compiler.lower.frame import BASE, CONTEXT, CONTEXTS, Frame, Loop, merge
from sglc.compiler.lower.unpack import as_list, item_type, unpack
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.types import INT, GroupType, ListType
from sglc.ir.value_type import BranchesType

# what a joined group needs beside its value: its branches' contexts, and where they began


def lower_if(frame: Frame, node: syntax.If) -> ops.Terminator | None:
    return _arms(frame, node, 0)


def _arms(frame: Frame, node: syntax.If, place: int) -> ops.Terminator | None:
    """The arms from `place` on."""
    if place == len(node.arms):
        return frame.block(node.otherwise or ())
    test, block = node.arms[place]
    condition = frame.expr(test)
    nothing = ops.Region((), (), ops.Yield())
    then = frame.child()
    end = then.block(block)
    if end is not None:
        frame.emit(ops.If((), condition, then.region(end), nothing, node.span))
        return _arms(frame, node, place + 1)
    otherwise = frame.child()
    end = _arms(otherwise, node, place + 1)
    if end is not None:
        frame.emit(ops.If((), condition, nothing, otherwise.region(end), node.span))
        frame.code.extend(then.code)
        frame.names = then.names
        return None
    results, yields = merge(frame, (then, otherwise), [condition])
    yes, no = then.region(ops.Yield(yields[0])), otherwise.region(ops.Yield(yields[1]))
    frame.emit(ops.If(results, condition, yes, no, node.span))
    return None


def _carried(frame: Frame, node: syntax.For | syntax.While) -> tuple[str, ...]:
    """The names that a round hands to the next, of those bound before the loop.

    A meta that not every rebinding of its gen renews is forgotten.
    """
    rebound: dict[str, list[syntax.Node]] = {}
    for name, binder in binders(node):
        rebound.setdefault(name, []).append(binder)
    carried = [CONTEXT] if appends(node, frame.checked) else []
    for name in list(frame.names):
        whole, _, meta = name.partition(".")
        if whole.partition("@")[0] not in rebound:
            continue
        if meta and not all(meta in metas_of(binder) for binder in rebound[whole]):
            del frame.names[name]
        else:
            carried.append(name)
    return tuple(carried)


def _enter(frame: Frame, carried: tuple[str, ...], round: ops.Value) -> Frame:
    """The frame of a loop's body, whose arguments stand for the carried names."""
    body = frame.child(round=round, loop=Loop(carried, frame.role))
    for name in carried:
        outer = frame.names[name]
        body.names[name] = frame.value(outer.type, name)
    return body


def _leave(frame: Frame, carried: tuple[str, ...]) -> tuple[ops.Value, ...]:
    """The loop's results: the carried names' values after it."""
    for name in carried:
        outer = frame.names[name]
        frame.names[name] = frame.value(outer.type, name)
    return tuple(frame.names[name] for name in carried)


def lower_for(frame: Frame, node: syntax.For) -> None:
    items = as_list(frame, frame.expr(node.items), node.items.span)
    name = node.targets[0].text if len(node.targets) == 1 else ""
    item, round = frame.value(item_type(items.type), name), frame.value(INT)
    frame.derive(item, items)
    carried = _carried(frame, node)
    inits = tuple(frame.names[n] for n in carried)
    body = _enter(frame, carried, round)
    args = tuple(body.names[n] for n in carried)
    for target, value in unpack(body, node.targets, item, node.span).items():
        body.bind(target, value)
    end = body.block(node.body) or ops.Continue(tuple(body.names[n] for n in carried))
    region = body.region(end, (item, round, *args))
    results = _leave(frame, carried)
    frame.emit(ops.For(results, items, inits, region, node.span))


def lower_while(frame: Frame, node: syntax.While) -> None:
    assert node.limit is not None, "the checker wants a bound"
    limit = frame.expr(node.limit)
    carried = _carried(frame, node)
    inits = tuple(frame.names[n] for n in carried)
    round = frame.value(INT)
    body = _enter(frame, carried, round)
    args = (round, *(body.names[n] for n in carried))
    test_round = frame.value(INT)
    tester = _enter(frame, carried, test_round)
    test_args = (test_round, *(tester.names[n] for n in carried))
    test_condition = tester.expr(node.test)
    test = tester.region(ops.Yield((test_condition,)), test_args)
    end = body.block(node.body) or ops.Continue(tuple(body.names[n] for n in carried))
    region = body.region(end, args)
    results = _leave(frame, carried)
    frame.emit(ops.While(results, limit, inits, test, region, node.span))


def lower_fork(frame: Frame, node: syntax.Fork) -> None:
    """A branch binds names of its own; those that it surely binds are the group's fields."""
    items = frame.expr(node.items)
    if node.item is None:
        items = frame.let(
            host.Call("range", (host.Operand(0),)), (items,), ListType(INT), node.span
        )
        name = "i"
    else:
        items, name = as_list(frame, items, node.items.span), node.item.text
    type = frame.variables[node.group.text]
    assert isinstance(type, GroupType)
    fields = tuple(field for field, _ in type.fields)
    item, index = frame.value(item_type(items.type), name), frame.value(INT)
    frame.derive(item, items)
    branch = frame.child(round=index)
    start = branch.context = frame.new_context(frame.role)
    branch.bind(name, item)
    end = branch.block(node.body)
    assert end is None, "a branch cannot be left"
    values = (branch.context, *(branch.names[field] for field in fields))
    body = branch.region(ops.Yield(values), (start, item, index))
    group = frame.value(type, node.group.text)
    contexts = frame.value(BranchesType(frame.role))
    base = frame.context
    frame.emit(ops.Fork(group, contexts, base, items, fields, body, node.span))
    frame.bind(group.name, group)
    if group.name in frame.scope.joined:
        frame.names |= {group.name + CONTEXTS: contexts, group.name + BASE: base}


def lower_join(frame: Frame, node: syntax.Join) -> None:
    """Append what the branches added, in order."""
    contexts, base = (frame.names[node.group.text + part] for part in (CONTEXTS, BASE))
    result = frame.new_context(frame.role)
    frame.emit(ops.Join(result, frame.context, base, contexts, node.span))
    frame.context = result
