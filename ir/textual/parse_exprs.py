"""The reader of what `exprs.py` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from sglc.ir.host import expr as e
from sglc.ir.host.expr import Expr
from sglc.ir.textual.exprs import ADD, BINARY_LEVELS, COMPARISONS, MULTIPLY
from sglc.ir.textual.scanner import Scanner
from sglc.ir.textual.types import separated
from sglc.ir.types import Type

_CONSTANTS = {"null": None, "true": True, "false": False}
_TEXT = re.compile(r'(?:[^{}"\\]|\\.|\{\{|\}\})+')
_SPEC = re.compile(r'[^{}"\\\n]*')


class ExprParser:
    """`operand` reads `%x.1` (or `$1`) and yields the index that `Operand` shall have there."""

    def __init__(
        self, scanner: Scanner, operand: Callable[[], int], type: Callable[[], Type]
    ) -> None:
        self.s = scanner
        self.operand = operand
        self.type = type  # reads a type

    def expr(self) -> Expr:
        value = self.logic("or")
        if not self.s.accept_word("if"):
            return value
        test = self.logic("or")
        self.s.expect_word("else")
        return e.Cond(test, value, self.expr())

    def logic(self, op: str) -> Expr:
        inner = self.negation if op == "and" else lambda: self.logic("and")
        values = [inner()]
        while self.s.accept_word(op):
            values.append(inner())
        return e.Logic(op, tuple(values)) if len(values) > 1 else values[0]

    def negation(self) -> Expr:
        if self.s.accept_word("not"):
            return e.Unary("not", self.negation())
        left = self.binary(ADD)
        op = self.comparison()
        return e.Compare(op, left, self.binary(ADD)) if op else left

    def comparison(self) -> str | None:
        for op in COMPARISONS:
            if self.s.accept(op):
                return op
        if self.s.accept_word("in"):
            return "in"
        if self.s.accept_word("not"):
            self.s.expect_word("in")
            return "not in"
        return None

    def binary(self, level: int) -> Expr:
        def inner() -> Expr:
            return self.binary(MULTIPLY) if level == ADD else self.unary()

        value = inner()
        while (op := self.binary_op(level)) is not None:
            value = e.Binary(op, value, inner())
        return value

    def binary_op(self, level: int) -> str | None:
        for op in ("//", *BINARY_LEVELS):
            if BINARY_LEVELS[op] == level and not self.s.sees("**") and self.s.accept(op):
                return op
        return None

    def unary(self) -> Expr:
        if self.s.sees("-") and self.s.text[self.s.pos + 1 : self.s.pos + 2].isdigit():
            return e.Const(self.s.number())
        for op in ("-", "+"):
            if self.s.accept(op):
                return e.Unary(op, self.unary())
        value = self.postfix()
        return e.Binary("**", value, self.unary()) if self.s.accept("**") else value

    def postfix(self) -> Expr:
        value = self.atom()
        while True:
            if self.s.accept("["):
                value = self.index(value)
            elif self.s.accept("."):
                value = e.Field(value, self.s.name())
            else:
                return value

    def index(self, value: Expr) -> Expr:
        first = None if self.s.sees(":") else self.expr()
        if first is not None and self.s.accept("]"):
            return e.Index(value, first)
        self.s.expect(":")
        upper = None if self.s.sees(":") or self.s.sees("]") else self.expr()
        step = self.expr() if self.s.accept(":") else None
        self.s.expect("]")
        return e.Slice(value, first, upper, step)

    def atom(self) -> Expr:
        s = self.s
        if s.sees("%") or s.sees("$"):
            return e.Operand(self.operand())
        if s.sees('"'):
            return e.Const(s.string())
        if s.accept('t"'):
            return self.template()
        if s.accept("#"):
            start = s.pos
            s.json_value()
            return e.JsonConst(s.text[start : s.pos])
        if s.accept("("):
            value = self.expr()
            s.expect(")")
            return value
        if s.accept("["):
            return self.list_of()
        if s.accept("{"):
            return self.dict_of()
        word = s.peek_word()
        if not word:
            number = s.number()
            return s.fail("an expression") if number is None else e.Const(number)
        s.word()
        if word in _CONSTANTS:
            return e.Const(_CONSTANTS[word])
        if not self.s.accept("("):
            return e.Local(word)
        return self.conform() if word == "conform" else self.call(word)

    def conform(self) -> Expr:
        value = self.expr()
        self.s.expect(",")
        type = self.type()
        self.s.expect(")")
        return e.Conform(value, type)

    def list_of(self) -> Expr:
        if self.s.accept("]"):
            return e.ListOf(())
        items = [self.expr()]
        if self.s.peek_word() == "for":
            comprehension = e.Comprehension(items[0], self.clauses())
            self.s.expect("]")
            return comprehension
        while self.s.accept(","):
            items.append(self.expr())
        self.s.expect("]")
        return e.ListOf(tuple(items))

    def dict_of(self) -> Expr:
        if self.s.accept("}"):
            return e.DictOf(())
        items = [self.pair()]
        if self.s.peek_word() == "for":
            key, element = items[0]
            comprehension = e.Comprehension(element, self.clauses(), key)
            self.s.expect("}")
            return comprehension
        while self.s.accept(","):
            items.append(self.pair())
        self.s.expect("}")
        return e.DictOf(tuple(items))

    def pair(self) -> tuple[Expr, Expr]:
        key = self.expr()
        self.s.expect(":")
        return key, self.expr()

    def clauses(self) -> tuple[e.Clause, ...]:
        found: list[e.Clause] = []
        while self.s.accept_word("for"):
            targets = [self.s.word()]
            while self.s.accept(","):
                targets.append(self.s.word())
            self.s.expect_word("in")
            items = self.logic("or")
            tests: list[Expr] = []
            while self.s.accept_word("if"):
                tests.append(self.logic("or"))
            found.append(e.Clause(tuple(targets), items, tuple(tests)))
        return tuple(found)

    def call(self, function: str) -> Expr:
        args: list[Expr] = []
        kwargs: list[tuple[str, Expr]] = []

        def argument() -> None:
            start = self.s.pos
            name = self.s.peek_word()
            if name:
                self.s.word()
                if self.s.sees("=") and not self.s.sees("=="):
                    self.s.expect("=")
                    kwargs.append((name, self.expr()))
                    return
                self.s.pos = start
            args.append(self.expr())

        for _ in separated(self.s, ")", argument):
            pass
        if function == "try" and len(args) == 2 and not kwargs:
            return e.Try(*args)
        return e.Call(function, tuple(args), tuple(kwargs))

    def template(self) -> Expr:
        """What follows `t"`, the closing quote included."""
        s = self.s
        parts: list[tuple[Expr, str | None]] = []
        while not s.text.startswith('"', s.pos):
            match = _TEXT.match(s.text, s.pos)
            if match is not None:
                s.pos = match.end()
                inside = match[0].replace("{{", "{").replace("}}", "}")
                parts.append((e.Const(json.loads(f'"{inside}"')), None))
                continue
            s.expect("{")
            value = self.expr()
            parts.append((value, self.spec() if s.accept(":") else None))
            s.expect("}")
        s.pos += 1
        return e.Format(tuple(parts))

    def spec(self) -> str:
        if self.s.text.startswith('"', self.s.pos):
            return self.s.string()
        match = _SPEC.match(self.s.text, self.s.pos)
        assert match is not None
        self.s.pos = match.end()
        return match[0]
