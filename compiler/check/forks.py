"""Forks and joins: what a branch may bind, and what its group holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check import relations
from sglc.compiler.check.flow import State
from sglc.compiler.check.scope import Branch, Kind
from sglc.ir.types import INT, UNKNOWN, GroupType, JsonType, Type

if TYPE_CHECKING:
    from sglc.compiler.check.statements import Statements


def check_fork(checker: Statements, stmt: syntax.Fork) -> None:
    """Check a branch, and bind the group to what it surely binds."""
    name, type = _item(checker, stmt)
    before = checker.scope.here
    outside = frozenset(n for n in before.maybe if "." not in n)
    branch = Branch(outside, stmt.group.text, name if stmt.item is None else None)
    checker.scope.forks.append(branch)
    checker.scope.bind(name, type, Kind.ITEM)
    checker.block(stmt.body)
    after = checker.scope.here
    checker.scope.forks.pop()
    fields = _fields(checker, after, before, name.text)
    fields += tuple((refused, UNKNOWN) for refused in branch.refused)
    checker.scope.state = before
    checker.scope.bind(stmt.group, GroupType(fields), Kind.GROUP)


def _item(checker: Statements, stmt: syntax.Fork) -> tuple[syntax.Identifier, Type]:
    """The name that each branch has of its own, and its type."""
    if stmt.item is not None:
        return stmt.item, checker.expressions.item_type(stmt.items, "a fork")
    found = checker.expressions.infer(stmt.items)
    if not relations.assignable(found, INT) and not isinstance(found, JsonType):
        checker.report.error(
            "E0304",
            "a fork without an item takes a number of branches",
            stmt.items,
            f"found `{found}`",
            help="to go through a list, write `fork x in ... as g:`",
        )
    return syntax.Identifier(stmt.items.span, "i"), INT


def _fields(
    checker: Statements, after: State, before: State, item: str
) -> tuple[tuple[str, Type], ...]:
    """What a branch surely binds, its item first."""
    own = [n for n in after.surely - before.surely if n != item]
    fields = [(item, checker.scope.variables[item].type)] if item in checker.scope.variables else []
    order = {name: i for i, name in enumerate(checker.scope.variables)}
    for name in sorted(own, key=lambda n: (order[n.split(".")[0]], n)):
        if "." in name:
            fields.append((name, checker.scope.meta_types[name]))
        else:
            fields.append((name, checker.scope.variables[name].type))
    return tuple(fields)


def check_join(checker: Statements, stmt: syntax.Join) -> None:
    """Only a group of this function can be joined."""
    found = checker.expressions.infer(stmt.group)
    known = checker.scope.variables.get(stmt.group.text)
    if known is not None and not isinstance(found, GroupType) and known.kind is not Kind.GROUP:
        checker.report.error(
            "E0410",
            f"`{stmt.group.text}` is no group of branches",
            stmt.group,
            f"found `{found}`",
            help="`join` takes the name after `as` of a `fork` in this function",
        )
