"""Where in the source a fault of a constraint stands: a character of a regex or grammar, a place in
a JSON schema that is a literal or a text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from sglc.codegen.automata.source import ConstraintError
from sglc.compiler import syntax
from sglc.compiler.check.patterns import place_in_string
from sglc.compiler.check.report import Place
from sglc.ir.span import Source

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def place_of(
    error: ConstraintError,
    at: syntax.Expr | syntax.TypeExpr,
    text: str,
    sources: Sequence[Source],
) -> tuple[Place, str]:
    """The place, as small as it is known, and a label for it. `at` is the whole constraint, `text`
    what it says, as the author wrote it where that is a string."""
    if error.pointer is not None:
        steps = [s.replace("~1", "/").replace("~0", "~") for s in error.pointer.split("/")[1:]]
        if isinstance(at, syntax.String):
            place = place_in_string(at, text, _offset(text, steps), sources)
        else:
            place = _inside(at, steps)
        return place, f"`{error.pointer}`" if place is at and error.pointer else ""
    if error.offset is None:
        return at, ""
    written, text = _pattern(at) if isinstance(at, syntax.NamedType) else (at, text)
    return place_in_string(written, text, error.offset, sources), f"at character {error.offset + 1}"


def _inside(expr: syntax.Node, steps: Sequence[str]) -> syntax.Node:
    """The part of a literal that a JSON pointer leads to; all of it where it is not written so."""
    found = expr
    for step in steps:
        inner: syntax.Expr | None = None
        if isinstance(found, syntax.DictLiteral):
            named = [
                value
                for key, value in found.items
                if isinstance(key, syntax.String) and key.parts == (step,)
            ]
            inner = named[-1] if named else None
        elif isinstance(found, syntax.ListLiteral) and step.isdecimal():
            inner = found.items[int(step)] if int(step) < len(found.items) else None
        if inner is None:
            return found
        found = inner
    return found


def _offset(text: str, steps: Sequence[str]) -> int:
    """Where in a JSON text the value begins that a pointer leads to."""
    at = _skip(text, 0)
    for step in steps:
        is_object, index = text[at] == "{", 0
        at = _skip(text, at + 1)
        while text[at] not in "}]":
            key = str(index)
            if is_object:
                key, at = _DECODER.raw_decode(text, at)
                at = _skip(text, _skip(text, at) + 1)  # the colon
            if key == step:
                break
            _, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
            index += 1
    return at


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _pattern(type: syntax.NamedType) -> tuple[syntax.Node, str]:
    """The pattern that a type of str is written with, and its text; the type where it has none."""
    for arg in type.args:
        if isinstance(arg, syntax.Keyword) and arg.name.text == "pattern":
            parts = arg.value.parts if isinstance(arg.value, syntax.String) else ()
            return arg.value, "".join(part for part in parts if isinstance(part, str))
    return type, ""
