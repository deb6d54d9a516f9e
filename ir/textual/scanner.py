"""A cursor over textual IR: spaces and comments are skipped, mismatches say where they are.

Line ends mean something in the format (an op ends with its line), so `skip_lines` is called where
they may stand. A comment runs from `;` to the end of its line.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_SPACE = re.compile(r"(?:[ \t]|;[^\n]*)*")
_LINES = re.compile(r"(?:\s|;[^\n]*)*")
_WORD = re.compile(r"[^\W\d]\w*")
_INT = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_json = json.JSONDecoder()


class IRSyntaxError(ValueError):
    """Textual IR that does not parse; the text names the line and column."""


class Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        """Raise: `expected` does not stand here, or at another place."""
        self.skip_space()
        self.pos = self.pos if at is None else at
        line = self.text.count("\n", 0, self.pos) + 1
        col = self.pos - (self.text.rfind("\n", 0, self.pos) + 1) + 1
        rest = self.text[self.pos : self.pos + 20].split("\n")[0]
        raise IRSyntaxError(f"line {line} column {col}: expected {expected}, found `{rest}`")

    def here(self) -> int:
        """The position of what comes next, for `fail`."""
        self.skip_space()
        return self.pos

    def skip_space(self) -> None:
        match = _SPACE.match(self.text, self.pos)
        assert match is not None
        self.pos = match.end()

    def skip_lines(self) -> None:
        match = _LINES.match(self.text, self.pos)
        assert match is not None
        self.pos = match.end()

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self.skip_space()
        match = pattern.match(self.text, self.pos)
        if match is not None:
            self.pos = match.end()
        return match

    def sees(self, symbol: str) -> bool:
        self.skip_space()
        return self.text.startswith(symbol, self.pos)

    def accept(self, symbol: str) -> bool:
        if self.sees(symbol):
            self.pos += len(symbol)
            return True
        return False

    def expect(self, symbol: str) -> None:
        if not self.accept(symbol):
            self.fail(f"`{symbol}`")

    def peek_word(self) -> str:
        self.skip_space()
        match = _WORD.match(self.text, self.pos)
        return match[0] if match else ""

    def accept_word(self, word: str) -> bool:
        if self.peek_word() == word:
            self.pos += len(word)
            return True
        return False

    def expect_word(self, word: str) -> None:
        if not self.accept_word(word):
            self.fail(f"`{word}`")

    def word(self, what: str = "a name") -> str:
        word = self.peek_word()
        if not word:
            self.fail(what)
        self.pos += len(word)
        return word

    def string(self) -> str:
        """A JSON string."""
        if not self.sees('"'):
            self.fail("a string")
        value = self.json_value()
        assert isinstance(value, str)
        return value

    def json_value(self) -> Any:
        self.skip_space()
        try:
            value, self.pos = _json.raw_decode(self.text, self.pos)
        except json.JSONDecodeError:
            self.fail("JSON")
        return value

    def name(self) -> str:
        """A word, or any text as a JSON string."""
        return self.string() if self.sees('"') else self.word()

    def integer(self) -> int:
        match = self.take(_INT)
        if match is None:
            self.fail("an integer")
        return int(match[0])

    def number(self) -> int | float | None:
        """The number that stands here, if one does: an int unless it is spelt as a float."""
        match = self.take(_NUMBER)
        if match is None:
            return None
        return int(match[0]) if _INT.fullmatch(match[0]) else float(match[0])


def name_text(name: str) -> str:
    """A name as `Scanner.name` reads it."""
    return name if _WORD.fullmatch(name) else json.dumps(name, ensure_ascii=False)
