"""A module: a program with the fragments and externs that it calls, and the sources of all of them.

Law: what is called is in the module; nothing in it points outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.ir.host.expr import Expr
from sglc.ir.note import PassNote
from sglc.ir.ops import Region, Value
from sglc.ir.span import Source
from sglc.ir.types import Type


@dataclass(frozen=True, slots=True)
class ExternDecl:
    name: str
    params: tuple[tuple[str, Type], ...]
    result: Type
    is_pure: bool = False
    timeout: float | None = None  # seconds
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Param:
    """A program's parameter; `default` is a constant expression without operands."""

    value: Value
    default: Expr | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A fragment (body args: context, *params; leaves with context[, value]) or the program
    (body args: *params; leaves with context, value)."""

    name: str
    body: Region
    is_program: bool = False
    params: tuple[Param, ...] = ()  # of the program only
    result: Type | None = None
    returns_names: bool = False  # a program without `return`: its value is a dict of its names


@dataclass(frozen=True, slots=True)
class Module:
    """One program with all it calls. `program` is the entry; `functions` the fragments. `notes` say
    what was done to it so far."""

    program: Function
    functions: tuple[Function, ...]
    externs: tuple[ExternDecl, ...]
    sources: tuple[Source, ...]
    notes: tuple[PassNote, ...] = field(default=(), compare=False)
