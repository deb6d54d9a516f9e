"""Constants: evaluated while compiling, files that they read included.

Law: a const is evaluated once, or overridden by `--define`; one that cannot be is unknown, with one
error. What is constant is decided by `known`: an expression over literals and consts alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sglc.compiler import declaration, syntax
from sglc.compiler.check import relations
from sglc.compiler.check.expressions import Expressions
from sglc.compiler.check.fitting import require_fit
from sglc.compiler.check.modules import Module
from sglc.compiler.check.reading import ReadFailed, read_file
from sglc.compiler.check.scope import Scope
from sglc.compiler.check.tables import Known, Tables
from sglc.compiler.host import to_host
from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import HostError
from sglc.ir.host.evaluate import evaluate
from sglc.ir.host.expr import Value
from sglc.ir.types import UNKNOWN, Type

if TYPE_CHECKING:
    from sglc.compiler.check.functions import Functions
    from sglc.compiler.check.type_exprs import Types


class _NotConstantError(Exception):
    """An operand is no constant."""


@dataclass(slots=True)
class Consts:
    """The consts of all files. `defined` are the values given by `--define`. `is_open` is True
    while the expression of a const is checked, where `read` may stand."""

    tables: Tables
    defined: Mapping[declaration.Const, Value] = field(default_factory=dict)
    is_open: bool = False
    types: Types | None = None
    functions: Functions | None = None
    _values: dict[declaration.Const, Known | None] = field(default_factory=dict)
    _types: dict[declaration.Const, Type] = field(default_factory=dict)
    _open: list[declaration.Const] = field(default_factory=list)

    def read(self, decl: declaration.Const, at: syntax.Name | syntax.Attribute) -> Type:
        """The type of a const where `at` refers to it; its value goes into the tables."""
        known = self.evaluate(decl, at)
        if known is None:
            return UNKNOWN
        self.tables.consts[at] = known.value
        if decl not in self._types:
            self._types[decl] = relations.value_type(known.value)
        return self._types[decl]

    def evaluate(self, decl: declaration.Const, at: syntax.Node) -> Known | None:
        """The value of a const, asked for at `at`; None when it has none, which is reported."""
        if decl in self._values:
            return self._values[decl]
        if decl in self._open:
            cycle = [*self._open[self._open.index(decl) :], decl]
            names = " -> ".join(f"`{d.name.text}`" for d in cycle)
            message = f"the const `{decl.name.text}` depends on itself: {names}"
            self.tables.report.error("E0503", message, at, "this closes the circle")
            self._values[decl] = None
            return None
        self._open.append(decl)
        known = self._evaluate(decl)
        self._open.pop()
        return self._values.setdefault(decl, known)

    def static_type(self, decl: declaration.Const) -> Type:
        """The type that the const's expression has, whatever its value."""
        return self.tables.type_of(decl.value)

    def known(self, expr: syntax.Expr) -> Known | None:
        """The value of an expression that has been checked, when it is constant and has one."""
        try:
            return Known(self._compute(expr, None))
        except (_NotConstantError, HostError, ReadFailed):
            return None

    def value(self, expr: syntax.Expr, module: Module, wanted: Type | None = None) -> Known | None:
        """The value of a constant expression of a declaration (a default, the end of a range), as a
        `wanted`; None when it has none, which is reported."""
        errors = len(self.tables.report.errors)
        expressions = self._expressions(module)
        expressions.infer(expr)
        if len(self.tables.report.errors) > errors:
            return None
        if wanted is not None and not require_fit(expressions, expr, wanted, "this default"):
            return None
        return self._reported(expr, None, "this constant")

    def _evaluate(self, decl: declaration.Const) -> Known | None:
        module = self.tables.homes[decl]
        was_open, self.is_open = self.is_open, True
        errors = len(self.tables.report.errors)
        self._expressions(module).infer(decl.value)
        self.is_open = was_open
        if len(self.tables.report.errors) > errors:
            return None
        if decl in self.defined:
            return Known(self.defined[decl])
        return self._reported(decl.value, module, f"the const `{decl.name.text}`")

    def _expressions(self, module: Module) -> Expressions:
        assert self.types is not None and self.functions is not None
        return Expressions(
            Scope(self.tables, module, is_const=True), self, self.types, self.functions
        )

    def _reported(self, expr: syntax.Expr, module: Module | None, what: str) -> Known | None:
        report = self.tables.report
        try:
            return Known(self._compute(expr, module))
        except ReadFailed as error:
            report.error("E0506", error.message, error.at, error.label)
        except HostError as error:
            at = error.span or expr
            report.error("E0504", f"{what} has no value: {error.message}", at, "fails here")
        except _NotConstantError:
            help = "use literals, consts and pure functions"
            report.error(
                "E0505", f"{what} is not constant", expr, "known only when it runs", help=help
            )
        return None

    def _compute(self, expr: syntax.Expr, module: Module | None) -> Value:
        """Evaluate; `module` is the file whose const this is, where reading is allowed."""
        operands: list[Value] = []

        def operand(node: syntax.Node) -> int:
            if module is None or not isinstance(node, syntax.Call) or len(node.args) != 1:
                raise _NotConstantError
            path = self._compute(node.args[0], module)
            function = node.function
            if not isinstance(function, syntax.Name) or not isinstance(path, str):
                raise _NotConstantError
            operands.append(read_file(function.text, module.folder, path, node.args[0]))
            return len(operands) - 1

        spec = self.tables.spec
        host = to_host(expr, self.tables, operand)
        return evaluate(host, operands, HostEnv(spec.tokenizer if spec else None))
