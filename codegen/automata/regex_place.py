"""Where in a pattern a construct stands that a constraint cannot have. `re`'s tree has no
positions, so the pattern is read once more, as far as this takes: escapes, classes, groups."""

from __future__ import annotations

import re

_CONSTRUCT = re.compile(
    r"""
      (?P<boundary>\\[bB])
    | (?P<reference>\\[1-9]\d?|\(\?P=)
    | (?P<start>\\A|\^)
    | (?P<end>\\[Zz]|\$)
    | \\.
    | \[\^?\]?(?:\\.|[^\]\\])*\]
    | (?P<around>\(\?<?[=!])
    | (?P<condition>\(\?\()
    | (?P<atomic>\(\?>)
    | (?P<possessive>(?:[*+?]|\{\d*,?\d*\})\+)
    """,
    re.VERBOSE | re.DOTALL,
)
_NAMES = {
    "a word boundary": "boundary",
    "a reference to a group": "reference",
    "an anchor of the start that is not at the start": "start",
    "an anchor of the end that is not at the end": "end",
    "looking around": "around",
    "a condition on a group": "condition",
    "an atomic group": "atomic",
    "a possessive repeat": "possessive",
}


def place_of(what: str, pattern: str) -> int | None:
    """The offset of the construct; None where it is not found, or not known which one is meant."""
    name = _NAMES.get(what)
    found = [match.start() for match in _CONSTRUCT.finditer(pattern) if match.lastgroup == name]
    if name == "start":
        found = [place for place in found if place > 0]
    if name == "end":
        found = [place for place in found if place < len(pattern) - 1]
    is_anchor = name in ("start", "end")
    return found[0] if found and (len(found) == 1 or not is_anchor) else None
