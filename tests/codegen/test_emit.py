"""Emitted code means what the IR means: two interpreters, one answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sglc.codegen.emit import emit
from sglc.codegen.listing import listing
from sglc.compiler.check import check
from sglc.compiler.lower.module import lower
from sglc.ir import types as t
from sglc.ir.host.evaluate import evaluate
from sglc.ir.interpret import interpret
from sglc.ir.module import Module
from sglc.ir.testing import EXTERNS, random_module, random_row
from sglc.ir.toy import ToyModel
from sglc.passes import PIPELINE, run_pipeline

OPTIONAL = [each.name for each in PIPELINE if each.is_optimization]


def _value(type: t.Type, draw: random.Random) -> Any:
    match type:
        case t.IntType():
            return draw.randrange(-1, 4)
        case t.FloatType():
            return draw.choice([0.0, 0.5, 2.0])
        case t.BoolType():
            return draw.random() < 0.5
        case t.ListType(item=item):
            return [_value(item, draw) for _ in range(draw.randrange(4))]
        case t.JsonType():
            return [[draw.randrange(3), "v"] for _ in range(draw.randrange(3))]
        case _:
            return draw.choice(["", "a", "b", "abc", "stop"])


def _externs(module: Module) -> dict[str, Callable[..., Any]]:
    """Functions of their arguments alone, some of which raise."""

    def make(type: t.Type) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            draw = random.Random(repr(args))
            if draw.random() < 0.3:
                raise ValueError("no luck")
            return _value(type, draw)

        return function

    return {extern.name: make(extern.result) for extern in module.externs}


def test_code_means_what_the_ir_means(program_text: str, execute: Any) -> None:
    module = lower(check(None, program_text))
    draw = random.Random(program_text)
    for skip in ((), OPTIONAL):
        final = run_pipeline(module, skip=skip)
        emitted = emit(final.program)
        for seed in range(12):
            row = {
                param.value.name: _value(param.value.type, draw) for param in module.program.params
            }
            externs = _externs(module)
            meant = interpret(module, row, ToyModel(seed), externs)
            expected = interpret(final, row, ToyModel(seed), externs)
            assert expected.value == meant.value, "a pass is wrong"
            assert expected.failure == meant.failure, "a pass is wrong"
            found = execute(
                emitted.code, emitted.num_regs, list(row.values()), ToyModel(seed), externs
            )
            assert found == expected, "\n".join(listing(emitted.code))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 2**32))
def test_code_of_random_modules_means_what_the_ir_means(execute: Any, seed: int) -> None:
    draw = random.Random(seed)
    module = random_module(draw)
    final = run_pipeline(module, skip=draw.choice([[], OPTIONAL]))
    row = random_row(random.Random(seed))
    values = [
        row[param.value.name]
        if param.value.name in row or param.default is None
        else evaluate(param.default)
        for param in final.program.params
    ]
    emitted = emit(final.program)
    found = execute(emitted.code, emitted.num_regs, values, ToyModel(seed), EXTERNS)
    assert found == interpret(final, row, ToyModel(seed), EXTERNS), listing(emitted.code)
