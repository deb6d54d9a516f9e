"""Walking and rebuilding host expressions, generic over their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from sglc.ir.host.expr import Clause, Expr, Operand


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """The expression and all inside it, in the order in which their texts stand."""
    yield expr
    yield from (inner for part in parts(expr) for inner in subexpressions(part))


def parts(expr: Expr) -> Iterator[Expr]:
    """The expressions that stand directly in this one."""
    yield from _children(expr)


def operand_order(expr: Expr) -> list[int]:
    """The operand indices that the expression uses, each once, in the order of their first use."""
    return list(dict.fromkeys(e.index for e in subexpressions(expr) if isinstance(e, Operand)))


def map_operands(expr: Expr, image: Callable[[int], Expr]) -> Expr:
    """The expression with `image(i)` put for each `Operand(i)`."""
    mapped: Expr = _map(expr, image)
    return mapped


def _children(item: Any) -> Iterator[Any]:
    if isinstance(item, tuple):
        for part in item:
            yield from ([part] if _is_expr(part) else _children(part))
    elif is_dataclass(item):
        for name in _ORDER.get(type(item).__name__) or [f.name for f in fields(item)]:
            part = getattr(item, name)
            yield from ([part] if _is_expr(part) else _children(part))


# fields in the order of the text, where that is not the order of the class
_ORDER = {"Cond": ("then", "test", "otherwise"), "Comprehension": ("key", "element", "clauses")}


def _is_expr(item: Any) -> bool:
    return is_dataclass(item) and isinstance(item, Expr)


def _map(item: Any, image: Callable[[int], Expr]) -> Any:
    if isinstance(item, Operand):
        return image(item.index)
    if isinstance(item, tuple):
        return tuple(_map(part, image) for part in item)
    if isinstance(item, Expr | Clause):
        parts = {f.name: getattr(item, f.name) for f in fields(item)}
        images = {name: _map(part, image) for name, part in parts.items()}
        changed = {name: new for name, new in images.items() if new is not parts[name]}
        return replace(item, **changed) if changed else item
    return item
