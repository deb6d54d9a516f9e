"""Blocks by indentation: a filter over tokens between the lexer and the parser.

A _NEWLINE is followed by one _INDENT or some _DEDENTs where the number of spaces after it changes,
and is dropped inside brackets. Unlike Lark's own Indenter it keeps its state in the generator, so
that one parser serves nested and concurrent parses.
"""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token

OPENING = frozenset({"LPAR", "LSQB", "LBRACE"})
CLOSING = frozenset({"RPAR", "RSQB", "RBRACE"})


class IndentationFault(Exception):
    """Indentation that fits no block, or holds a tab; `layout.py` says where and why."""


class Indentation:
    """Lark's `postlex`: newlines are lexed wherever they stand, and `process` sees every token."""

    always_accept = ("_NEWLINE",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0  # of brackets
        levels = [0]
        token: Token | None = None
        for token in stream:
            if token.type != "_NEWLINE":
                depth += (token.type in OPENING) - (token.type in CLOSING)
                yield token
            elif depth <= 0:
                yield token
                yield from self._blocks(token, levels)
        while len(levels) > 1:
            levels.pop()
            yield _block("_DEDENT", token)

    def _blocks(self, newline: Token, levels: list[int]) -> Iterator[Token]:
        spaces = newline.rsplit("\n", 1)[1]
        if "\t" in spaces:
            raise IndentationFault
        if len(spaces) > levels[-1]:
            levels.append(len(spaces))
            yield _block("_INDENT", newline)
        while len(spaces) < levels[-1]:
            levels.pop()
            yield _block("_DEDENT", newline)
        if len(spaces) != levels[-1]:
            raise IndentationFault


def _block(kind: str, at: Token | None) -> Token:
    """A token without text at the end of the newline that brought it about."""
    end = at.end_pos if at is not None else 0
    return Token(kind, "", start_pos=end, end_pos=end)
