"""Strings, numbers and constants under the keywords of a JSON schema."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from sglc.codegen.automata.build import alt
from sglc.codegen.automata.expr import Both, Expr
from sglc.codegen.automata.formats import format_text
from sglc.codegen.automata.json_text import escaped, quoted
from sglc.codegen.automata.lengths import of_length, sized
from sglc.codegen.automata.numbers import float_between, int_between
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.schema_node import Flat, type_of
from sglc.codegen.automata.source import ConstraintError, NotSupported
from sglc.ir.host.expr import Value

_FLAGS = re.compile(r"\(\?[aimsux]+\)")
# what the place of an alternative of a regex depends on: escapes, classes, groups
_REGEX_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()|]|.", re.DOTALL)


def string(flat: Flat) -> Expr:
    """Quoted strings: the length, every pattern and the format hold."""
    parts: list[Expr] = [search(text, pointer) for text, pointer in flat.patterns]
    parts += [format_text(name, pointer) for name, pointer in flat.formats]
    if not parts:
        return quoted(escaped(sized(flat.min_length, flat.max_length)))
    text = parts[0] if len(parts) == 1 else Both(tuple(parts))
    return quoted(escaped(of_length(text, flat.min_length, flat.max_length)))


def number(flat: Flat, *, is_whole: bool) -> Expr:
    """A number within the schema's bounds, the exclusive ones among them."""
    if not is_whole:
        return float_between(flat.low, flat.high, above=flat.above, below=flat.below)
    lows = [math.ceil(flat.low)] if flat.low is not None else []
    lows += [math.floor(flat.above) + 1] if flat.above is not None else []
    highs = [math.floor(flat.high)] if flat.high is not None else []
    highs += [math.ceil(flat.below) - 1] if flat.below is not None else []
    return int_between(max(lows, default=None), min(highs, default=None))


def admits(flat: Flat, value: Value) -> bool:
    """Whether a constant of `flat.values` is what the other keywords ask for."""
    name = type_of(value)
    if name not in flat.types:
        return False
    match value:
        case bool() | None:
            return True
        case int() | float():
            return (
                (flat.low is None or value >= flat.low)
                and (flat.high is None or value <= flat.high)
                and (flat.above is None or value > flat.above)
                and (flat.below is None or value < flat.below)
            )
        case str() if not flat.formats:
            longest = len(value) if flat.max_length is None else flat.max_length
            return flat.min_length <= len(value) <= longest and all(
                re.search(pattern, value) for pattern, _ in flat.patterns
            )
    if name in flat.hints:
        message = f"a constant {name} beside other keywords for one is not supported"
        raise NotSupported(message, pointer=flat.pointer)
    return True


def search(pattern: str, pointer: str) -> Expr:
    """The texts in which the regex matches anywhere; an alternative may be held by `^` and `$`."""
    flags = found[0] if (found := _FLAGS.match(pattern)) else ""
    options = []
    for text in _alternatives(pattern.removeprefix(flags)):
        start = "" if text.startswith("^") else "(?s:.*)"
        end = "" if re.search(r"(?<!\\)(?:\\\\)*\$\Z", text) else "(?s:.*)"
        held = text.removeprefix("^") if not start else text
        held = held[:-1] if not end else held
        try:
            options.append(parse_regex(f"{flags}{start}(?:{held}){end}"))
        except ConstraintError as error:
            raise type(error)(error.message, pointer=pointer) from error
    return alt(*options)


def _alternatives(pattern: str) -> Iterator[str]:
    """The parts of a regex between the `|` outside of all groups."""
    depth, start = 0, 0
    for part in _REGEX_PART.finditer(pattern):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if part[0] == "|" and depth == 0:
            yield pattern[start : part.start()]
            start = part.end()
    yield pattern[start:]
