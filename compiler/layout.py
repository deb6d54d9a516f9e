"""A file cut into logical lines, as brackets, strings and indentation have it.

Read only when a file did not parse: it finds what is wrong with the layout (tabs, unindents that
fit no block, brackets and strings that nobody closed), which the grammar cannot say, and the lines
that recovery works with.
Knows nothing about statements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from sglc.compiler.diagnostics import Diagnostic, Label
from sglc.compiler.grammar import lark
from sglc.compiler.source import SourceText


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """Code from offset `start`, behind `indent` spaces, up to the newline at `end`."""

    start: int
    end: int
    indent: int
    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    lines: tuple[LogicalLine, ...]
    faults: tuple[Diagnostic, ...]


PAIRS = {"(": ")", "[": "]", "{": "}"}


def scan(source: SourceText) -> Layout:
    """The logical lines that hold code, and what is wrong with how they are laid out.

    A line with a fault is broken; the fault is reported here.
    """
    return _Scanner(source).scan()


class _Scanner:
    def __init__(self, source: SourceText) -> None:
        self.source, self.text = source, source.text
        self.lines: list[LogicalLine] = []
        self.faults: list[Diagnostic] = []
        self.levels = [0]
        self.has_tabs = False

    def scan(self) -> Layout:
        at = 0
        while at < len(self.text):
            blank = _BLANK.match(self.text, at)
            assert blank is not None
            start = blank.end()
            if start == len(self.text) or self.text[start] in "\n#":
                at = self.source.line_end(start) + 1
                continue
            count = len(self.faults)
            end = self._line_end(start)
            self._indentation(at, start)
            is_broken = len(self.faults) > count
            self.lines.append(LogicalLine(start, end, start - at, is_broken))
            at = end + 1
        return Layout(tuple(self.lines), tuple(self.faults))

    def _indentation(self, begin: int, start: int) -> None:
        """Check the spaces `begin`..`start` against the blocks that stand open."""
        tab = self.text.find("\t", begin, start)
        if tab >= 0 and not self.has_tabs:
            self.has_tabs = True
            message, help = "a tab in the indentation", "indent with spaces, four a level"
            fault = self.source.error("E0104", message, tab, tab + 1, "this is a tab", help=help)
            self.faults.append(fault)
        indent = start - begin
        if indent > self.levels[-1]:
            self.levels.append(indent)
        while indent < self.levels[-1]:
            self.levels.pop()
        if indent != self.levels[-1]:
            self.levels.append(indent)
            if not self.has_tabs:
                message = "this indentation matches no block above"
                fault = self.source.error("E0103", message, begin, start, _spaces(indent))
                self.faults.append(fault)

    def _line_end(self, start: int) -> int:
        """The newline that ends the logical line at `start`, or the one to go on from."""
        opened: list[int] = []
        for mark in _marks().finditer(self.text, start):
            kind, at = mark.lastgroup, mark.start()
            if kind == "newline" and not opened:
                return at
            if kind == "quote":
                if opened and self.source.line_of(opened[0]) != self.source.line_of(at):
                    return self._unclosed_bracket(opened[0], start)
                return self._unclosed_string(at)
            if kind == "open":
                opened.append(at)
            if kind == "close" and (end := self._close(at, opened, start)) is not None:
                return end
        return self._unclosed_bracket(opened[0], start) if opened else len(self.text)

    def _close(self, at: int, opened: list[int], start: int) -> int | None:
        """Take the bracket at `at` off `opened`; where to go on when it closes nothing there."""
        if opened and PAIRS[self.text[opened[-1]]] == self.text[at]:
            opened.pop()
            return None
        found = self.text[at]
        if not opened:
            message = f"`{found}` closes nothing"
            self.faults.append(self.source.error("E0106", message, at, at + 1))
        elif self.source.line_of(opened[-1]) != self.source.line_of(at):
            return self._unclosed_bracket(opened[-1], start)
        else:
            opening = self.text[opened[-1]]
            message = f"`{opening}` is closed by `{found}`"
            there = Label(self.source.span(opened[-1], opened[-1] + 1), "opened here")
            label = f"expected `{PAIRS[opening]}`"
            fault = self.source.error("E0106", message, at, at + 1, label, secondary=(there,))
            self.faults.append(fault)
        return self.source.line_end(at)

    def _unclosed_bracket(self, at: int, start: int) -> int:
        """Go on at the first line that is indented no deeper than the one with the bracket."""
        opening = self.text[at]
        message = f"`{opening}` is never closed"
        label = f"expected a `{PAIRS[opening]}` for it"
        self.faults.append(self.source.error("E0106", message, at, at + 1, label))
        indent = start - (self.text.rfind("\n", 0, start) + 1)
        end = self.source.line_end(at)
        while end < len(self.text):
            blank = _BLANK.match(self.text, end + 1)
            assert blank is not None
            after = blank.end()
            is_code = after < len(self.text) and self.text[after] not in "\n#)]}"
            if is_code and after - (end + 1) <= indent:
                break
            end = self.source.line_end(after)
        return end

    def _unclosed_string(self, at: int) -> int:
        quote = self.text[at]
        is_long = self.text.startswith(quote * 3, at)
        length = 3 if is_long else 1
        message = f"the string that begins with `{quote * length}` is never closed"
        help = None if is_long else 'a string over several lines stands in """'
        end = len(self.text) if is_long else self.source.line_end(at)
        self.faults.append(self.source.error("E0107", message, at, at + length, help=help))
        return end


@cache
def _marks() -> re.Pattern[str]:
    """What the layout depends on; a string is what the grammar says it is."""
    string = lark().get_terminal("STRING").pattern.to_regexp()
    return re.compile(
        rf"(?P<string>{string})|(?P<comment>\#[^\n]*)|(?P<newline>\n)"
        rf"|(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<quote>[\"'])"
    )


_BLANK = re.compile(r"[ \t\f]*")


def _spaces(count: int) -> str:
    return f"{count} space" + "s" * (count != 1)
