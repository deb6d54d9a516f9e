"""Source lines as a terminal shows them: columns of characters become columns of cells.

Law: what is shown takes just the cells that `columns` counts, and moves no cursor.
Knows nothing about diagnostics.
"""

from __future__ import annotations

import re
import unicodedata

from sglc.ir.span import Span

MAX_COLUMNS = 120  # characters of a line; a longer one is cut
TAB_WIDTH = 4
_REORDERS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


class ShownLine:
    """One line, cut to a window around column `col` (from 1): a string a character in `cells`."""

    def __init__(self, line: str, col: int) -> None:
        last = max(0, len(line) - MAX_COLUMNS)
        self.start = min(last, max(0, col - 1 - MAX_COLUMNS // 3)) if last else 0
        self.stop = min(len(line), self.start + MAX_COLUMNS)
        self.lead = "…" if self.start else ""
        self.cells = [visible(c) for c in line[self.start : self.stop]]
        self.text = self.lead + "".join(self.cells) + ("…" if self.stop < len(line) else "")

    def columns(self, span: Span) -> tuple[int, int]:
        """Terminal columns (offset, length >= 1) of the part of `span` on its first line."""
        first = span.col - 1 - self.start
        stop = span.end_col - 1 - self.start if span.end_line == span.line else len(self.cells)
        stop = min(stop, len(self.cells))
        offset = len(self.lead) + sum(map(width, self.cells[:first]))
        return offset, max(1, sum(map(width, self.cells[first:stop])))


def visible(char: str) -> str:
    """A tab as spaces; what would move the cursor or reorder the line as U+FFFD."""
    if char == "\t":
        return " " * TAB_WIDTH
    if unicodedata.category(char) in ("Cc", "Cs") or unicodedata.bidirectional(char) in _REORDERS:
        return "\N{REPLACEMENT CHARACTER}"
    return char


def width(cell: str) -> int:
    """Terminal columns of a shown character."""
    if len(cell) > 1:
        return len(cell)
    if unicodedata.category(cell) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1
