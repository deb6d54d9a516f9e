"""Facts about syntax: effects, what a block binds, whether it appends, sites.

Law: all of it can be read off the tree and the checker's tables; no value is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import cast

from sglc.compiler import declaration, syntax
from sglc.compiler.checked import Builtin, CheckedProgram
from sglc.ir.types import GroupType

Owner = declaration.Program | declaration.Fragment


def children(node: syntax.Node) -> list[syntax.Node]:
    """The nodes right below `node`, in source order."""
    found: list[syntax.Node] = []
    for name in _field_names(type(node)):
        _add_nodes(getattr(node, name), found)
    return found


def walk(node: syntax.Node) -> Iterator[syntax.Node]:
    """`node` and all nodes below it, in source order."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        if inner := children(found):
            waiting.extend(reversed(inner))


# what fields without nodes are said to hold
_PLAIN = ("Span", "str", "str | None", "bool", "bool | int | float | None", "tuple[str, ...]")


_fields: dict[type[syntax.Node], tuple[str, ...]] = {}


def _field_names(node: type[syntax.Node]) -> tuple[str, ...]:
    """The fields of a class that may hold nodes."""
    if node not in _fields:
        _fields[node] = tuple(f.name for f in fields(node) if f.type not in _PLAIN)
    return _fields[node]


def _add_nodes(value: object, found: list[syntax.Node]) -> None:
    if value.__class__ is tuple:
        for item in cast("tuple[object, ...]", value):
            _add_nodes(item, found)
    elif isinstance(value, syntax.Node):
        found.append(value)


def is_effect(node: syntax.Node, checked: CheckedProgram) -> bool:
    """Is `node` an op of its own: a run, or the call of a fragment or extern?"""
    if isinstance(node, syntax.Call):
        return not isinstance(checked.callees[node], Builtin)
    return isinstance(node, syntax.Run)


def has_effect(node: syntax.Node, checked: CheckedProgram) -> bool:
    """Whether a run, or a call of a fragment or an extern, stands anywhere in `node`."""
    return any(is_effect(n, checked) for n in walk(node))


def only_runs(node: syntax.Node, checked: CheckedProgram) -> bool:
    """Are all effects in `node` runs? They may then be evaluated in parallel."""
    if isinstance(node, syntax.Run):
        return all(only_runs(child, checked) for child in children(node.call))
    return not is_effect(node, checked) and all(only_runs(c, checked) for c in children(node))


def appends(node: syntax.Node, checked: CheckedProgram) -> bool:
    """Can evaluating or executing `node` change the current context?"""
    match node:
        case syntax.Text() | syntax.Gen() | syntax.Select() | syntax.Role() | syntax.Join():
            return True
        case syntax.Run(call=call):
            return any(appends(child, checked) for child in children(call))
        case syntax.Fork(items=items):
            return appends(items, checked)
        case syntax.Call() if isinstance(checked.callees[node], declaration.Fragment):
            return True
    return any(appends(child, checked) for child in children(node))


def binders(node: syntax.Node) -> Iterator[tuple[str, syntax.Node]]:
    """The names of the function that executing `node` may bind, each with the statement that does;
    a fork binds its group alone."""
    match node:
        case syntax.Gen(name=name) | syntax.Select(name=name):
            if name is not None:
                yield name.text, node
            return
        case syntax.Let(name=name) | syntax.Assign(name=name):
            yield name.text, node
            return
        case syntax.Fork(group=group):
            yield group.text, node
            return
        case syntax.Capture(name=name) | syntax.Reasoning(name=name):
            yield name.text, node
        case syntax.For(targets=targets):
            yield from ((target.text, node) for target in targets)
    for child in children(node):
        yield from binders(child)


def body_nodes(owner: Owner) -> list[syntax.Node]:
    """All nodes of a function's body, in source order."""
    return [node for statement in owner.body for node in walk(statement)]


def joined_groups(nodes: Iterable[syntax.Node]) -> frozenset[str]:
    """The groups that some `join` among the nodes names."""
    return frozenset(n.group.text for n in nodes if isinstance(n, syntax.Join))


def metas(owner: Owner, nodes: Iterable[syntax.Node], checked: CheckedProgram) -> frozenset[str]:
    """What a function with these nodes reads of gens and selects beside their values, as
    "x.tokens"."""
    read = [
        checked.metas[n] for n in nodes if isinstance(n, syntax.Attribute) and n in checked.metas
    ]
    fields = [
        f for t in checked.variables[owner].values() if isinstance(t, GroupType) for f in t.fields
    ]
    return frozenset(f"{m.variable}.{m.meta}" for m in read) | {
        name for name, _ in fields if "." in name
    }


def sites(nodes: Iterable[syntax.Node], checked: CheckedProgram) -> dict[syntax.Node, int]:
    """A number for each gen, select, fork, run and call of a fragment or extern, in source order.

    A path starts with such a number, so that it does not depend on what passes do later.
    """
    numbered = (
        n
        for n in nodes
        if isinstance(n, syntax.Gen | syntax.Select | syntax.Fork) or is_effect(n, checked)
    )
    return {node: number for number, node in enumerate(numbered)}
