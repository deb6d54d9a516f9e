"""Lowering, case by case: a program and the IR it becomes.

A case file holds cases of one construct: a line `=== title`, the program, a line `--->`, the IR.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sglc.compiler.check import check
from sglc.compiler.lower.module import lower
from sglc.ir.text import parse_module, print_module
from sglc.ir.verify import verify

FOLDER = Path(__file__).parent / "lowering"
FILES = sorted(FOLDER.glob("*.txt"))


def _cases(text: str) -> list[tuple[str, str, str]]:
    """(title, program, IR) of each case."""
    cases = []
    for block in text.split("=== ")[1:]:
        title, _, rest = block.partition("\n")
        program, _, ir = rest.partition("--->\n")
        cases.append((title, program, ir))
    return cases


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_lowering(file: Path, update_golden: bool) -> None:
    cases = _cases(file.read_text(encoding="utf-8"))
    assert cases, "a case file without cases"
    found = []
    for title, program, ir in cases:
        module = lower(check(None, program))
        verify(module)
        text = print_module(module)
        # what is printed is all there is to know, but for sources
        assert print_module(parse_module(text)) == text
        found.append((title, program, text + "\n"))
        if not update_golden:
            assert text.strip() == ir.strip(), title
    if update_golden:
        blocks = (f"=== {title}\n{program}--->\n{ir}" for title, program, ir in found)
        file.write_text("".join(blocks).rstrip("\n") + "\n", encoding="utf-8")
