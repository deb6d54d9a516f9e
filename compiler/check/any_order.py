"""`any_order`: which statements may change places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import syntax
from sglc.compiler.check.effects import generates
from sglc.compiler.check.flow import statements

if TYPE_CHECKING:
    from sglc.compiler.check.statements import Statements

_REORDERABLE = (
    syntax.Text,
    syntax.Role,
    syntax.If,
    syntax.For,
    syntax.Evaluate,
    syntax.Require,
    syntax.AnyOrder,
    syntax.Pass,
)


def check_any_order(checker: Statements, body: syntax.Block) -> None:
    """Report the first statement of a checked body that does more than append known text."""
    for stmt in statements(body):
        if not isinstance(stmt, _REORDERABLE) or generates(stmt, checker.expressions.tables):
            word = "this call" if isinstance(stmt, syntax.Evaluate) else type(stmt).__name__.lower()
            checker.report.error(
                "E0408",
                "`any_order` holds statements that append text, without gen or let",
                stmt,
                f"`{word}` cannot change its place",
                help="move it before or after the block",
            )
            return
