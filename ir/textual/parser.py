"""The reader of what `printer.py` prints: a module and its declarations."""

from __future__ import annotations

from sglc.ir import types as t
from sglc.ir.module import ExternDecl, Function, Module
from sglc.ir.textual.parse_function import FunctionParser
from sglc.ir.textual.scanner import Scanner
from sglc.ir.textual.types import (
    RecordNames,
    parse_fields,
    parse_record_name,
    parse_type,
    separated,
)


def parse(text: str) -> Module:
    """The module that `text` spells, without its sources. Raises IRSyntaxError."""
    s = Scanner(text)
    records = RecordNames()
    externs: list[ExternDecl] = []
    functions: list[Function] = []
    s.skip_lines()
    while s.pos < len(text):
        start = s.here()
        word = s.word("a declaration")
        if word == "record":
            _record(s, records)
        elif word == "extern":
            externs.append(_extern(s, records))
        elif word in ("program", "function"):
            functions.append(FunctionParser(s, records).function(word == "program"))
        else:
            s.fail("record, extern, program or function", start)
        s.skip_lines()
    programs = [f for f in functions if f.is_program]
    if len(programs) != 1:
        s.fail(f"one program in the module, not {len(programs)}")
    fragments = tuple(f for f in functions if not f.is_program)
    return Module(programs[0], fragments, tuple(externs), sources=())


def _record(s: Scanner, records: RecordNames) -> None:
    if s.sees('"'):
        s.pos -= len("record ")
    shown, name = parse_record_name(s)
    records.declare(shown, t.RecordType(name, parse_fields(s, records)))


def _extern(s: Scanner, records: RecordNames) -> ExternDecl:
    def param() -> tuple[str, t.Type]:
        name = s.name()
        s.expect(":")
        return name, parse_type(s, records)

    name = s.name()
    s.expect("(")
    params = tuple(separated(s, ")", param))
    s.expect("->")
    result = parse_type(s, records)
    is_pure = s.accept_word("pure")
    timeout = s.number() if s.accept_word("timeout") else None
    retries = s.integer() if s.accept_word("retries") else 0
    return ExternDecl(name, params, result, is_pure, timeout, retries)
