"""Host values before a run: known, unknown, or a text of which parts are.

Law: what is known is what the machine will compute; an expression that needs an unknown value is
unknown, but that a template keeps its known parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sglc.codegen.instruction import Eval
from sglc.ir.host.evaluate import HostEnv, compile_expr
from sglc.ir.host.expr import Expr, Format, Operand
from sglc.ir.host.text import to_text
from sglc.ir.host.walk import operand_order


class _Unknown(Enum):
    """The type of UNKNOWN."""

    UNKNOWN = "unknown"


UNKNOWN: Final = _Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Parts:
    """A text; None stands for each part of it that is not known."""

    texts: tuple[str | None, ...]


def is_known(value: Any) -> bool:
    """Whether it is a host value, known as a whole."""
    return value is not UNKNOWN and value.__class__ is not Parts


def parts_of(value: Any) -> tuple[str | None, ...]:
    """A value as text, in parts."""
    if value.__class__ is Parts:
        texts: tuple[str | None, ...] = value.texts
        return texts
    return (None,) if value is UNKNOWN else (to_text(value),)


class Compute:
    """One Eval: its value from those of its registers. Raises HostError as the machine would."""

    def __init__(self, instruction: Eval) -> None:
        self._compute = compile_expr(instruction.expr)
        self._parts = (
            [_Part(value, spec, instruction) for value, spec in instruction.expr.parts]
            if isinstance(instruction.expr, Format)
            else []
        )

    def __call__(self, values: list[Any], env: HostEnv) -> Any:
        if all(map(is_known, values)):
            return self._compute(values, env)
        if not self._parts:
            return UNKNOWN
        return Parts(tuple(text for part in self._parts for text in part.texts(values, env)))


class _Part:
    """One part of a template."""

    def __init__(self, value: Expr, spec: str | None, instruction: Eval) -> None:
        self._operands = operand_order(value)
        self._compute = compile_expr(Format(((value, spec),), instruction.span))
        self._is_plain = isinstance(value, Operand) and not spec

    def texts(self, values: list[Any], env: HostEnv) -> tuple[str | None, ...]:
        used = [values[index] for index in self._operands]
        if all(map(is_known, used)):
            return (to_text(self._compute(values, env)),)
        return parts_of(used[0]) if self._is_plain else (None,)
