"""What binds tighter: a flat row of operands and operators as the tree that it means.

The grammar reads `not a + b < c and d` as one row, since a rule for each precedence would make it
go through all of them for every operand that stands alone. Loosest first: `or`; `and`; `not`;
comparisons, which chain; `+ -`; `* / // %`; signs; `**`, which takes what is right of it first, a
sign too.
Law: a tree made here spans what its parts span, parentheses around those included.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from lark import Token, Tree
from lark.tree import Meta

Part: TypeAlias = Token | Tree[Token]


class Operators:
    """Lark's `transformer`: `operation` is called with the children of each row."""

    def operation(self, children: list[Part]) -> Tree[Token]:
        found = _Row(children).logic("or")
        assert isinstance(found, Tree)
        return found


class _Row:
    """One row, read from the left by precedence."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.at = 0

    def kind(self) -> str:
        """The kind of the next part: a token's type, "" for an operand or the end."""
        part = self.parts[self.at] if self.at < len(self.parts) else None
        return part.type if isinstance(part, Token) else ""

    def take(self) -> Part:
        self.at += 1
        return self.parts[self.at - 1]

    def logic(self, word: str) -> Part:
        kind = f"_{word.upper()}"
        values = [self.logic("and") if word == "or" else self.negation()]
        while self.kind() == kind:
            self.take()
            values.append(self.logic("and") if word == "or" else self.negation())
        return values[0] if len(values) == 1 else _tree(f"logic_{word}", values)

    def negation(self) -> Part:
        words = []
        while self.kind() == "NOT":
            words.append(self.take())
        value = self.comparison()
        for word in reversed(words):
            value = _tree("unary", [word, value])
        return value

    def comparison(self) -> Part:
        parts = [self.sum()]
        while self.kind() in ("COMPARE", "IN", "NOT"):
            words = [self.take()]
            if words[0] == "not":
                words.append(self.take())
            parts += [_tree("compare_op", words), self.sum()]
        return parts[0] if len(parts) == 1 else _tree("compare", parts)

    def sum(self) -> Part:
        left = self.product()
        while self.kind() in ("PLUS", "MINUS"):
            left = _tree("binary", [left, self.take(), self.product()])
        return left

    def product(self) -> Part:
        left = self.factor()
        while self.kind() == "MULTIPLY":
            left = _tree("binary", [left, self.take(), self.factor()])
        return left

    def factor(self) -> Part:
        # without recursion, since thousands of signs are an error that is to be told
        outer: list[list[Part]] = []
        while True:
            if self.kind() in ("PLUS", "MINUS"):
                outer.append([self.take()])
                continue
            value = self.take()
            if self.kind() != "POWER":
                break
            outer.append([value, self.take()])
        for parts in reversed(outer):
            value = _tree("unary" if len(parts) == 1 else "binary", [*parts, value])
        return value


def _tree(rule: str, parts: list[Part]) -> Tree[Token]:
    meta = Meta()
    meta.empty = False
    meta.start_pos = _outer(parts[0], "start_pos")
    meta.end_pos = _outer(parts[-1], "end_pos")
    return Tree(rule, parts, meta)


def _outer(part: Part, side: str) -> Any:
    """Where a part starts or ends, parentheses included: Lark calls that its container."""
    if isinstance(part, Token):
        return getattr(part, side)
    return getattr(part.meta, f"container_{side}", None) or getattr(part.meta, side)
