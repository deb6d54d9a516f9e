"""The verifier catches seeded faults, each with its own sentence, and accepts the well formed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir import graph
from sglc.ir.host import expr as e
from sglc.ir.module import Function, Module
from sglc.ir.ops import Let, Region, Value
from sglc.ir.testing import random_module
from sglc.ir.text import parse_module
from sglc.ir.types import STR
from sglc.ir.verify import IRError, verify


def program(body: str, *, params: str = "%0: str, %90: bool", around: str = "") -> Module:
    return parse_module(
        f"{around}\nprogram main({params}) {{\n  %1: ctx = start\n{body}\n  leave %1, %0\n}}"
    )


FUNCTION = "function f(%0: ctx, %1: str) -> str {\n  leave %0, %1\n}"

FAULTS = {
    "defined twice": (program("%2: int = let 1\n%2: int = let 2"), "%2 is defined twice"),
    "not visible": (
        program("%3: str = if %90 {\n%2: str = let %0\nyield %2\n} else {\nyield %2\n}"),
        "%2 is not visible in a `yield`",
    ),
    "no context": (
        program("%2: ctx = append %0, %0"),
        "%0 of `%2: ctx = append %0, %0` is not a context",
    ),
    "no host value": (
        program("%2: ctx = append %1, %1"),
        "%1 of `%2: ctx = append %1, %1` is no host value",
    ),
    "role changes": (
        program('%2: ctx<user> = open %1, "user"\n%3: ctx = append %2, %0'),
        "the role changes in",
    ),
    "role in role": (
        program('%2: ctx<user> = open %1, "user"\n%3: ctx<tool> = open %2, "tool"'),
        "a role stands open before",
    ),
    "wrong role": (
        program('%2: ctx<tool> = open %1, "user"'),
        "the role is not that of the result in",
    ),
    "nothing to close": (program("%2: ctx = close %1"), "no role stands open before"),
    "text in a path": (
        program("%2: ctx, %3: str = gen from %1 as str path [%0]"),
        "%0 in the path of",
    ),
    "unknown meta": (
        program("%2: ctx, %3: str, %4: str = gen from %1 as str metas [mood] path []"),
        "unknown or repeated metas in",
    ),
    "option twice": (
        program("%2: int = let 1\n%3: ctx, %4: str = gen from %1 as str with (n=%2, n=%2) path []"),
        "an option stands twice in",
    ),
    "unknown method": (
        program("%2: list[str] = let []\n%3: ctx, %4: str = select from %1 in %2 by luck path []"),
        "`luck` is no method of select",
    ),
    "unknown function": (program("%2: str = let shout(%0)"), "`shout` is no built-in function in"),
    "unbound name": (program("%2: str = let x"), "`x` is not bound in"),
    "name out of its comprehension": (
        program("%2: json = let [[x for x in %0], x]"),
        "`x` is not bound in",
    ),
    "yield at the end": (
        parse_module("program main(%0: str) {\n  %1: ctx = start\n  yield %1, %0\n}"),
        "the body does not end in a `leave`",
    ),
    "break outside of a loop": (
        program("if %90 {\nbreak\n} else {\nyield\n}"),
        "`break` ends the then of `if %90 {`",
    ),
    "leave out of a fork": (
        program(
            "%2: list[str] = let []\n"
            "%3: group{} = fork over %2 fields [] (%4: str, %5: int) {\nleave %1, %0\n}"
        ),
        "`leave` ends the body of",
    ),
    "leave out of a run, from inside": (
        program(
            "%2: str = run {\nif %90 {\nleave %1, %0\n} else {\nyield\n}\nyield %0\n}",
        ),
        "`leave` ends the then of",
    ),
    "a loop that yields": (
        program("%2: list[str] = let []\nfor %2 (%3: str, %4: int) {\nyield\n}"),
        "`yield` ends the body of",
    ),
    "arguments of a loop": (
        program("%2: list[str] = let []\nfor %2 (%3: str) {\ncontinue\n}"),
        "the arguments of the body do not fit",
    ),
    "round that is no int": (
        program("%2: list[str] = let []\nfor %2 (%3: str, %4: str) {\ncontinue\n}"),
        "the arguments of the body do not fit",
    ),
    "arms that differ": (
        program("%2: str = if %90 {\nyield %0\n} else {\nyield\n}"),
        "a `yield` does not match the results of",
    ),
    "context for a value": (
        program("%2: str = if %90 {\nyield %0\n} else {\nyield %1\n}"),
        "a `yield` does not match the results of",
    ),
    "jump without its values": (
        program(
            "%2: list[str] = let []\n"
            "%3: str = for %2 carrying (%0) (%4: str, %5: int, %6: str) {\ncontinue\n}"
        ),
        "a jump does not match the results of",
    ),
    "carried without result": (
        program(
            "%2: list[str] = let []\n"
            "for %2 carrying (%0) (%4: str, %5: int, %6: str) {\ncontinue\n}"
        ),
        "what `for %2 carrying (%0) (%4: str, %5: int, %6: str) {` carries does not match",
    ),
    "test without a value": (
        program("%2: int = let 1\nwhile max %2 (%3: int) {\nyield\n} do (%4: int) {\ncontinue\n}"),
        "does not yield one host value",
    ),
    "fields that repeat": (
        program(
            "%2: list[str] = let []\n"
            "%3: group{} = fork over %2 fields [a, a] (%4: str, %5: int) {\nyield %4, %4\n}"
        ),
        "two fields have one name in",
    ),
    "field without a value": (
        program(
            "%2: list[str] = let []\n"
            "%3: group{} = fork over %2 fields [a] (%4: str, %5: int) {\nyield\n}"
        ),
        "the yielded values are not the fields of",
    ),
    "fork without its contexts": (
        program(
            "%2: list[str] = let []\n"
            "%3: group{} = fork %1 over %2 fields [] (%6: ctx, %4: str, %5: int) {\nyield\n}"
        ),
        "one of context and contexts is missing in",
    ),
    "scope and its leave": (
        program("%2: str = scope {\nleave %1\n}"),
        "a `leave` does not match the results of",
    ),
    "no such function": (
        program("%2: ctx, %3: str = call f(%1, %0) path []"),
        "in main: no such function in",
    ),
    "too few arguments": (
        program("%2: ctx, %3: str = call f(%1) path []", around=FUNCTION),
        "in main: the wrong number of arguments in",
    ),
    "result that is not there": (
        program("%2: ctx = call f(%1, %0) path []", around=FUNCTION),
        "in main: the callee's result does not fit",
    ),
    "another role than the callee's": (
        program(
            '%2: ctx<user> = open %1, "user"\n%3: ctx<user>, %4: str = call f(%2, %0) path []',
            around=FUNCTION,
        ),
        "in main: the callee takes another role than",
    ),
    "recursion": (
        program(
            "",
            around="function f(%0: ctx) {\n  %1: ctx = call f(%0) path []\n  leave %1\n}",
        ),
        "f calls itself",
    ),
    "undeclared extern": (
        program("%2: str = extern look(%0) path []"),
        "in main: undeclared extern in",
    ),
    "arguments of an extern": (
        program("%2: str = extern look() path []", around="extern look(q: str) -> str"),
        "in main: the wrong number of arguments in",
    ),
    "leave without a value": (
        parse_module(
            "program main(%0: str, %9: bool) {\n  %1: ctx = start\n"
            "if %9 {\nleave %1\n} else {\nyield\n}\n  leave %1, %0\n}"
        ),
        "in main: a `leave` without a context and a value",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_caught(fault: str) -> None:
    module, message = FAULTS[fault]
    with pytest.raises(IRError) as caught:
        verify(module)
    assert message in str(caught.value)


def test_expressions_that_text_cannot_say_are_caught() -> None:
    module = program("")
    for expr, message in (
        (e.Operand(1), "operand 1 is not there"),
        (e.Const(float("inf")), "inf is no value"),
        (e.Binary("@", e.Operand(0), e.Operand(0)), "`@` is no operator"),
    ):
        let = Let(Value(5, STR), expr, (module.program.body.args[0],))
        start, *_ = module.program.body.ops
        body = Region(module.program.body.args, (start, let), module.program.body.end)
        main = Function("main", body, True, module.program.params)
        with pytest.raises(IRError, match=message):
            verify(Module(main, (), (), ()))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_random_modules_are_well_formed(seed: int) -> None:
    verify(random_module(random.Random(seed), num_statements=4))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_a_dropped_definition_is_always_caught(seed: int) -> None:
    """Taking out an op whose result is used somewhere breaks the module."""
    draw = random.Random(seed)
    module = random_module(draw, num_statements=4)
    body = module.program.body
    used = graph.uses(body)
    places = [
        place
        for place, op in enumerate(body.ops)
        if any(used[value.id] for value in graph.results(op))
    ]
    place = draw.choice(places)
    cut = Region(body.args, body.ops[:place] + body.ops[place + 1 :], body.end)
    main = Function("main", cut, True, module.program.params)
    with pytest.raises(IRError):
        verify(Module(main, module.functions, module.externs, ()))
