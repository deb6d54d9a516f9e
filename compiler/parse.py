"""Program text to syntax.File: the grammar for text that is right, `recover.py` for the rest."""

from __future__ import annotations

import re

from lark.exceptions import UnexpectedInput

from sglc.compiler import declaration
from sglc.compiler.build import build
from sglc.compiler.diagnostics import Diagnostic
from sglc.compiler.grammar import parse_tree
from sglc.compiler.indent import IndentationFault
from sglc.compiler.recover import recover
from sglc.compiler.source import SourceText
from sglc.compiler.syntax_errors import explain
from sglc.ir.span import Source


def parse(source: Source, file: int) -> tuple[declaration.File | None, list[Diagnostic]]:
    """The nodes of `source`, whose spans name it `file`; None when there are errors.

    Reports all syntax errors that can be told apart, in no particular order; raises nothing for
    any text.
    """
    text = SourceText(source, file)
    diagnostics = _forbidden_characters(text)
    if diagnostics:
        return None, diagnostics
    try:
        tree = parse_tree(text.text.rstrip(" \t\f\n") + "\n", "file")
    except (UnexpectedInput, IndentationFault) as failure:
        found = recover(text)
        if not found and isinstance(failure, UnexpectedInput):
            found = [explain(text, failure)]
        return None, found
    node = build(text, tree, diagnostics)
    return (None if diagnostics else node), diagnostics


def _forbidden_characters(text: SourceText) -> list[Diagnostic]:
    """NUL, which recovery needs for itself, and halves of surrogate pairs, which are no text. The
    first is told alone: a file with many is no program at all."""
    found = re.search(r"[\x00\ud800-\udfff]", text.text)
    if found is None:
        return []
    message = f"U+{ord(found[0]):04X} cannot stand in a program"
    return [text.error("E0110", message, found.start(), found.end())]
