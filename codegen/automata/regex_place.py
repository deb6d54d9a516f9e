"""What a regex that constrains cannot have, and where in a pattern it stands. `re`'s tree has no
positions, so the pattern is read once more, as far as this takes: escapes, classes, groups."""

from __future__ import annotations

import re
from enum import Enum


class Construct(Enum):
    """Its value is how a message names it."""

    LOOK_AROUND = "a look ahead or behind"
    REFERENCE = "a reference to a group"
    CONDITION = "a condition on a group"
    ATOMIC = "an atomic group"
    POSSESSIVE = "a possessive repeat"
    BOUNDARY = "a word boundary"
    START = "an anchor of the start in its middle"
    END = "an anchor of the end in its middle"


_PIECE = re.compile(
    r"""
      (?P<BOUNDARY>\\[bB])
    | (?P<REFERENCE>\\[1-9]|\(\?P=)
    | (?P<START>\\A|\^)
    | (?P<END>\\[Zz]|\$)
    | \\.
    | \[\^?\]?(?:\\.|[^\]\\])*\]
    | (?P<LOOK_AROUND>\(\?<?[=!])
    | (?P<CONDITION>\(\?\()
    | (?P<ATOMIC>\(\?>)
    | (?P<POSSESSIVE>(?:[*+?]|\{\d*,?\d*\})\+)
    """,
    re.VERBOSE | re.DOTALL,
)


def place_of(construct: Construct, pattern: str) -> int | None:
    """Its offset; None where it is not known which of several anchors is meant."""
    pieces = _PIECE.finditer(pattern)
    places = [piece.start() for piece in pieces if piece.lastgroup == construct.name]
    if construct is Construct.START:
        places = [place for place in places if place > 0]
    if construct is Construct.END:
        places = [place for place in places if place < len(pattern) - 1]
    is_anchor = construct in (Construct.START, Construct.END)
    return places[0] if len(places) == 1 or (places and not is_anchor) else None
