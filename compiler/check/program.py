"""The checker: from the text of a program to `CheckedProgram`, or every error that was found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sglc.compiler import declaration
from sglc.compiler.check.command_line import CommandLine
from sglc.compiler.check.consts import Consts
from sglc.compiler.check.declarations import declare
from sglc.compiler.check.effects import callees, check_recursion, reached
from sglc.compiler.check.extern_names import check_extern_names
from sglc.compiler.check.functions import Functions
from sglc.compiler.check.modules import Loader, Module
from sglc.compiler.check.report import Report
from sglc.compiler.check.roles import Roles
from sglc.compiler.check.tables import Function, Tables
from sglc.compiler.check.type_exprs import Types
from sglc.compiler.check.warn_gens import warn_of_trailing_spaces, warn_of_unused_gens
from sglc.compiler.check.warn_order import warn_of_late_constants
from sglc.compiler.check.warn_unused import warn_of_unused_declarations, warn_of_unused_lets
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.diagnostics import CompileErrors, sort
from sglc.ir.host.expr import Value
from sglc.runtime.model.spec import ModelSpec


def check(
    path: Path | None,
    text: str | None = None,
    *,
    program: str | None = None,
    defines: Mapping[str, Value] | None = None,
    spec: ModelSpec | None = None,
) -> CheckedProgram:
    """Check the program in the file `path`, or in `text` (then `path` only says where it lies).

    Imports and files that consts read are found relative to the file that names them. `defines`
    are values of `--define`. Without a `spec` nothing about the model is checked. Raises
    CompileErrors with every error found, and the warnings.
    """
    return _Check(program, defines or {}, spec).run(path, text)


class _Check:
    """The steps in order; each leaves off what an earlier one could not make sense of."""

    def __init__(
        self, program: str | None, defines: Mapping[str, Value], spec: ModelSpec | None
    ) -> None:
        self.report = Report()
        self.loader = Loader(self.report)
        self.command_line = CommandLine(program, defines, self.loader.sources)
        self.tables = Tables(self.report, spec)

    def run(self, path: Path | None, text: str | None) -> CheckedProgram:
        main = self.loader.load_main(path, text)
        if main is None or self.loader.is_broken:
            raise self._errors()  # half a file would only give rise to false errors
        for module in self.loader.modules:
            declare(module, self.tables)
        consts = Consts(self.tables, self.command_line.find_consts(main, self.report))
        types = Types(self.tables, self.loader.sources, consts.value)
        functions = Functions(self.tables, consts, types)
        consts.types, consts.functions = types, functions
        self._declarations(consts, types, functions)
        self.command_line.check_types(main, consts, self.report)
        chosen = self.command_line.choose(main, self.report)
        everything = list(self._functions())
        for function in everything:
            functions.check(function)
        check_recursion(everything, self.tables, self.report)
        fragments = [] if chosen is None else reached(chosen, self.tables)
        self._collect(functions, chosen, fragments)
        Roles(self.tables, self.report).check(everything, chosen)
        externs = [] if chosen is None else self._externs((chosen, *fragments))
        check_extern_names(externs, self.tables, consts)
        self._warnings(main, functions, consts)
        if self.report.errors or chosen is None:
            raise self._errors()
        return self._checked(main, chosen, fragments, externs)

    def _declarations(self, consts: Consts, types: Types, functions: Functions) -> None:
        """Everything outside of bodies: consts, types, signatures."""
        for module in self.loader.modules:
            for decl in module.named():
                match decl:
                    case declaration.Const():
                        consts.evaluate(decl, decl.name)
                    case declaration.RecordDecl() | declaration.AliasDecl():
                        types.declared(decl, decl.name)
        for module in self.loader.modules:
            for decl in module.named():
                if isinstance(
                    decl, declaration.Extern | declaration.Fragment | declaration.Program
                ):
                    functions.declare(decl)

    def _functions(self) -> list[Function]:
        return [
            decl
            for module in self.loader.modules
            for decl in module.named()
            if isinstance(decl, declaration.Fragment | declaration.Program)
        ]

    def _collect(
        self,
        functions: Functions,
        chosen: declaration.Program | None,
        fragments: list[declaration.Fragment],
    ) -> None:
        """What was found in bodies. That something is not supported yet, or not by this model,
        matters only where the chosen program and its fragments go."""
        live = set(functions.bodies) if chosen is None else {chosen, *fragments}
        for function, body in functions.bodies.items():
            for diagnostic in body.found:
                if function in live or diagnostic.code[:3] not in ("E07", "E08"):
                    self.report.extend([diagnostic])

    def _warnings(self, main: Module, functions: Functions, consts: Consts) -> None:
        if self.report.errors:
            return  # what looks unused may be used where the error is
        warn_of_unused_declarations(main, self.tables, self.report)
        for function, body in functions.bodies.items():
            warn_of_unused_gens(function, body.scope, self.tables, self.report)
            warn_of_trailing_spaces(function.body, self.report)
            warn_of_unused_lets(function, body.scope, self.tables, self.report)
            if isinstance(function, declaration.Program):
                warn_of_late_constants(function, self.tables, consts, self.report)

    def _externs(self, own: tuple[Function, ...]) -> list[declaration.Extern]:
        """Those that the functions of the chosen program call, in the order met."""
        found = (callee for each in own for callee in callees(each.body, self.tables))
        return list(dict.fromkeys(each for each in found if isinstance(each, declaration.Extern)))

    def _checked(
        self,
        main: Module,
        chosen: declaration.Program,
        fragments: list[declaration.Fragment],
        externs: list[declaration.Extern],
    ) -> CheckedProgram:
        own: tuple[Function, ...] = (chosen, *fragments)
        return CheckedProgram(
            doc=main.file.doc,
            program=chosen,
            fragments=dict(zip(fragments, _unique_names(fragments), strict=True)),
            externs={extern: extern.name.text for extern in externs},
            types=self.tables.types,
            variables={function: self.tables.variables[function] for function in own},
            callees=self.tables.callees,
            consts=self.tables.consts,
            metas=self.tables.metas,
            results={node: self.tables.results.get(node) for node in (*own, *externs)},
            sources=tuple(self.loader.sources),
            warnings=tuple(sort(self.report.warnings)),
        )

    def _errors(self) -> CompileErrors:
        return CompileErrors(self.report.found, self.loader.sources)


def _unique_names(fragments: list[declaration.Fragment]) -> list[str]:
    """The fragments' names; of files that use the same one, with a number behind the later ones."""
    taken: dict[str, int] = {}
    names = []
    for fragment in fragments:
        name = fragment.name.text
        taken[name] = taken.get(name, 0) + 1
        names.append(name if taken[name] == 1 else f"{name}.{taken[name]}")
    return names
