"""From what a typed gen wrote to its value (rule 11 of the language, read backwards)."""

from __future__ import annotations

from sglc.codegen.automata.source import ConstraintSource
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value
from sglc.ir.host.text import parse_json
from sglc.ir.types import Type, is_text
from sglc.ir.values import Mismatch, conform
from sglc.runtime.row import RowFailure


def value_of(text: str, type: Type, source: ConstraintSource) -> Value:
    """The value of `type` that `text`, lead + value, spells under `source`. Raises `RowFailure`
    "type_error" where it spells none: an engine kept no constraint, or one is wider than its
    type."""
    text = text.removeprefix(source.lead)
    try:
        return conform(_read(text, type, source.in_record), type)
    except (Mismatch, HostError) as error:
        raise RowFailure("type_error", f"the generated value: {error}") from None


def _read(text: str, type: Type, in_record: bool) -> Value:
    if not is_text(type):
        return parse_json(text)
    return parse_json(f'"{text}"') if in_record else text
