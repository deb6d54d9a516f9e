"""Who calls whom, and which functions generate: facts about checked bodies."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.compiler import declaration, syntax
from sglc.compiler.check.appending import expressions_of
from sglc.compiler.check.flow import statements
from sglc.compiler.check.report import Report
from sglc.compiler.check.tables import Function, Tables
from sglc.compiler.checked import Callee
from sglc.compiler.host import walk


def calls(body: syntax.Block, tables: Tables) -> Iterator[tuple[syntax.Call, declaration.Fragment]]:
    """The calls of fragments in a body, `run` included, in the order written."""
    for stmt in statements(body):
        yield from direct_calls(stmt, tables)


def direct_calls(
    stmt: syntax.Stmt, tables: Tables
) -> Iterator[tuple[syntax.Call, declaration.Fragment]]:
    """The same for the expressions that stand directly in one statement."""
    for expr in expressions_of(stmt):
        for node in walk(expr):
            if isinstance(node, syntax.Call):
                callee = tables.callees.get(node)
                if isinstance(callee, declaration.Fragment):
                    yield node, callee


def callees(body: syntax.Block, tables: Tables) -> Iterator[Callee]:
    """Everything that a body calls, in the order written."""
    for stmt in statements(body):
        for expr in expressions_of(stmt):
            for node in walk(expr):
                if isinstance(node, syntax.Call) and node in tables.callees:
                    yield tables.callees[node]


def generates(stmt: syntax.Stmt, tables: Tables) -> bool:
    """True when a gen or select may run in the current context by this statement, its blocks left
    aside; that of a fragment run in a context of its own does not count."""
    return _generates(stmt, tables, set())


def _generates(stmt: syntax.Stmt, tables: Tables, seen: set[declaration.Fragment]) -> bool:
    if isinstance(stmt, syntax.Gen | syntax.Select):
        return True
    for call, callee in direct_calls(stmt, tables):
        if callee not in seen and not _is_run(stmt, call):
            seen.add(callee)
            if any(_generates(inner, tables, seen) for inner in statements(callee.body)):
                return True
    return False


def _is_run(stmt: syntax.Stmt, call: syntax.Call) -> bool:
    return any(
        isinstance(node, syntax.Run) and node.call is call
        for expr in expressions_of(stmt)
        for node in walk(expr)
    )


def reached(entry: Function, tables: Tables) -> list[declaration.Fragment]:
    """The fragments that `entry` calls, by whatever way, in the order met."""
    found: dict[declaration.Fragment, None] = {}

    def follow(function: Function) -> None:
        for _, callee in calls(function.body, tables):
            if callee not in found:
                found[callee] = None
                follow(callee)

    follow(entry)
    return list(found)


def check_recursion(functions: list[Function], tables: Tables, report: Report) -> None:
    """Report each circle of calls once."""
    done: set[Function] = set()

    def visit(function: Function, path: list[Function]) -> None:
        path.append(function)
        for call, callee in calls(function.body, tables):
            if callee in path:
                cycle = [*path[path.index(callee) :], callee]
                names = " -> ".join(f"`{f.name.text}`" for f in cycle)
                report.error(
                    "E0210",
                    f"the fragment `{callee.name.text}` calls itself: {names}",
                    call,
                    "this closes the circle",
                    help="recursion has no bound; use a loop: `while ... max N:`",
                )
            elif callee not in done:
                visit(callee, path)
        path.pop()
        done.add(function)

    for function in functions:
        if function not in done:
            visit(function, [])
