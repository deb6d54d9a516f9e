"""Host expressions: the pure value language that folding, binding and running share.

An expression is a tree over the operands of the op that holds it: `Operand(2)` is that op's third
operand, so equal computations are equal trees whatever their operands are called. Names bound
inside an expression (by a comprehension) are `Local`s.
Law: evaluation is pure; it yields a JSON-like value or raises `HostError` (`evaluate.py`).
Knows nothing about contexts, tokens or SSA.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.ir.span import Span
from sglc.ir.types import Type

# A value while compiling, binding and running. Tuples (zip, enumerate, groups) are lists.
Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Operand:
    index: int


@dataclass(frozen=True, slots=True)
class Local:
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """A scalar literal. 1, 1.0 and true are three."""

    value: bool | int | float | str | None

    def __eq__(self, other: object) -> bool:
        # repr, since 0.0 == -0.0 too
        return (
            isinstance(other, Const)
            and type(self.value) is type(other.value)
            and repr(self.value) == repr(other.value)
        )

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class JsonConst:
    """A folded list or dict, as compact JSON text (hashable; parsed once when compiled)."""

    text: str


@dataclass(frozen=True, slots=True)
class Unary:
    op: str  # "-" "+" "not"
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    op: str  # "+" "-" "*" "/" "//" "%" "**"
    left: Expr
    right: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    op: str  # "==" "!=" "<" "<=" ">" ">=" "in" "not in"
    left: Expr
    right: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """Python's `and` / `or`: short-circuit, and the deciding operand is the value."""

    op: str  # "and" "or"
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Cond:
    test: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class Index:
    value: Expr
    index: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Slice:
    value: Expr
    lower: Expr | None
    upper: Expr | None
    step: Expr | None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record, a branch or a json object."""

    value: Expr
    name: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class DictOf:
    items: tuple[tuple[Expr, Expr], ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Clause:
    """`for targets in items if tests`; several targets unpack."""

    targets: tuple[str, ...]
    items: Expr
    tests: tuple[Expr, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`[element for ...]`, or a dict when `key` is given."""

    element: Expr
    clauses: tuple[Clause, ...]
    key: Expr | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A built-in pure function (`functions.py` lists them)."""

    function: str
    args: tuple[Expr, ...]
    kwargs: tuple[tuple[str, Expr], ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Format:
    """A template's value: the texts of the parts, concatenated. A part may carry a format spec."""

    parts: tuple[tuple[Expr, str | None], ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Try:
    """`try(value, default)`: the default, evaluated only then, when `value` fails."""

    value: Expr
    default: Expr


@dataclass(frozen=True, slots=True)
class Conform:
    """`value` as one of `type`: checked, and an int made a float where the type asks for one."""

    value: Expr
    type: Type
    span: Span | None = field(default=None, compare=False)


Expr = (
    Operand
    | Local
    | Const
    | JsonConst
    | Unary
    | Binary
    | Compare
    | Logic
    | Cond
    | Index
    | Slice
    | Field
    | ListOf
    | DictOf
    | Comprehension
    | Call
    | Format
    | Try
    | Conform
)
