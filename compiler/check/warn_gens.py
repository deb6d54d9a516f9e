"""Warnings about gens: those that nobody uses, and those after a trailing space."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sglc.compiler import declaration, syntax
from sglc.compiler.check.appending import expressions_of
from sglc.compiler.check.effects import generates
from sglc.compiler.check.flow import blocks, statements
from sglc.compiler.check.options import CONSTRAINTS
from sglc.compiler.check.report import Report
from sglc.compiler.check.scope import Scope
from sglc.compiler.check.tables import Function, Tables
from sglc.compiler.host import walk


def warn_of_unused_gens(function: Function, scope: Scope, tables: Tables, report: Report) -> None:
    """A gen is of use by its value, or by its text when something is generated after it in the
    same context. A fragment's caller may go on; a program without `return` yields its names."""
    _Usefulness(function, scope, tables, report).block(
        function.body, isinstance(function, declaration.Fragment)
    )


class _Usefulness:
    """A walk from the end of a body: is the context at this point still looked at?"""

    def __init__(self, function: Function, scope: Scope, tables: Tables, report: Report) -> None:
        is_program = isinstance(function, declaration.Program)
        self.is_fragment = not is_program
        self.yields_names = is_program and tables.results.get(function) is None
        self.tables = tables
        self.report = report
        nodes = [
            node
            for stmt in statements(function.body)
            for expr in expressions_of(stmt)
            for node in walk(expr)
        ]
        self.read = scope.read | {n.name.text for n in nodes if isinstance(n, syntax.Attribute)}
        self.joined = {
            s.group.text for s in statements(function.body) if isinstance(s, syntax.Join)
        }

    def block(self, body: syntax.Block, live: bool) -> bool:
        for stmt in reversed(body):
            live = self.statement(stmt, live)
        return live

    def statement(self, stmt: syntax.Stmt, live: bool) -> bool:
        """Whether the context before the statement is looked at, when after it it is `live`."""
        match stmt:
            case syntax.Gen(name=name) | syntax.Select(name=name):
                if not live and not self.is_used(name):
                    word = "gen" if isinstance(stmt, syntax.Gen) else "select"
                    self.report.warning(
                        "W0101",
                        f"nobody uses what this {word} yields, nor its text",
                        name or stmt,
                        "generated for nothing",
                        help="return it, or leave it out",
                    )
                return True
            case syntax.Role(body=body) | syntax.AnyOrder(body=body):
                return self.block(body, live)
            case syntax.Capture(name=name, body=body) | syntax.Reasoning(name=name, body=body):
                return self.block(body, live or self.is_used(name))
            case syntax.If():
                ends = [self.block(arm, live) for arm in blocks(stmt)]
                return live or any(ends)
            case syntax.For(body=body) | syntax.While(body=body):
                again = live or any(generates(inner, self.tables) for inner in statements(body))
                return self.block(body, again) or live
            case syntax.Fork(group=group, body=body):
                return self.block(body, group.text in self.joined) or live
            case syntax.Return():
                return self.is_fragment or generates(stmt, self.tables)
            case syntax.Break() | syntax.Continue():
                return True
        return live or generates(stmt, self.tables)

    def is_used(self, name: syntax.Identifier | None) -> bool:
        return name is not None and (self.yields_names or name.text in self.read)


def warn_of_trailing_spaces(body: syntax.Block, report: Report) -> None:
    """A space at the end of the text before a gen is a token of its own, where the model expects
    it at the start of the next word."""
    for first, second in _neighbours(body):
        if isinstance(second, syntax.Reasoning) and second.body:
            second = second.body[0]
        if not isinstance(first, syntax.Text) or not _is_free(second):
            continue
        last = first.value.parts[-1] if first.value.parts else ""
        if isinstance(last, str) and last.endswith(" "):
            report.warning(
                "W0103",
                "a space at the end of the text before a gen splits a token",
                first,
                "ends in a space",
                secondary=((second, "generated from there"),),
                help="leave the space out; the model writes its own",
            )


def _is_free(stmt: syntax.Stmt) -> bool:
    """A gen that may begin with a space of its own."""
    if not isinstance(stmt, syntax.Gen):
        return False
    is_str = isinstance(stmt.type, syntax.NamedType) and stmt.type.name.text == "str"
    is_constrained = any(option.name.text in CONSTRAINTS for option in stmt.options)
    return (stmt.type is None or is_str) and not is_constrained


def _neighbours(body: syntax.Block) -> Iterator[tuple[syntax.Stmt, syntax.Stmt]]:
    yield from pairwise(body)
    for stmt in body:
        for inner in blocks(stmt):
            yield from _neighbours(inner)
