"""Values as a function's lines name and define them, and what is written over them."""

from __future__ import annotations

import re

from sglc.ir.host.expr import Expr
from sglc.ir.ops import Path, Value
from sglc.ir.textual.parse_exprs import ExprParser
from sglc.ir.textual.scanner import Scanner
from sglc.ir.textual.types import RecordNames, parse_type, parse_value_type, separated

_VALUE = re.compile(r"%(?:([^\W\d]\w*(?:\.[^\W\d]\w*)*)\.)?(\d+)")
_DOLLAR = re.compile(r"\$(\d+)")


class ValueParser:
    """`values` are those defined so far, by id."""

    def __init__(self, scanner: Scanner, records: RecordNames) -> None:
        self.s = scanner
        self.records = records
        self.values: dict[int, Value] = {}

    def value_name(self) -> tuple[int, str]:
        match = self.s.take(_VALUE)
        if match is None:
            self.s.fail("a value")
        return int(match[2]), match[1] or ""

    def definition(self) -> Value:
        id, name = self.value_name()
        self.s.expect(":")
        value = Value(id, parse_value_type(self.s, self.records), name)
        self.values[id] = value
        return value

    def value(self) -> Value:
        start = self.s.here()
        id, _ = self.value_name()
        if id not in self.values:
            self.s.fail("a value that is defined above", start)
        return self.values[id]

    def value_and_comma(self) -> Value:
        value = self.value()
        self.s.expect(",")
        return value

    def values_up_to(self, end: str) -> tuple[Value, ...]:
        return tuple(separated(self.s, end, self.value))

    def pairs(self, word: str) -> tuple[tuple[str, Value], ...]:
        """`word (name=%value, ...)`, or nothing."""

        def pair() -> tuple[str, Value]:
            name = self.s.name()
            self.s.expect("=")
            return name, self.value()

        if not self.s.accept_word(word):
            return ()
        self.s.expect("(")
        return tuple(separated(self.s, ")", pair))

    def names(self, word: str) -> tuple[str, ...]:
        """`word [name, ...]`, or nothing."""
        if not self.s.accept_word(word):
            return ()
        self.s.expect("[")
        return tuple(separated(self.s, "]", self.s.name))

    def path(self) -> Path:
        self.s.expect_word("path")
        self.s.expect("[")
        return tuple(
            separated(self.s, "]", lambda: self.value() if self.s.sees("%") else self.s.integer())
        )

    def values_of_line(self) -> tuple[Value, ...]:
        if not self.s.sees("%"):
            return ()
        values = [self.value()]
        while self.s.accept(","):
            values.append(self.value())
        return tuple(values)

    def expr_over(self, found: list[Value] | tuple[()]) -> Expr:
        """An expression; each value that it names is added to `found` when it is new there."""

        def operand() -> int:
            dollar = self.s.take(_DOLLAR)
            if dollar is not None:
                return int(dollar[1])
            value = self.value()
            if isinstance(found, tuple):
                self.s.fail("an expression without values")
            if value not in found:
                found.append(value)
            return found.index(value)

        return ExprParser(self.s, operand, lambda: parse_type(self.s, self.records)).expr()
