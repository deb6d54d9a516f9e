"""What the checker finds in a program given as text."""

from __future__ import annotations

import textwrap

import pytest

from sglc.compiler.check import check
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.diagnostics import CompileErrors


def checked(source: str, **options: object) -> CheckedProgram:
    return check(None, textwrap.dedent(source), **options)  # type: ignore[arg-type]


def codes(program: str) -> list[str]:
    """The codes of the errors in a program, in order of place."""
    with pytest.raises(CompileErrors) as caught:
        checked(program)
    return [d.code for d in caught.value.diagnostics if d.code.startswith("E")]


def types(program: str) -> dict[str, str]:
    """The types of the program's variables, parameters included."""
    result = checked(program)
    return {name: str(type) for name, type in result.variables[result.program].items()}


def body(statements: str, params: str = "text: str") -> str:
    lines = textwrap.indent(textwrap.dedent(statements).strip("\n"), "    ")
    return f"program main({params}):\n{lines}\n"
