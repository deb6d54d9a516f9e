"""Functions: signatures of programs, fragments and externs, and the check of each body.

Law: a body is checked once (again only to settle the types of its variables), whoever calls it;
a fragment without a declared result type has the type of what it returns, so callees come first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sglc.compiler import declaration, syntax
from sglc.compiler.check import relations
from sglc.compiler.check.appending import metas_read
from sglc.compiler.check.expressions import Expressions
from sglc.compiler.check.options import EXTERN_OPTIONS, check_options
from sglc.compiler.check.report import Report
from sglc.compiler.check.scope import Kind, Scope
from sglc.compiler.check.statements import Returned, Statements
from sglc.compiler.check.tables import Function, Tables
from sglc.compiler.diagnostics import Diagnostic
from sglc.ir.types import UNKNOWN, ImageType, Type

if TYPE_CHECKING:
    from sglc.compiler.check.consts import Consts
    from sglc.compiler.check.type_exprs import Types

_MAX_ROUNDS = 8  # of settling a function's types; two are the rule


@dataclass(frozen=True, slots=True)
class Checked:
    """A body that was checked: its final scope and what was found in it."""

    scope: Scope
    found: tuple[Diagnostic, ...]


@dataclass(slots=True)
class Functions:
    """All functions of all files. `bodies` are those checked so far."""

    tables: Tables
    consts: Consts
    types: Types
    bodies: dict[Function, Checked] = field(default_factory=dict)
    _params: dict[Function | declaration.Extern, dict[str, Type]] = field(default_factory=dict)
    _open: set[Function] = field(default_factory=set)

    def declare(self, decl: Function | declaration.Extern) -> None:
        """Resolve a signature: parameter types, defaults, result."""
        module, report = self.tables.homes[decl], self.tables.report
        params: dict[str, Type] = {}
        places: dict[str, syntax.Identifier] = {}
        for param in decl.params:
            name = param.name.text
            wanted = self.types.resolve(param.type, module)
            if name in params:
                report.error(
                    "E0201",
                    f"two parameters are named `{name}`",
                    param.name,
                    "declared again",
                    secondary=((places[name], "first here"),),
                )
                continue
            params[name], places[name] = wanted, param.name
            if param.default is not None:
                self.consts.value(param.default, module, wanted)
        self._params[decl] = params
        if decl.result is not None:
            result = self.types.resolve(decl.result, module)
            self.tables.results[decl] = result
            if isinstance(result, ImageType):
                report.error("E0301", "nothing yields a value of type `image`", decl.result)
        if isinstance(decl, declaration.Extern):
            self.tables.results.setdefault(decl, None)
            self._check_extern_options(decl)

    def parameters(self, decl: Function | declaration.Extern) -> dict[str, Type]:
        return self._params[decl]

    def result(
        self, decl: declaration.Fragment | declaration.Extern, call: syntax.Call
    ) -> Type | None:
        """The result type, None for no value; unknown within a circle of calls."""
        if decl not in self.tables.results and isinstance(decl, declaration.Fragment):
            if decl in self._open:
                return UNKNOWN
            self.check(decl)
        return self.tables.results[decl]

    def returns_nothing(self, decl: declaration.Fragment) -> bool:
        return decl in self.tables.results and self.tables.results[decl] is None

    def check(self, function: Function) -> None:
        """Check a body, unless that was done. What is found is kept in `bodies`."""
        if function in self.bodies or function in self._open:
            return
        self._open.add(function)
        outer = self.tables.report
        hints: dict[str, Type] = {}
        for _ in range(_MAX_ROUNDS):
            self.tables.report = report = Report()
            scope, returned = self._check_body(function, hints)
            hints = {name: v.type for name, v in scope.variables.items()}
            if all(v.type == v.first for v in scope.variables.values()):
                break
        self._settle_result(function, scope, returned)
        self.tables.report = outer
        self.tables.variables[function] = {**hints, **scope.meta_types}
        self.bodies[function] = Checked(scope, tuple(report.found))
        self._open.discard(function)

    def _check_body(self, function: Function, hints: dict[str, Type]) -> tuple[Scope, Returned]:
        home, body = self.tables.homes[function], function.body
        scope = Scope(self.tables, home, hints=hints, body=body, metas_read=metas_read(body))
        for param in function.params:
            if param.name.text not in scope.variables:
                type = self._params[function][param.name.text]
                scope.bind(param.name, type, Kind.PARAMETER)
        expressions = Expressions(scope, self.consts, self.types, self)
        declared = self.tables.results.get(function) if function.result is not None else None
        what = f"the {_word(function)} `{function.name.text}`"
        statements = Statements(expressions, declared, what)
        statements.block(function.body)
        return scope, statements.returned

    def _settle_result(self, function: Function, scope: Scope, returned: Returned) -> None:
        """The result type where none is declared, and whether each path returns one."""
        report = self.tables.report
        if function.result is None:
            types = [type for type, _ in returned.values]
            self.tables.results[function] = relations.join_all(types) if types else None
        wanted = self.tables.results[function]
        if wanted is None:
            return
        what = f"the {_word(function)} `{function.name.text}`"
        why: tuple[syntax.Node, str] | None = None
        if function.result is not None:
            why = function.result, f"`{wanted}` is declared here"
        elif returned.values:
            why = returned.values[0][1], "a value is returned here"
        secondary = () if why is None else (why,)
        for stmt in returned.empty:
            message = f"{what} returns a value, but not here"
            report.error("E0311", message, stmt, "without a value", secondary=secondary)
        if scope.state is not None:
            report.error(
                "E0310",
                f"{what} may end without returning a value",
                function.name,
                "a path reaches its end",
                secondary=secondary,
                help="end each path with `return ...`",
            )

    def _check_extern_options(self, decl: declaration.Extern) -> None:
        scope = Scope(self.tables, self.tables.homes[decl])
        expressions = Expressions(scope, self.consts, self.types, self)
        good = check_options(expressions, decl.options, EXTERN_OPTIONS, "extern")
        for keyword in good.values():
            if self.consts.known(keyword.value) is None:
                message = f"the option `{keyword.name.text}` of an extern is constant"
                self.tables.report.error("E0610", message, keyword.value, "not constant")


def _word(function: Function) -> str:
    return "program" if isinstance(function, declaration.Program) else "fragment"
