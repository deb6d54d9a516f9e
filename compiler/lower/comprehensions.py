"""Comprehensions whose element, tests or inner items hold effects.

When all effects are runs in the element, the branches of a `Fork` evaluate it in parallel, inside a
`Run` so that the list is a promise until it is used. Otherwise nested `For`s evaluate in order.
"""

from __future__ import annotations

from sglc.compiler import syntax
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.lower.calls import run_here
from sglc.compiler.lower.facts import has_effect, only_runs
from sglc.compiler.lower.frame import Frame, branch
from sglc.compiler.lower.unpack import as_list, item_type, unpack
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.types import INT, JSON, GroupType, ListType, TupleType, Type


def repeats_effects(node: syntax.Comprehension, checked: CheckedProgram) -> bool:
    """Is there an effect in what is evaluated once an item? (First items are once.)"""
    first, *later = node.clauses
    parts = (node.key, node.element, *first.tests, *later)
    return any(part is not None and has_effect(part, checked) for part in parts)


def lower_comprehension(frame: Frame, node: syntax.Comprehension, name: str) -> ops.Value:
    """The list or dict that a comprehension with effects inside makes."""
    checked, type = frame.checked, frame.checked.types[node]
    elements = (node.element,) if node.key is None else (node.key, node.element)
    in_clauses = any(has_effect(p, checked) for c in node.clauses for p in (c.items, *c.tests))
    if in_clauses or not all(only_runs(e, checked) for e in elements):
        listed = _in_order(frame, node, elements)
        return listed if node.key is None else _by_key(frame, listed, node, type)
    task = frame.child()
    listed = _parallel(task, node, elements)
    made = listed if node.key is None else _by_key(task, listed, node, type)
    result = frame.value(type, name)
    frame.emit(ops.Run(result, task.region(ops.Yield((made,))), node.span))
    return result


def _by_key(frame: Frame, pairs: ops.Value, node: syntax.Comprehension, type: Type) -> ops.Value:
    """The dict of a list of [key, value]."""
    clause = host.Clause(("key", "value"), host.Operand(0), (), node.span)
    made = host.Comprehension(host.Local("value"), (clause,), host.Local("key"))
    return frame.let(made, (pairs,), type, node.span)


def _element(
    frame: Frame, node: syntax.Comprehension, elements: tuple[syntax.Expr, ...]
) -> ops.Value:
    """The element here, or the pair of key and element."""
    values = [frame.expr(element) for element in elements]
    if len(values) == 1:
        return values[0]
    pair = host.ListOf((host.Operand(0), host.Operand(1)))
    return frame.let(pair, values, TupleType((JSON, JSON)), node.span)


# ---------------------------------------------------------------- in parallel


def _parallel(
    frame: Frame, node: syntax.Comprehension, elements: tuple[syntax.Expr, ...]
) -> ops.Value:
    """The list of elements, each evaluated by a branch of its own."""
    targets = tuple(target for clause in node.clauses for target in clause.targets)
    if len(node.clauses) == 1 and not node.clauses[0].tests:
        items = as_list(frame, frame.expr(node.clauses[0].items), node.span)
    else:
        # the clauses are pure: go through them first, then fork over what they let through
        names: tuple[syntax.Expr, ...] = tuple(syntax.Name(t.span, t.text) for t in targets)
        each = names[0] if len(names) == 1 else syntax.ListLiteral(node.span, names)
        items = frame.expr(syntax.Comprehension(node.span, None, each, node.clauses))
    item, index = frame.value(item_type(items.type)), frame.value(INT)
    inner = frame.child(round=index)
    inner.names.update(unpack(inner, targets, item, node.span))
    # a branch that is there for one run needs no task inside
    if node.key is None and isinstance(node.element, syntax.Run):
        value = run_here(inner, node.element)
    else:
        value = _element(inner, node, elements)
    group = frame.value(GroupType((("value", JSON),)))
    body = inner.region(ops.Yield((value,)), (item, index))
    frame.emit(ops.Fork(group, None, None, items, ("value",), body, node.span))
    listed = host.Field(host.Operand(0), "value", node.span)
    return frame.let(listed, (group,), ListType(JSON), node.span)


# ---------------------------------------------------------------- in order


def _in_order(
    frame: Frame, node: syntax.Comprehension, elements: tuple[syntax.Expr, ...]
) -> ops.Value:
    """The list of elements, by loops that carry it."""

    def clause(frame: Frame, place: int, made: ops.Value) -> ops.Value:
        """`made` and what the clauses from `place` on add to it."""
        if place == len(node.clauses):
            element = _element(frame, node, elements)
            longer = host.Binary("+", host.Operand(0), host.ListOf((host.Operand(1),)))
            return frame.let(longer, (made, element), ListType(JSON), node.span)
        each = node.clauses[place]
        items = as_list(frame, frame.expr(each.items), each.span)
        item, round = frame.value(item_type(items.type)), frame.value(INT)
        carried, result = frame.value(ListType(JSON)), frame.value(ListType(JSON))
        body = frame.child(round=round)
        body.names.update(unpack(body, each.targets, item, each.span))
        end = ops.Continue((test(body, place, 0, carried),))
        region = body.region(end, (item, round, carried))
        frame.emit(ops.For((result,), items, (made,), region, each.span))
        return result

    def test(frame: Frame, place: int, number: int, made: ops.Value) -> ops.Value:
        """The clause's tests from `number` on, then the next clause."""
        tests = node.clauses[place].tests
        if number == len(tests):
            return clause(frame, place + 1, made)
        return branch(
            frame,
            frame.expr(tests[number]),
            lambda arm: test(arm, place, number + 1, made),
            lambda _: made,
            ListType(JSON),
            tests[number].span,
        )

    return clause(frame, 0, frame.let(host.ListOf(()), (), ListType(JSON), node.span))
