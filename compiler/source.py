"""Program files as text, and places in that text.

Law: the text handed on is Unicode without lone surrogates, lines end in "\\n", and a span made from
two offsets into it counts lines and columns as the original file does.
Knows nothing about the grammar.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path

from sglc.compiler.diagnostics import CompileErrors, Diagnostic, Label, Severity, error, whole_file
from sglc.ir.span import Source, Span

BOM = "\ufeff"


def read_source(path: str | Path, name: str | None = None) -> Source:
    """The file at `path`, shown under `name` (default: the path as given).

    Raises CompileErrors when it cannot be read (E0501) or is not UTF-8 (E0110).
    """
    shown = str(path) if name is None else name
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        why = (e.strerror or str(e)).lower()
        found = error("E0501", f"cannot read `{shown}`: {why}", whole_file(0))
        raise CompileErrors([found], [Source(shown, "")]) from None
    try:
        return Source(shown, data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise CompileErrors(*_not_utf8(shown, data)) from None


def _not_utf8(name: str, data: bytes) -> tuple[list[Diagnostic], list[Source]]:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as e:
        before = data[: e.start].decode("utf-8").removeprefix(BOM)
        line, col = _place(before)
        found = error(
            "E0110",
            f"the file is not UTF-8: byte 0x{data[e.start]:02x} at offset {e.start}",
            Span(0, line, col, line, col + 1),
            help="save the file as UTF-8",
        )
        return [found], [Source(name, data.decode("utf-8", errors="replace").removeprefix(BOM))]
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
