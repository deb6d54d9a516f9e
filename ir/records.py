"""A record as JSON, taken apart: the text that all its values share, and the holes between.

    type Verdict:
        decision: "accept" | "reject"        {"decision":"  hole  ","score":  hole  }
        score: int(1..10)

Law: a value's compact JSON is the texts with each hole filled by `piece_text` of its part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.ir.types import LiteralType, RecordType, Type, is_text


@dataclass(frozen=True, slots=True)
class Hole:
    """A part that differs from value to value: the fields that lead to it, and its type. A text
    (`is_text`) is filled in without quotes: they belong to the texts around."""

    path: tuple[str, ...]
    type: Type


def cut(record: RecordType) -> tuple[str | Hole, ...]:
    """Texts and holes in turn, a text first and last. Records inside are taken apart too, but for
    those in lists and optionals; a field of one value alone is text."""
    joined: list[str | Hole] = []
    for part in _parts(record, ()):
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)


def piece_text(value: Value, type: Type) -> str:
    """What fills a hole of this type."""
    return json_text(value)[1:-1] if is_text(type) else json_text(value)


def _parts(type: Type, path: tuple[str, ...]) -> Iterator[str | Hole]:
    match type:
        case RecordType(fields=fields):
            for place, (name, field) in enumerate(fields):
                yield ("," if place else "{") + json_text(name) + ":"
                yield from _parts(field, (*path, name))
            yield "}" if fields else "{}"
        case LiteralType(values=(only,)):
            yield json_text(only)
        case _ if is_text(type):
            yield '"'
            yield Hole(path, type)
            yield '"'
        case _:
            yield Hole(path, type)
