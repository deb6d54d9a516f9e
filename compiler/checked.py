"""What the checker knows of a program, as tables over its syntax: the input of lowering.

Law: a `CheckedProgram` exists only for a program without errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sglc.compiler import declaration, syntax
from sglc.compiler.diagnostics import Diagnostic
from sglc.ir.host.expr import Value
from sglc.ir.span import Source
from sglc.ir.types import Type


@dataclass(frozen=True, slots=True)
class Builtin:
    """A function of `ir/host/functions.py`, or a special form: try, special, read, read_json."""

    name: str


Callee = declaration.Fragment | declaration.Extern | Builtin


@dataclass(frozen=True, slots=True)
class Meta:
    """`x.tokens`: a meta (finish_reason, tokens, logprobs, scores, index) of the gen or select that
    bound `variable`.

    The variable "x.tokens" lives and dies with "x" in scopes, loops and branches. `v.x.tokens` of a
    branch or group is no Meta but the field "x.tokens" of its type (`host.meta_field`).
    """

    variable: str
    meta: str


@dataclass(frozen=True, slots=True)
class CheckedProgram:
    """One program, with every declaration that it reaches.

    Names are function scoped; each variable of a function has one type. `consts` holds the value of
    each Name or Attribute expression that refers to a `const` (after --define).
    """

    doc: str | None
    program: declaration.Program
    fragments: Mapping[declaration.Fragment, str]  # reached ones -> a name unique in the program
    externs: Mapping[declaration.Extern, str]  # reached ones -> the name the user gives them by
    types: Mapping[syntax.Node, Type]  # of every expression, and of every TypeExpr
    variables: Mapping[declaration.Program | declaration.Fragment, Mapping[str, Type]]
    callees: Mapping[syntax.Call, Callee]
    consts: Mapping[syntax.Node, Value]
    metas: Mapping[syntax.Attribute, Meta]
    results: Mapping[declaration.Program | declaration.Fragment | declaration.Extern, Type | None]
    sources: tuple[Source, ...]
    warnings: tuple[Diagnostic, ...]
