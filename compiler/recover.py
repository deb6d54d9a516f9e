"""All syntax errors of a file in one go.

The file is cut into chunks, one a declaration. A chunk that does not parse yields one diagnostic;
the line to blame is overwritten by BROKEN, which the grammar takes for any statement or header, and
the chunk is read again. Every overwriting keeps the length of the text, so offsets stay true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile

from lark.exceptions import UnexpectedInput, UnexpectedToken

from sglc.compiler.build import build
from sglc.compiler.diagnostics import MAX_RENDERED, Diagnostic
from sglc.compiler.grammar import Rule, parse_tree
from sglc.compiler.indent import IndentationFault
from sglc.compiler.layout import LogicalLine, scan
from sglc.compiler.source import SourceText
from sglc.compiler.syntax_errors import MISPLACED, NO_BLOCK, explain, unexpected_indent

BROKEN = "\0"


def recover(source: SourceText) -> list[Diagnostic]:
    """What is wrong with a text that did not parse."""
    layout = scan(source)
    diagnostics = list(layout.faults)
    is_first = True
    for chunk in _chunks(layout.lines):
        if len(diagnostics) > MAX_RENDERED:
            break
        _read(source, chunk, is_first, diagnostics)
        is_first = False
    return diagnostics


def _chunks(lines: tuple[LogicalLine, ...]) -> Iterator[list[LogicalLine]]:
    """Each line without indentation, with the indented lines below it."""
    chunk: list[LogicalLine] = []
    for line in lines:
        if line.indent == 0 and chunk:
            yield chunk
            chunk = []
        chunk.append(line)
    if chunk:
        yield chunk


def _read(
    source: SourceText, lines: list[LogicalLine], is_first: bool, diagnostics: list[Diagnostic]
) -> None:
    """Report what is wrong in one chunk."""
    if lines[0].indent:
        diagnostics.append(unexpected_indent(source, lines[0].start))
        return
    for index, line in enumerate(lines):
        if line.is_broken:
            _break(source, lines, index)
    while len(diagnostics) <= MAX_RENDERED:
        text = _overwritten(source, lines)
        rule: Rule = "file" if is_first else "chunk"
        try:
            tree = parse_tree(text, rule, lines[0].start, lines[-1].end + 1)
        except IndentationFault:
            return  # the layout has said so
        except UnexpectedInput as failure:
            found = explain(source, failure)
            blamed = _blamed(lines, failure)
            if not _is_echo(found, lines[blamed + 1 :], diagnostics):
                diagnostics.append(found)
            if lines[blamed].is_broken:
                return
            _break(source, lines, blamed)
        else:
            build(source, tree, diagnostics)
            return


def _is_echo(found: Diagnostic, after: list[LogicalLine], before: list[Diagnostic]) -> bool:
    """Whether an earlier diagnostic has said the same: a script without a program has statements
    outside it line by line, and a line with wrong indentation is not the block it should be."""
    if found.code == MISPLACED:
        return any(d.message == found.message for d in before)
    return found.code == NO_BLOCK and bool(after) and after[0].is_broken


def _break(source: SourceText, lines: list[LogicalLine], index: int) -> None:
    """Give up a line; with the header of a `type` its fields too, which are no statements."""
    header = lines[index]
    lines[index] = replace(header, is_broken=True)
    if re.match(r"type\b", source.text[header.start : header.start + 5]):
        below = takewhile(lambda i: lines[i].indent > header.indent, range(index + 1, len(lines)))
        for i in below:
            lines[i] = replace(lines[i], is_broken=True)


def _overwritten(source: SourceText, lines: list[LogicalLine]) -> str:
    text = source.text + "\n"
    for line in lines:
        if line.is_broken:
            filler = BROKEN.ljust(line.end - line.start)
            text = text[: line.start] + filler + text[line.end :]
    return text


def _blamed(lines: list[LogicalLine], failure: UnexpectedInput) -> int:
    """The line to overwrite, as an index: the one that fails, or the header of a wrong block."""
    at = failure.pos_in_stream or 0
    index = max((i for i, line in enumerate(lines) if line.start <= at), default=0)
    is_block = isinstance(failure, UnexpectedToken) and (
        failure.token.type == "_INDENT" or failure.accepts == {"_INDENT"}
    )
    return index - 1 if is_block and index and at == lines[index].start else index
