"""Warning about text of the row before a long constant: rows share tokens only up to where they
first differ."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.compiler import declaration, syntax
from sglc.compiler.check.consts import Consts
from sglc.compiler.check.report import Report
from sglc.compiler.check.tables import Tables

MIN_TOKENS = 64
MIN_CHARACTERS = 256  # where no model says what a token is


def warn_of_late_constants(
    program: declaration.Program, tables: Tables, consts: Consts, report: Report
) -> None:
    """Looks at the text up to the first statement that is not simply appended; one warning."""
    first: syntax.Node | None = None
    for stmt in _texts(program.body):
        constant = ""
        for part in stmt.value.parts:
            if isinstance(part, str):
                constant += part
                continue
            known = consts.known(part.value)
            if known is None:
                first = first or part
            elif isinstance(known.value, str):
                constant += known.value
        if first is None or not constant:
            continue
        lost = _lost(constant, tables)
        if lost is not None:
            report.warning(
                "W0107",
                "text that differs from row to row stands before a long constant",
                stmt,
                f"{lost} that every row computes anew",
                secondary=((first, "rows differ from here"),),
                help="put the constant first, or both into `any_order:`",
            )
            return


def _lost(constant: str, tables: Tables) -> str | None:
    """What sharing loses, in words; None when that is little."""
    if tables.spec is None:
        return f"{len(constant)} characters" if len(constant) >= MIN_CHARACTERS else None
    count = len(tables.spec.tokenizer.encode(constant))
    return f"{count} tokens" if count >= MIN_TOKENS else None


def _texts(body: syntax.Block) -> Iterator[syntax.Text]:
    """The texts that straight code appends, through roles, up to the first other statement that
    may append."""
    for stmt in body:
        match stmt:
            case syntax.Text():
                yield stmt
            case syntax.Role(body=inner):
                yield from _texts(inner)
                if not all(isinstance(s, syntax.Text) for s in inner):
                    return
            case syntax.Let() | syntax.Defaults() | syntax.Require() | syntax.Pass():
                pass
            case _:
                return
