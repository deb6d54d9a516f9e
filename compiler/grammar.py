"""The grammar as a parser: text in, Lark tree or `UnexpectedInput` out.

The LALR tables take 0.4 s to make and 0.03 s to load, so they are kept in the user's cache folder,
keyed by Lark on the grammar, the options and the versions of Lark and Python.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from lark import Lark, Token, Tree
from lark.utils import TextSlice
from platformdirs import user_cache_path

from sglc.compiler.indent import Indentation
from sglc.compiler.operators import Operators

Rule = Literal["file", "chunk", "interpolation"]


def parse_tree(text: str, rule: Rule, start: int = 0, end: int | None = None) -> Tree[Token]:
    """`text[start:end]` read as `rule`; positions in the tree are offsets into `text`.

    Raises lark.UnexpectedInput, or IndentationFault for indentation that fits no block.
    """
    stop = len(text) if end is None else end
    return lark().parse(TextSlice(text, start, stop), start=rule)


@cache
def lark() -> Lark:
    """The parser of `sgl.lark`, made once."""
    grammar = Path(__file__).with_name("sgl.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        postlex=Indentation(),
        transformer=Operators(),
        start=["file", "chunk", "interpolation"],
        propagate_positions=True,
        cache=_cache_file() or False,
    )


def _cache_file() -> str | None:
    """Where the tables are kept; None where nothing can be written."""
    folder = user_cache_path("sglc")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder / "grammar.tables")
