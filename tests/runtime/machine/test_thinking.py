"""`reasoning` around constrained gens: a free request up to the closing mark, then the value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sglc.codegen import instruction as p
from sglc.codegen.automata.compile import compile_constraint
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.codegen.plan import Plan, PlanConstraint
from sglc.ir import types as t
from sglc.ir.host.expr import Const
from sglc.runtime.machine.reasoning import ends_with
from sglc.runtime.row import RowFailed

SOURCE = ConstraintSource("type", type=t.IntType(10, 99))  # two tokens
GEN = p.Gen(9, 1, 9, t.IntType(10, 99), (), (("reasoning", 2),), (0,), True, "x", constraint=0)


@pytest.fixture
def thinking_plan(plan_of, tokenizer):
    def make(*before: object, value: int = 3, **options: object) -> Plan:
        """`before` stands before a gen with options that are constants; returns [thought, x]."""
        lets = [p.Eval(10 + i, Const(v), ()) for i, v in enumerate(options.values())]
        gen = replace(GEN, options=tuple((name, 10 + i) for i, name in enumerate(options)))
        code = [p.Start(9), *before, *lets, gen, p.Return(9, value)]
        constraint = compile_constraint(SOURCE, vocabulary_of(tokenizer))
        return plan_of(code, constraints=(PlanConstraint(SOURCE, constraint),))

    return make


def saying(thought: str, value: str = "42"):
    return lambda request: thought if request.constraint is None else value


def test_the_model_thinks_and_then_its_value_follows(thinking_plan, run_plan, tokenizer) -> None:
    plan = thinking_plan(value=2, max_tokens=20, temperature=0.5, logprobs=3)
    ran = run_plan(plan, say=saying(" hm\n"))
    thought, value = ran.engine.submitted
    opening, closing = map(tokenizer.control_id, ("<think>", "</think>"))
    assert thought.constraint is None and value.constraint is not None
    assert thought.prefix.token_ids() == [opening]
    # two tokens for the value and two for the marks
    assert thought.sampling.max_tokens == 20 - 4
    assert thought.sampling.stop_token_ids == (closing,)
    assert thought.sampling.allows_thinking and thought.sampling.logprobs is None
    said = tokenizer.encode(" hm\n")
    assert value.prefix.token_ids() == [opening, *said, closing]
    assert value.sampling.max_tokens == 20 - len(said) - 2
    assert value.sampling.temperature == 0.5 and value.sampling.logprobs == 3
    assert value.seed != thought.seed
    assert ran.outcomes[0].output == "hm"
    assert ran.outcomes[0].usage.decoded_tokens == len(said) + 1 + len(tokenizer.encode("42")) + 1


def test_the_value_is_bound_and_the_thought_is_not_said(thinking_plan, run_plan) -> None:
    plan = thinking_plan(p.Append(9, 9, 3), value=1, max_tokens=20)
    plan = replace(plan, code=(p.Eval(3, Const("q"), ()), *plan.code))
    ran = run_plan(plan, say=saying("hm"), keep_trace=True)
    assert ran.outcomes[0].output == 42
    assert ran.outcomes[0].trace.contexts == ([{"role": None, "text": "q42"}],)


def test_a_prompt_that_opens_the_thinking_is_not_opened_twice(
    thinking_plan, run_plan, tokenizer
) -> None:
    plan = thinking_plan(p.Control(9, 9, "<think>", None), max_tokens=20)
    ran = run_plan(plan, say=saying("hm"))
    thought, _ = ran.engine.submitted
    assert thought.prefix.token_ids() == [tokenizer.control_id("<think>")]
    assert thought.sampling.max_tokens == 20 - 3


def test_without_room_for_a_thought_the_value_comes_at_once(thinking_plan, run_plan) -> None:
    ran = run_plan(thinking_plan(value=2, max_tokens=4), say=saying("hm"))
    (value,) = ran.engine.submitted
    assert value.constraint is not None and value.sampling.max_tokens == 4
    assert ran.outcomes[0].output == ""
    ran = run_plan(thinking_plan(value=2, max_tokens=1), say=saying("hm"))
    assert isinstance(ran.outcomes[0], RowFailed)
    assert ran.outcomes[0].code == "budget_too_small"


def test_a_model_without_marks_writes_the_value_at_once(
    thinking_plan, run_plan, tokenizer, monkeypatch
) -> None:
    monkeypatch.setattr(type(tokenizer), "control_id", lambda self, name: None)
    ran = run_plan(thinking_plan(value=1, max_tokens=20), say=saying("hm"))
    (value,) = ran.engine.submitted
    assert value.constraint is not None and ran.outcomes[0].output == 42


def test_each_sample_has_its_own_thought(thinking_plan, run_plan) -> None:
    thoughts, values = iter(["a", "b", "c"]), iter(["11", "12", "13"])

    def say(request):
        return next(thoughts if request.constraint is None else values)

    ran = run_plan(thinking_plan(value=2, max_tokens=20, n=3), say=say)
    assert ran.outcomes[0].output == ["a", "b", "c"]
    assert len({request.seed for request in ran.engine.submitted}) == 6


def test_equal_thoughts_at_temperature_0_are_one(thinking_plan, run_plan) -> None:
    plan = thinking_plan(value=1, max_tokens=20, temperature=0)
    ran = run_plan(plan, [{}, {}], say=saying("hm"))
    assert [outcome.output for outcome in ran.outcomes] == [42, 42]
    assert len(ran.engine.submitted) == 2


def test_where_a_mark_ends_a_stretch() -> None:
    assert ends_with(["a", 7, "\n"], "<think>", 7) and ends_with(["a <think>\n"], "<think>", None)
    assert not ends_with([7, "a"], "<think>", 7) and not ends_with([], "<think>", 7)
