"""String literals opened: what is text, what is interpolated, what is wrong.

    "Score: {score:.1f}\\n"   ->   "Score: ", Slot(score, .1f), "\\n"

Law: every offset is an offset into the file, so that what stands inside a string has exact places.
Knows nothing about expressions: a slot is a range of text, which `build.py` hands to the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sglc.compiler.diagnostics import Diagnostic
from sglc.compiler.source import SourceText


@dataclass(frozen=True, slots=True)
class Slot:
    """`{...}`: braces at `start` and `end - 1`; the expression between them ends at `stop`."""

    start: int
    stop: int
    end: int
    format_spec: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """No part is empty text, and no two neighbours are both text."""

    parts: tuple[str | Slot, ...]
    is_raw: bool
    faults: tuple[Diagnostic, ...]


def open_string(source: SourceText, start: int, end: int) -> Opened:
    """The literal at `start`..`end`: a template, or one text when it is raw."""
    content = _Content(source, start, end)
    parts: list[str | Slot] = []
    pieces = list(content.pieces())
    content.measure([piece for piece in pieces if not isinstance(piece, Slot)])
    for piece in pieces:
        if isinstance(piece, Slot):
            parts.append(piece)
        elif text := content.unescape(*piece):
            before = parts[-1] if parts else None
            if isinstance(before, str):
                parts[-1] = before + text
            else:
                parts.append(text)
    return Opened(tuple(parts), content.is_raw, tuple(content.faults))


def open_docstring(source: SourceText, start: int, end: int) -> tuple[str, list[Diagnostic]]:
    """A file's docstring: escapes and indentation as in any string, but braces mean nothing."""
    content = _Content(source, start, end)
    content.measure([(content.first, content.last)])
    return content.unescape(content.first, content.last).strip(), content.faults


class _Content:
    """What stands between the quotes of one literal, from offset `first` up to `last`."""

    def __init__(self, source: SourceText, start: int, end: int) -> None:
        opening = _OPENING.match(source.text, start)
        assert opening is not None
        prefix, quote = opening[1].lower(), opening[2]
        self.source, self.text = source, source.text
        self.first, self.last = opening.end(), end - len(quote)
        self.is_raw = "r" in prefix
        self.is_long = len(quote) == 3
        self.margin = ""
        self.faults: list[Diagnostic] = []
        if letter := prefix.replace("r", ""):
            why = _NO_PREFIX["rf" if letter == "f" and self.is_raw else letter]
            message = f"strings have no prefix `{letter}`"
            self._fault("E0113", message, start, start + len(prefix), help=why)

    def _fault(
        self, code: str, message: str, start: int, end: int, label: str = "", *, help: str
    ) -> None:
        self.faults.append(self.source.error(code, message, start, end, label, help=help))

    def measure(self, texts: list[tuple[int, int]]) -> None:
        """Set the margin: the indentation that all lines of a long string share, the line of the
        opening quotes, blank lines and lines inside interpolations aside."""
        if self.is_long:
            lines = [line for text in texts for line in _LINE_START.finditer(self.text, *text)]
            margins = [line[1] for line in lines if not self._is_blank(line.end())]
            self.margin = _common_start(margins)

    def _is_blank(self, after_spaces: int) -> bool:
        return after_spaces >= self.last or self.text[after_spaces] == "\n"

    # ------------------------------------------------------------ interpolation

    def pieces(self) -> Iterator[tuple[int, int] | Slot]:
        """Ranges of text and slots, in order; a doubled brace ends a range after its first."""
        if self.is_raw:
            yield self.first, self.last
            return
        begin = at = self.first
        while mark := _MARK.search(self.text, at, self.last):
            at = mark.end()
            if mark[0] in ("{{", "}}"):
                yield begin, mark.start() + 1
                begin = at
            elif mark[0] == "{":
                yield begin, mark.start()
                slot = self._slot(mark.start())
                if slot is None:
                    return
                yield slot
                begin = at = slot.end
            elif mark[0] == "}":
                message = "a single `}` in a string"
                help = "write `}}` for a brace"
                self._fault("E0108", message, mark.start(), at, "closes nothing", help=help)
        yield begin, self.last

    def _slot(self, start: int) -> Slot | None:
        """The slot whose brace is at `start`, or None when it has no end (a fault)."""
        depth = 0
        colon: int | None = None
        for mark in _IN_SLOT.finditer(self.text, start + 1, self.last):
            if mark[0] == "}" and depth == 0:
                return self._closed_slot(start, colon, mark.start())
            if mark[0] in "([{":
                depth += 1
            elif mark[0] in ")]}":
                depth -= 1
            elif mark[0] == ":" and depth == 0 and colon is None:
                colon = mark.start()
        message = "`{` in a string is never closed"
        help = "write `{{` for a brace, `{name}` for a value"
        self._fault("E0108", message, start, start + 1, "opens an interpolation", help=help)
        return None

    def _closed_slot(self, start: int, colon: int | None, close: int) -> Slot:
        stop = close if colon is None else colon
        spec = None if colon is None else self.text[colon + 1 : close]
        inside = self.text[start + 1 : stop]
        if spec is not None and "{" in spec:
            message = "a format spec cannot hold another interpolation"
            help = "write the width as a number"
            self._fault("E0108", message, stop + 1, close, help=help)
        if conversion := _CONVERSION.search(inside):
            message = f"`{conversion[1]}` does not exist in interpolations"
            help = "drop it; `json(x)` writes a value with its quotes"
            self._fault("E0108", message, start + 1 + conversion.start(1), stop, help=help)
            stop = start + 1 + conversion.start(1)
        return Slot(start, stop, close + 1, spec)

    # ------------------------------------------------------------ text

    def unescape(self, start: int, end: int) -> str:
        """The text that the characters `start`..`end` stand for, the margin taken away."""
        pattern = _RAW_SPECIAL if self.is_raw else _SPECIAL
        text, begin = "", start
        for special in pattern.finditer(self.text, start, end):
            text += self.text[begin : special.start()] + self._meaning(special)
            begin = special.end()
        return text + self.text[begin:end]

    def _meaning(self, special: re.Match[str]) -> str:
        found = special[0]
        if found.startswith("\n"):
            newline = "" if special.start() == self.first and self.is_long else "\n"
            return newline + self._indented(special)
        if found.startswith("\\\n"):
            return self._indented(special)
        if found[1] in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[found[1]]
        if found[1] in "xuU" and len(found) > 2:
            number = int(found[2:], 16)
            if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
                return chr(number)
            message = f"`{found}` is no character"
            help = "write a code point up to \\U0010FFFF that is not a surrogate"
        else:
            message = f"`{found}` is no escape"
            help = 'write `\\\\` for a backslash, or a raw string: r"..."'
            if found[1] in "xuU":
                help = "write \\xNN, \\uNNNN or \\UNNNNNNNN with hexadecimal digits"
            if found[1] in "{}":
                help = f"write `{found[1] * 2}` for a brace"
        self._fault("E0109", message, special.start(), special.end(), help=help)
        return ""

    def _indented(self, line: re.Match[str]) -> str:
        """What is left of the spaces at the start of a line."""
        spaces = line[0].lstrip("\\").removeprefix("\n")
        if not self.is_long:
            return spaces
        return "" if self._is_blank(line.end()) else spaces.removeprefix(self.margin)


def _common_start(texts: list[str]) -> str:
    """The longest text that each of `texts` starts with."""
    first, last = min(texts, default=""), max(texts, default="")
    return next((first[:i] for i, c in enumerate(first) if c != last[i : i + 1]), first)


_OPENING = re.compile(r"""([A-Za-z]*)("{3}|'{3}|"|')""")
_LINE_START = re.compile(r"\n([ \t]*)")
_MARK = re.compile(r"\{\{|\}\}|[{}]|\\.", re.DOTALL)
_IN_SLOT = re.compile(r'"[^"\n]*"|' r"'[^'\n]*'|[(){}\[\]:]")
_CONVERSION = re.compile(r"(![a-z])\s*$")
_SPECIAL = re.compile(
    r"\n[ \t]*|\\(?:\n[ \t]*|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL
)
_RAW_SPECIAL = re.compile(r"\n[ \t]*")
_SIMPLE_ESCAPES = {
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "0": "\0",
}
_NO_PREFIX = {
    "f": "every string is a template: drop the `f`",
    "b": "there are no bytes: drop the `b`",
    "u": "every string is Unicode: drop the `u`",
    "rf": "a raw string has no interpolation: drop the `r` and write `\\\\` for a backslash",
}
