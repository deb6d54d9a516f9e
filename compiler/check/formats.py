"""Format specs of templates (`{x:.2f}`), tried on a sample value of the type."""

from __future__ import annotations

from sglc.compiler.check import relations
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value
from sglc.ir.host.text import format_text
from sglc.ir.types import BOOL, FLOAT, INT, STR, JsonType, Type, UnknownType

_SAMPLES: tuple[tuple[Type, Value], ...] = ((STR, "a"), (INT, 1), (FLOAT, 1.5), (BOOL, True))


def format_problem(type: Type, spec: str | None) -> str | None:
    """Why no value of the type can be formatted so, or None."""
    found = relations.base(type)
    if spec is None or isinstance(found, JsonType | UnknownType):
        return None
    samples = [value for sample, value in _SAMPLES if sample == found]
    # what is neither text nor number is formatted as its JSON text
    try:
        format_text(samples[0] if samples else [], spec)
    except HostError as error:
        return error.message
    return None
