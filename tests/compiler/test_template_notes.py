"""What a template adds is told when the program's conversations get it, and only then."""

from __future__ import annotations

import pytest

from sglc import testing
from sglc.codegen.plan import Markup
from sglc.compiler.driver import compile_file
from sglc.compiler.template_notes import template_notes
from sglc.ir.module import Function
from sglc.ir.text import parse_module

SYSTEM = 'where a conversation begins without `system`, the model\'s template adds one: "Be."'
DATE = "the model's template writes a date: it is always 26 Jul 2024"
MARKUP = Markup({}, {}, (), default_system="Be.", pinned_date="26 Jul 2024")


def lowered(body: str) -> Function:
    printed: list[str] = []
    text = f"program p(q: str, flag: bool, qs: list[str]):\n{body}"
    spec = testing.Model({}).spec
    compile_file(None, text, spec=spec, print_after=["inline"], out=printed.append)
    return parse_module(printed[0]).program


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        ('    "{q} {flag} {qs}"\n    gen a\n', ()),
        ('    user "{q}"\n    assistant:\n        gen a\n', (SYSTEM, DATE)),
        ('    system "s"\n    user "{q}"\n    assistant:\n        gen a\n', (DATE,)),
        ('    if flag:\n        system "s"\n    user "{q}"\n', (SYSTEM, DATE)),
        (
            '    if flag:\n        system "s"\n    else:\n        system "t"\n    user "{q}"\n',
            (DATE,),
        ),
        ('    system "s"\n    for x in qs:\n        user "{x}"\n', (DATE,)),
        ('    for x in qs:\n        system "{x}"\n    user "{q}"\n', (SYSTEM, DATE)),
        ('    fork x in qs as g:\n        user "{x}"\n    join g\n', (SYSTEM, DATE)),
        ('    system "s"\n    fork x in qs as g:\n        user "{x}"\n', (DATE,)),
    ],
)
def test_notes(body: str, notes: tuple[str, ...]) -> None:
    assert template_notes(lowered(body), MARKUP) == notes


def test_a_model_that_adds_nothing() -> None:
    assert template_notes(lowered('    user "{q}"\n'), Markup({}, {}, ())) == ()
