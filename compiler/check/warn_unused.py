"""Warnings about what is declared or bound and never used."""

from __future__ import annotations

from sglc.compiler import declaration, syntax
from sglc.compiler.check.declarations import kind_of
from sglc.compiler.check.flow import statements
from sglc.compiler.check.modules import Module
from sglc.compiler.check.report import Report
from sglc.compiler.check.scope import Kind, Scope
from sglc.compiler.check.tables import Function, Tables
from sglc.compiler.host import is_pure


def warn_of_unused_declarations(module: Module, tables: Tables, report: Report) -> None:
    """Of the file that is compiled; a file made to be imported may offer more than is taken."""
    for decl in module.imports:
        if decl not in tables.used:
            report.warning("W0106", "this import is not used", decl.path, "nothing of it is named")
    for named in module.named():
        if not isinstance(named, declaration.Program) and named not in tables.used:
            what = kind_of(named).split(" ")[1]
            message = f"the {what} `{named.name.text}` is not used"
            report.warning("W0106", message, named.name, "nothing refers to it")


def warn_of_unused_lets(function: Function, scope: Scope, tables: Tables, report: Report) -> None:
    """A value that is computed and never read, unless the program yields its names, computing it
    does something, or its name starts with `_`."""
    if isinstance(function, declaration.Program) and tables.results.get(function) is None:
        return
    effects = {
        stmt.name.text
        for stmt in statements(function.body)
        if isinstance(stmt, syntax.Let | syntax.Assign) and not is_pure(stmt.value, tables)
    }
    for name, variable in scope.variables.items():
        if variable.kind is not Kind.LET or name.startswith("_"):
            continue
        if name not in scope.read and name not in effects:
            message = f"the value of `{name}` is never read"
            help = "leave it out, or name it `_`"
            report.warning("W0105", message, variable.place, "bound here", help=help)
