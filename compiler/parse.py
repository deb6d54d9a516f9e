"""Program text to syntax.File: the grammar for text that is right, `recover.py` for the rest."""

from __future__ import annotations

from lark.exceptions import UnexpectedInput

from sglc.compiler import syntax
from sglc.compiler.build import build
from sglc.compiler.diagnostics import Diagnostic
from sglc.compiler.grammar import parse_tree
from sglc.compiler.indent import IndentationFault
from sglc.compiler.slips import explain
from sglc.compiler.source import SourceText
from sglc.ir.span import Source


def parse(source: Source, file: int) -> tuple[syntax.File | None, list[Diagnostic]]:
    """The nodes of `source`, whose spans name it `file`; None when there are errors.

    All syntax errors that can be told apart are reported; nothing is raised for bad text.
    """
    text = SourceText(source, file)
    diagnostics: list[Diagnostic] = []
    try:
        tree = parse_tree(text.text.rstrip() + "\n", "file")
    except UnexpectedInput as failure:
        return None, [explain(text, failure)]
    except IndentationFault:
        return None, [text.error("E0103", "bad indentation", 0, 1)]
    node = build(text, tree, diagnostics)
    return (None if diagnostics else node), diagnostics
