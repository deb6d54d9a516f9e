"""Leads: forced text moves from the append before a gen to the gen, where that is safe."""

from __future__ import annotations

import pytest

from sglc.codegen.leads import cut_leads
from sglc.ir.module import Function
from sglc.ir.text import parse_module, print_module
from sglc.ir.verify import verify

OPENED = 'piece since %4 before "{\\"a\\":" after'
GEN = f'gen from %4 as int path [0] {OPENED} ["}}"]'


def cut(body: str, leads: dict[int, str]) -> tuple[str, set[int]]:
    """The body of the program with the leads cut, and whose leads were."""
    module = parse_module(f"program main(%0: str) {{\n{body}\n}}")
    verify(module)
    program, done = cut_leads(module.program, leads)
    return text_of(program), set(done)


def text_of(program: Function) -> str:
    module = parse_module("program main() {\n  leave\n}")
    lines = print_module(type(module)(program, (), (), ())).splitlines()[1:-1]
    return "\n".join(line.removeprefix("  ") for line in lines)


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ('"Grade: {\\"a\\":"', '"Grade: {\\"a\\""'),
        ('"{\\"a\\":"', '"{\\"a\\""'),
        ('t"{%0}{{\\"a\\":"', 't"{%0}{{\\"a\\""'),
    ],
)
def test_the_append_loses_the_end_of_its_text(text: str, without: str) -> None:
    body = f"%1: ctx = start\n%3: str = let {text}\n%4: ctx = append %1, %3\n"
    body += f"%5: ctx, %6: int = {GEN}\nleave %5, %0"
    after, done = cut(body, {6: ":"})
    assert done == {6}
    led = f"%7: str = let {without}\n%4: ctx = append %1, %7"
    assert after == body.replace("%4: ctx = append %1, %3", led)


def test_a_context_from_which_others_go_on_stays_as_it_is() -> None:
    for other in (
        "%7: ctx = append %4, %0",
        "%7: ctx, %8: str = gen from %4 as str path [1]",
    ):
        body = f'%1: ctx = start\n%3: str = let "{{\\"a\\":"\n%4: ctx = append %1, %3\n{other}\n'
        body += f"%5: ctx, %6: int = {GEN}\nleave %5, %0"
        assert cut(body, {6: ":"}) == (body, set())


def test_text_that_stands_elsewhere_too_stays_there() -> None:
    body = '%1: ctx = start\n%3: str = let "{\\"a\\":"\n%7: ctx = append %1, %3\n'
    body += f"%4: ctx = append %7, %3\n%5: ctx, %6: int = {GEN}\nleave %5, %0"
    after, done = cut(body, {6: ":"})
    assert done == {6}
    led = '%8: str = let "{\\"a\\""\n%4: ctx = append %7, %8'
    assert after == body.replace("%4: ctx = append %7, %3", led)


@pytest.mark.parametrize("text", ["", "%3: str = let %0[1]\n", '%3: str = let "{a"\n'])
def test_text_that_is_not_known_to_end_so_stays(text: str) -> None:
    body = f"%1: ctx = start\n{text}%4: ctx = append %1, {'%3' if text else '%0'}\n"
    body += f"%5: ctx, %6: int = {GEN}\nleave %5, %0"
    assert cut(body, {6: ":"}) == (body, set())


def test_the_base_of_later_pieces_moves_along() -> None:
    body = f"""%1: ctx = start
%3: str = let "{{\\"a\\":"
%4: ctx = append %1, %3
%5: ctx, %6: int = gen from %4 as int path [0, 0] {OPENED} [",", int, "}}"]
%7: str = let ","
%8: ctx = append %5, %7
%9: ctx, %10: int = gen from %8 as int path [0, 1] piece since %4 before "," after ["}}"]
leave %9, %0"""
    after, done = cut(body, {6: ":", 10: ","})
    assert done == {6, 10}
    opened = '%11: str = let "{\\"a\\""\n%4: ctx = append %1, %11'
    between = '%12: str = let ""\n%8: ctx = append %5, %12'
    wanted = body.replace("%4: ctx = append %1, %3", opened)
    assert after == wanted.replace("%8: ctx = append %5, %7", between)


def test_a_gen_without_a_lead_keeps_its_append() -> None:
    body = '%1: ctx = start\n%3: str = let "{\\"a\\":"\n%4: ctx = append %1, %3\n'
    body += f"%5: ctx, %6: int = {GEN}\nleave %5, %0"
    assert cut(body, {6: ""}) == (body, set())
