"""Extern calls: results, failures, time, and what hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

import pytest

from sglc.codegen import instruction as p
from sglc.codegen.plan import ExternDecl
from sglc.ir.types import INT, JSON, STR, ListType
from sglc.runtime.machine.externs import ExternCalls
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow, RowDone, RowFailure


def decl(name="f", result=JSON, timeout=None, retries=0):
    return ExternDecl(name, (("x", JSON),), result, False, timeout, retries)


def call(function, *args, decl=decl()):  # noqa: B008
    """The answer of one call, waited for at most two seconds."""
    calls = ExternCalls([decl], {decl.name: function})
    answers = []
    calls.call(decl.name, args, None, answers.append)
    deadline = time.monotonic() + 2
    while not answers and time.monotonic() < deadline:
        calls.poll(0.05)
    calls.close()
    assert answers, "no answer"
    return answers[0]


def failure(answer):
    assert isinstance(answer, RowFailure) and answer.code == "extern"
    return answer.message


async def slowly(x):
    await asyncio.sleep(0.001)
    return [x]


def test_plain_and_async_functions():
    assert call(lambda x: x * 2, "ab") == "abab"
    assert call(slowly, 1) == [1]
    assert call(partial(slowly), 1) == [1]
    assert call(lambda x: slowly(x), 1) == [1]  # a plain function that returns a coroutine


def test_an_exception_names_the_function():
    def broken(x):
        raise ValueError("bad isbn")

    async def broken_later(x):
        raise KeyError

    assert failure(call(broken, 1)) == "extern `f` raised ValueError: bad isbn"
    assert failure(call(broken_later, 1)) == "extern `f` raised KeyError"
    assert failure(call(lambda: 1, 1)).startswith("extern `f` raised TypeError: ")
    assert failure(call(lambda x: exit(1), 1)) == "extern `f` raised SystemExit: 1"


def test_the_result_is_of_the_declared_type():
    assert call(lambda x: [1, 2], 0, decl=decl(result=ListType(INT))) == [1, 2]
    assert failure(call(lambda x: ["a"], 0, decl=decl(result=ListType(INT)))) == (
        "extern `f` returned a wrong value: at [0]: expected an int, found a str"
    )
    assert failure(call(lambda x: {1}, 0)).startswith("extern `f` returned a wrong value: ")
    assert failure(call(lambda x: float("nan"), 0)).startswith("extern `f` returned a wrong value")


def test_retries_count_tries():
    tries = []

    def flaky(x):
        tries.append(x)
        if len(tries) < 3:
            raise OSError("try again")
        return "done"

    assert failure(call(flaky, 1, decl=decl(retries=1))) == "extern `f` raised OSError: try again"
    assert len(tries) == 2
    assert call(flaky, 1, decl=decl(retries=2)) == "done"


def test_timeouts():
    hang = threading.Event()

    async def hang_async(x):
        await asyncio.sleep(30)

    start = time.monotonic()
    short = decl(timeout=0.05)
    assert failure(call(lambda x: hang.wait(30), 1, decl=short)) == (
        "extern `f` did not return in 0.05 s"
    )
    assert failure(call(hang_async, 1, decl=short)) == "extern `f` did not return in 0.05 s"
    assert call(lambda x: "quick", 1, decl=short) == "quick"
    assert time.monotonic() - start < 2
    hang.set()


def test_waiting_for_a_thread_is_no_timeout(monkeypatch):
    monkeypatch.setattr("sglc.runtime.machine.externs.MAX_THREADS", 1)
    calls = ExternCalls([decl(timeout=0.2)], {"f": lambda x: time.sleep(0.06) or x})
    answers = []
    for x in range(5):
        calls.call("f", [x], None, answers.append)
    while calls.num_pending:
        calls.poll(0.05)
    assert answers == [0, 1, 2, 3, 4]


def test_arguments_are_copies():
    value = [{"a": [1]}]

    def spoil(x):
        x[0]["a"].append(2)
        return x

    assert call(spoil, value) == [{"a": [1, 2]}]
    assert value == [{"a": [1]}]


def test_forgotten_calls_do_not_answer():
    calls = ExternCalls([decl()], {"f": lambda x: x})
    answers = []
    mine, other = object(), object()
    calls.call("f", ["mine"], mine, answers.append)
    calls.call("f", ["other"], other, answers.append)
    calls.forget(mine)
    assert calls.num_pending == 1
    while calls.num_pending:
        calls.poll(0.05)
    calls.poll(0.05)
    assert answers == ["other"]


def test_missing_functions_are_named():
    with pytest.raises(ValueError, match="not given: `a`, `b`"):
        ExternCalls([decl("a"), decl("f"), decl("b")], {"f": len})


# ---------------------------------------------------------------- in the machine


@pytest.fixture
def extern_plan(plan_of):
    """y = f(x), with a default for when it fails if `guarded`."""

    def make(guarded=False, **changes):
        code = [
            p.Extern(1, "f", (0,), (0,), None),
            *([p.LeaveTry()] if guarded else []),
            p.Jump("after"),
            "handler",
            p.Move((1,), (0,)),
            "after",
            p.Start(9),
            p.Return(9, 1),
        ]
        return plan_of(
            [p.EnterTry("handler"), *code] if guarded else code,
            ["x"],
            externs=(decl(**changes),),
        )

    return make


def test_rows_go_on_while_one_waits(extern_plan, run_plan):
    """Row 0's function returns only after row 1's was called."""
    called = threading.Event()

    def f(x):
        if x == 1:
            called.set()
        return called.wait(5)

    ran = run_plan(extern_plan(), [{"x": 0}, {"x": 1}], externs={"f": f})
    assert [outcome.output for outcome in ran.outcomes] == [True, True]


def test_a_raising_extern_fails_its_row_or_is_caught(extern_plan, run_plan):
    def f(x):
        if x == 1:
            raise RuntimeError("down")
        return "up"

    rows = [{"x": 0}, {"x": 1}, {"x": 2}]
    ran = run_plan(extern_plan(), rows, externs={"f": f})
    assert [type(outcome) is RowDone for outcome in ran.outcomes] == [True, False, True]
    assert ran.outcomes[1].message == "extern `f` raised RuntimeError: down"
    ran = run_plan(extern_plan(guarded=True), rows, externs={"f": f})
    assert [outcome.output for outcome in ran.outcomes] == ["up", 1, "up"]


def test_closing_does_not_wait_for_what_hangs(extern_plan, markup, tokenizer, engine_of):

    hang = threading.Event()
    plan = extern_plan(result=STR)
    spec = ModelSpec(plan.model, tokenizer, markup)
    machine = Machine(plan, spec, engine_of(), externs={"f": lambda x: hang.wait(30)})
    machine.start(BoundRow(0, b"", {"x": 0}))
    start = time.monotonic()
    assert machine.step() == []
    machine.close()
    assert time.monotonic() - start < 1
    assert machine.num_active == 0
    hang.set()
