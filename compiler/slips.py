"""tmp"""

from __future__ import annotations

from lark.exceptions import UnexpectedInput

from sglc.compiler.diagnostics import Diagnostic
from sglc.compiler.source import SourceText


def explain(source: SourceText, failure: UnexpectedInput) -> Diagnostic:
    start = failure.pos_in_stream or 0
    return source.error("E0101", "unexpected", start, start + 1)
