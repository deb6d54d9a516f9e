"""The textual IR: what `--print-after` shows, what tests of passes are written in.

Law: `parse_module(print_module(m)) == m` for every module without sources. Spans are not printed;
names of values are, where they are words.

    program judge(%essay.0: str) -> str {
      %1: ctx = start
      %2: str = let t"Essay: {%essay.0}"
      %3: ctx = append %1, %2
      %4: ctx, %grade.5: str = gen grade from %3 as str path [0]
      leave %4, %grade.5
    }
"""

from __future__ import annotations

from sglc.ir.module import Module
from sglc.ir.textual.parser import parse
from sglc.ir.textual.printer import module_lines
from sglc.ir.textual.scanner import IRSyntaxError

__all__ = ["IRSyntaxError", "parse_module", "print_module"]


def print_module(module: Module) -> str:
    """The module's text, which `parse_module` reads back."""
    return "\n".join(module_lines(module)).lstrip("\n") + "\n"


def parse_module(text: str) -> Module:
    """The module of a text; raises IRSyntaxError. It is not verified (`verify.py`)."""
    return parse(text)
