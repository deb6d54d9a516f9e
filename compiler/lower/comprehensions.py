"""Comprehensions whose element, tests or inner items hold effects.

When all effects are runs in the element, the branches of a `Fork` evaluate it in parallel, inside a
`Run` so that the list is a promise until it is used. Otherwise nested `For`s evaluate in order.
"""

from __future__ import annotations

from sglc.compiler import syntax
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.lower.facts import appends, has_effect, only_runs
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
    if frame.runs_here or in_clauses or not all(only_runs(e, checked) for e in elements):
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
    is_a_run = len(elements) == 1 and isinstance(elements[0], syntax.Run)
    inner = frame.child(round=index, runs_here=is_a_run)
    inner.names.update(unpack(inner, targets, item, node.span))
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
    """The list of elements, by loops that carry it (and the context, where they append)."""
    made = frame.let(host.ListOf(()), (), ListType(JSON), node.span)
    return _Loops(node, elements, appends(node, frame.checked)).clause(frame, 0, made)


class _Loops:
    """The clauses of one comprehension as nested loops."""

    def __init__(
        self, node: syntax.Comprehension, elements: tuple[syntax.Expr, ...], appends: bool
    ) -> None:
        self.node = node
        self.elements = elements
        self.appends = appends

    def clause(self, frame: Frame, place: int, made: ops.Value) -> ops.Value:
        """`made` and what the clauses from `place` on add to it."""
        if place == len(self.node.clauses):
            element = _element(frame, self.node, self.elements)
            longer = host.Binary("+", host.Operand(0), host.ListOf((host.Operand(1),)))
            return frame.let(longer, (made, element), ListType(JSON), self.node.span)
        clause = self.node.clauses[place]
        items = as_list(frame, frame.expr(clause.items), clause.span)
        item, round = frame.value(item_type(items.type)), frame.value(INT)
        body = frame.child(round=round)
        carried = [frame.value(made.type)]
        if self.appends:
            body.context = body.new_context(frame.role)
            carried.append(body.context)
        body.names.update(unpack(body, clause.targets, item, clause.span))
        longer_list = self.test(body, place, 0, carried[0])
        ends = (longer_list, *((body.context,) if self.appends else ()))
        results = tuple(frame.value(value.type) for value in carried)
        inits = (made, *((frame.context,) if self.appends else ()))
        region = body.region(ops.Continue(ends), (item, round, *carried))
        frame.emit(ops.For(results, items, inits, region, clause.span))
        if self.appends:
            frame.context = results[1]
        return results[0]

    def test(self, frame: Frame, place: int, number: int, made: ops.Value) -> ops.Value:
        """The clause's tests from `number` on, then the next clause."""
        tests = self.node.clauses[place].tests
        if number == len(tests):
            return self.clause(frame, place + 1, made)
        return branch(
            frame,
            frame.expr(tests[number]),
            lambda arm: self.test(arm, place, number + 1, made),
            lambda _: made,
            JSON,
            tests[number].span,
        )
