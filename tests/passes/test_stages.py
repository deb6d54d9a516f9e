"""The stages of values, on a small program and against runs of random ones."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir import graph
from sglc.ir.interpret import interpret
from sglc.ir.testing import EXTERNS, random_module, random_row
from sglc.ir.text import parse_module
from sglc.ir.toy import ToyModel
from sglc.passes import run_pipeline
from sglc.passes.stages import Stage, stages

PROGRAM = parse_module(
    """
program main(%q.0: str, %items.1: list[str]) -> str {
  %2: ctx = start
  %20: int = let 0
  %greeting.3: str = let "hi"
  %asked.4: str = let t"{%greeting.3} {%q.0}"
  %5: ctx = append %2, %asked.4
  %6: ctx, %answer.7: str = gen answer from %5 as str path [0]
  %is_hot.8: bool = let %answer.7 == "hot"
  %9: ctx, %mood.10: str, %plain.11: str = if %is_hot.8 {
    yield %6, %greeting.3, %q.0
  } else {
    yield %6, %greeting.3, %q.0
  }
  %12: ctx, %count.13: int, %early.14: str = for %items.1 carrying (%2, %20, %greeting.3)ARGS {
    %21: bool = let %item.15 == "x"
    if %21 {
      break %17, %sum.18, %item.15
    } else {
      yield
    }
    %22: int = let %sum.18 + 1
    continue %17, %22, %word.19
  }
  leave %12, %mood.10
}
""".replace("ARGS", " (%item.15: str, %16: int, %17: ctx, %sum.18: int, %word.19: str)")
)


def test_a_value_is_as_late_as_what_it_comes_from() -> None:
    assert dict(stages(PROGRAM.program).names) == {
        "q": Stage.INPUT,
        "items": Stage.INPUT,
        "greeting": Stage.CONST,
        "asked": Stage.INPUT,
        "answer": Stage.GEN,
        "is_hot": Stage.GEN,
        "mood": Stage.GEN,  # a constant, but which one the model decides
        "plain": Stage.GEN,
        "count": Stage.INPUT,
        "early": Stage.INPUT,
        "item": Stage.INPUT,
        "sum": Stage.INPUT,
        "word": Stage.INPUT,
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_not_of_the_gen_stage_does_not_depend_on_the_model(seed: int) -> None:
    draw = random.Random(seed)
    module = run_pipeline(random_module(draw), skip=["dce"])
    if graph.leaves_early(module.program.body):
        return  # then the model may decide which value it is
    value = module.program.body.end.values[1]
    if stages(module.program).by_value[value.id] is Stage.GEN:
        return
    row = random_row(draw)
    one, two = (interpret(module, row, ToyModel(model), EXTERNS) for model in (1, 2))
    if one.failure is None and two.failure is None:
        assert one.value == two.value
