"""Which of a gen's options constrain it, and which defaults of a caller reach it.

Law: a gen is constrained by its type or by one option of its own; what constrains it also ends it,
so stops that stand in `defaults` are not for it (its own are an error of the program).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from sglc.ir import ops
from sglc.ir.types import STR, Type

CONSTRAINTS = ("regex", "json_schema", "ebnf", "choices")
STOPS = ("stop", "stop_token_ids", "stop_regex")

T = TypeVar("T")


def is_constrained(type: Type, options: Collection[str]) -> bool:
    """Whether a gen of this type, with options of these names, may not write any text."""
    return type != STR or any(name in options for name in CONSTRAINTS)


def is_gen_constrained(gen: ops.Gen) -> bool:
    """`is_constrained` of a gen; a piece of a value always is."""
    return gen.piece is not None or is_constrained(gen.type, dict(gen.options))


def with_defaults(
    own: Mapping[str, T], defaults: Mapping[str, T], *, is_constrained: bool
) -> dict[str, T]:
    """A gen's own options, then those of `defaults` that it does not set and that are for it."""
    barred = STOPS if is_constrained else ()
    inherited = {n: value for n, value in defaults.items() if n not in own and n not in barred}
    return {**own, **inherited}
