"""Program files as text, and places in that text.

Law: the text handed on is Unicode without lone surrogates, lines end in "\\n", and a span made from
two offsets into it counts lines and columns as the original file does.
Knows nothing about the grammar.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from sglc.compiler.diagnostics import Diagnostic, Label, Severity, error
from sglc.ir.span import Source, Span

BOM = "\ufeff"


def decode(name: str, data: bytes, file: int) -> tuple[Source, Diagnostic | None]:
    """The file `name` as text, shown as number `file`, and what is wrong when it is not UTF-8; the
    text then has U+FFFD in the place of bad bytes. A byte order mark is dropped."""
    try:
        return Source(name, data.decode("utf-8-sig")), None
    except UnicodeDecodeError:
        text = data.decode("utf-8", errors="replace").removeprefix(BOM)
        return Source(name, text), _not_utf8(data, file)


def _not_utf8(data: bytes, file: int) -> Diagnostic:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as e:
        line, col = _place(data[: e.start].decode("utf-8").removeprefix(BOM))
        message = f"the file is not UTF-8: byte 0x{data[e.start]:02x} at offset {e.start}"
        span = Span(file, line, col, line, col + 1)
        return error("E0110", message, span, help="save the file as UTF-8")
    raise AssertionError("only bytes that are not UTF-8 come here")


def _place(before: str) -> tuple[int, int]:
    lines = re.split(r"\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1


class SourceText:
    """A file's text as the parser reads it, and the spans of ranges of it."""

    def __init__(self, source: Source, file: int) -> None:
        self.file = file
        text = re.sub(r"\r\n?", "\n", source.text)
        self.text = text.replace(BOM, " ", 1) if text.startswith(BOM) else text
        self._starts = [0, *(m.end() for m in re.finditer("\n", self.text))]

    def span(self, start: int, end: int) -> Span:
        """Of the characters from offset `start` up to `end`."""
        line = bisect_right(self._starts, start)
        end_line = bisect_right(self._starts, end, lo=line - 1)
        first, last = self._starts[line - 1], self._starts[end_line - 1]
        return Span(self.file, line, start - first + 1, end_line, end - last + 1)

    def line_of(self, offset: int) -> int:
        return bisect_right(self._starts, offset)

    def line_start(self, line: int) -> int:
        """The offset of line `line`, counted from 1."""
        return self._starts[line - 1]

    def line_end(self, offset: int) -> int:
        """The newline at or after `offset`, or the end of the text."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end

    def error(
        self,
        code: str,
        message: str,
        start: int,
        end: int,
        label: str = "",
        *,
        secondary: tuple[Label, ...] = (),
        help: str | None = None,
    ) -> Diagnostic:
        """An error at the characters from `start` up to `end`."""
        primary = Label(self.span(start, end), label)
        return Diagnostic(code, Severity.error, message, primary, secondary, help)
