"""Where a piece of program text stands: the one position type that every stage carries.

Law: positions never take part in equality; two ops that differ only in their span are equal.
Knows nothing about rendering (that is `compiler/diagnostics.py`) or about rows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A range of source text. Lines and columns count from 1, columns in characters; the end is
    exclusive. `file` indexes the `Sources` of one compilation."""

    file: int
    line: int
    col: int
    end_line: int
    end_col: int

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.file, self.line, self.col, other.end_line, other.end_col)


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a program: the name it is shown under and its text."""

    name: str
    text: str
