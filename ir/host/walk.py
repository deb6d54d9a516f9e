"""Walking and rebuilding host expressions, generic over their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from sglc.ir.host.expr import Clause, Expr, Operand


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """The expression and all inside it, in the order in which their texts stand."""
    waiting = [expr]
    while waiting:
        found = waiting.pop()
        yield found
        if inner := parts(found):
            waiting.extend(reversed(inner))


def parts(expr: Expr) -> list[Expr]:
    """The expressions that stand directly in this one."""
    found: list[Expr] = []
    for name in _field_names(type(expr)):
        _add_expressions(getattr(expr, name), found)
    return found


def operand_order(expr: Expr) -> list[int]:
    """The operand indices that the expression uses, each once, in the order of their first use."""
    return list(dict.fromkeys(e.index for e in subexpressions(expr) if isinstance(e, Operand)))


def map_parts(expr: Expr, image: Callable[[Expr], Expr]) -> Expr:
    """The expression with each of its direct parts replaced by its image."""
    rebuilt: Expr = _rebuild(expr, image)
    return rebuilt


def map_operands(expr: Expr, image: Callable[[int], Expr]) -> Expr:
    """The expression with `image(i)` put for each `Operand(i)`; the same where none changes."""
    if isinstance(expr, Operand):
        new = image(expr.index)
        return expr if new == expr else new
    return map_parts(expr, lambda part: map_operands(part, image))


# fields in the order of the text, where that is not the order of the class
_ORDER = {"Cond": ("then", "test", "otherwise"), "Comprehension": ("key", "element", "clauses")}


_fields: dict[type[Any], tuple[str, ...]] = {}


def _field_names(node: type[Any]) -> tuple[str, ...]:
    """The fields of a class of nodes that may hold expressions."""
    if node not in _fields:
        found = (f.name for f in fields(node) if "Expr" in str(f.type) or "Clause" in str(f.type))
        _fields[node] = _ORDER.get(node.__name__) or tuple(found)
    return _fields[node]


def _add_expressions(item: Any, found: list[Expr]) -> None:
    """Those in a field: one, or those in a tuple or in a comprehension's clause."""
    if isinstance(item, Expr):
        found.append(item)
    elif isinstance(item, tuple):
        for part in item:
            _add_expressions(part, found)
    elif isinstance(item, Clause):
        for name in _field_names(type(item)):
            _add_expressions(getattr(item, name), found)


def _rebuild(item: Any, image: Callable[[Expr], Expr]) -> Any:
    """A node or a clause with the expressions in its fields replaced."""
    changes = {}
    for name in _field_names(type(item)):
        part = getattr(item, name)
        new = _rebuild_field(part, image)
        if new is not part:
            changes[name] = new
    return replace(item, **changes) if changes else item


def _rebuild_field(item: Any, image: Callable[[Expr], Expr]) -> Any:
    if isinstance(item, Expr):
        return image(item)
    if isinstance(item, Clause):
        return _rebuild(item, image)
    if isinstance(item, tuple):
        new = tuple(_rebuild_field(part, image) for part in item)
        return new if any(a is not b for a, b in zip(new, item, strict=True)) else item
    return item
