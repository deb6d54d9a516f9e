"""What the command line says about a program: `--program` and `--define`.

Errors in it are shown like those of a file named "command line".
"""

from __future__ import annotations

from collections.abc import Mapping

from sglc.compiler import declaration
from sglc.compiler.check.consts import Consts
from sglc.compiler.check.modules import Module
from sglc.compiler.check.report import Report
from sglc.compiler.diagnostics import nearest, whole_file
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.ir.span import Source, Span
from sglc.ir.values import Mismatch, conform

NAME = "command line"


class CommandLine:
    """The options as a source text, so that diagnostics can point into it. It joins the sources
    only when one does."""

    def __init__(
        self, program: str | None, defines: Mapping[str, Value], sources: list[Source]
    ) -> None:
        self.program = program
        self.defines = defines
        self.sources = sources
        self.lines = [f"--define {name}={_short(value)}" for name, value in defines.items()]
        if program is not None:
            self.lines.append(f"--program {program}")
        self._file: int | None = None

    def place(self, line: int, col: int, length: int) -> Span:
        if self._file is None:
            self._file = len(self.sources)
            self.sources.append(Source(NAME, "\n".join(self.lines)))
        return Span(self._file, line, col, line, col + length)

    def find_consts(self, module: Module, report: Report) -> dict[declaration.Const, Value]:
        """The consts that are defined anew; names of none are reported."""
        found: dict[declaration.Const, Value] = {}
        for line, (name, value) in enumerate(self.defines.items(), 1):
            declared = module.find(name)
            if declared is not None and isinstance(declared.decl, declaration.Const):
                found[declared.decl] = value
            elif not module.is_partial:
                consts = [
                    n for n, d in module.names.items() if isinstance(d.decl, declaration.Const)
                ]
                near = nearest(name, consts)
                listed = ", ".join(f"`{n}`" for n in consts)
                known = f"the consts are {listed}" if consts else "the file declares no const"
                report.error(
                    "E0508",
                    f"there is no const `{name}` to define",
                    self.place(line, 10, len(name)),
                    "unknown",
                    help=f"did you mean `{near}`?" if near else known,
                )
        return found

    def check_types(self, module: Module, consts: Consts, report: Report) -> None:
        """A value given by `--define` must be of the type that the const has without it."""
        for line, (name, value) in enumerate(self.defines.items(), 1):
            declared = module.find(name)
            if declared is None or not isinstance(declared.decl, declaration.Const):
                continue
            wanted = consts.static_type(declared.decl)
            try:
                conform(value, wanted)
            except Mismatch as mismatch:
                report.error(
                    "E0509",
                    f"the const `{name}` is `{wanted}`",
                    self.place(line, 11 + len(name), max(1, len(_short(value)))),
                    str(mismatch),
                    secondary=((declared.decl.name, "declared here"),),
                )

    def choose(self, module: Module, report: Report) -> declaration.Program | None:
        """The program to compile; None, with the error, when that is not clear."""
        programs = {d.name.text: d for d in module.named() if isinstance(d, declaration.Program)}
        listed = ", ".join(f"`{name}`" for name in programs)
        if self.program in programs:
            return programs[self.program]
        if self.program is not None:
            line = len(self.lines)
            near = nearest(self.program, programs)
            help = f"did you mean `{near}`?" if near else None
            if help is None and programs:
                help = f"the file declares {listed}"
            message = f"there is no program `{self.program}`"
            at = self.place(line, 11, len(self.program))
            report.error("E0512", message, at, "not in this file", help=help)
            return None
        if len(programs) == 1:
            return next(iter(programs.values()))
        file = module.file.span.file
        if programs:
            second = list(programs.values())[1]
            report.error(
                "E0511",
                f"the file declares several programs: {listed}",
                second.name,
                "which one?",
                help="pick one: `--program NAME`",
            )
        else:
            message = "the file declares no program"
            help = "write `program name(field: str):` and what it does"
            report.error("E0510", message, whole_file(file), help=help)
        return None


def _short(value: Value) -> str:
    text = value if isinstance(value, str) else json_text(value)
    text = text.replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
