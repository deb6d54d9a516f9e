"""What fails: where it is caught, which failure is told, and that other rows go on."""

from __future__ import annotations

import random

import pytest
from plan_code import SPAN, fork_code, gen, tried

from sglc.codegen import instruction as p
from sglc.ir.host.expr import Binary, Compare, Const, Index, Operand
from sglc.runtime.row import RowDone, RowFailed, Usage


def test_try_goes_to_its_handler(plan_of, run_plan):
    plan = plan_of(
        [
            *tried(1, p.Eval(1, Index(Operand(0), Const(3)), (0,), SPAN)),
            p.Start(9),
            p.Return(9, 1),
        ],
        ["items"],
    )
    ran = run_plan(plan, [{"items": [1]}, {"items": [1, 2, 3, 4]}])
    assert [outcome.output for outcome in ran.outcomes] == ["default", 4]


def test_try_does_not_catch_a_failed_require(plan_of, run_plan):
    code = [p.EnterTry("handler"), p.Fail(0, SPAN), "handler", p.Start(9), p.Return(9, 0)]
    failed = run_plan(plan_of(code, ["m"]), [{"m": "no"}]).outcomes[0]
    assert (failed.code, failed.message) == ("require", "no")


def guarded_fork(*branch, after=()):
    """try (a fork over register 0, field `v` of its group): the default is "default"."""
    return [
        *tried(
            3,
            p.Fork(3, None, None, 0, ("v",), "branch", None, 5, 6, SPAN),
            gen(10, 11, 1, name="aside", path=(8,)),
        ),
        *after,
        p.Start(9),
        p.Return(9, 3),
        "branch",
        *branch,
        p.End((7,)),
    ]


WAIT = gen(9, 8, 9, path=(1, p.PathReg(6)))


DIVIDE = p.Eval(7, Binary("/", Const(1), Operand(0)), (5,), SPAN)


@pytest.mark.parametrize("branch", [[DIVIDE, p.Start(9), WAIT], [p.Start(9), WAIT, DIVIDE]])
def test_try_catches_what_fails_in_a_task_started_in_it(plan_of, run_plan, branch):
    plan = plan_of([p.Start(1), *guarded_fork(*branch)], ["items"])
    rows = [{"items": [1, 2]}, {"items": [1, 0, 2, 0]}, {"items": [0]}]
    plain = run_plan(plan, rows, keep_trace=True).outcomes
    assert [outcome.output for outcome in plain] == [[{"v": 1}, {"v": 0.5}], "default", "default"]
    assert [name for name, _ in plain[0].trace.names] == ["x", "x", "aside"]
    assert "aside" not in dict(plain[1].trace.names)
    for seed in range(10):
        rng = random.Random(seed)
        assert run_plan(plan, rows, rng=rng, keep_trace=True).outcomes == plain


def test_a_failed_require_before_what_try_would_catch(plan_of, run_plan):
    """Item 0 fails a require after a gen; item 1 divides by zero at once, but comes later."""
    branch = [
        p.Eval(2, Compare("==", Operand(0), Const("bad")), (5,), None),
        p.Branch(2, "divide"),
        p.Start(9),
        WAIT,
        p.Fail(5, SPAN),
        "divide",
        DIVIDE,
    ]
    plan = plan_of([p.Start(1), *guarded_fork(*branch)], ["items"])
    rows = [{"items": ["bad", 0]}, {"items": [0, "bad"]}]
    failed, caught = run_plan(plan, rows).outcomes
    assert (failed.code, failed.message) == ("require", "bad")
    assert caught.output == "default"


def test_what_fails_after_a_try_is_not_caught(plan_of, run_plan):
    after = [p.Eval(3, Index(Operand(0), Const(9)), (0,), SPAN)]
    plan = plan_of([p.Start(1), *guarded_fork(p.Start(9), WAIT, DIVIDE, after=after)], ["items"])
    assert run_plan(plan, [{"items": [1]}]).outcomes[0].code == "index_error"


def test_try_in_a_branch_within_try(plan_of, run_plan):
    """The inner default of a branch is no failure of the outer block."""
    branch = [
        p.EnterTry("inner"),
        DIVIDE,
        p.LeaveTry(),
        p.End((7,)),
        "inner",
        p.Move((7,), (5,)),
    ]
    plan = plan_of([p.Start(1), *guarded_fork(*branch)], ["items"])
    assert run_plan(plan, [{"items": [2, 0]}]).outcomes[0].output == [{"v": 0.5}, {"v": 0}]


def test_a_failing_row_ends_alone(plan_of, run_plan):
    """Rows 1 and 3 fail while their branches are in flight; the others do not notice."""
    code = fork_code(join=True)
    rows = [{"items": ["c", "x", "y"]} for _ in range(5)]
    plan = plan_of(code, ["items"])

    def refuse(request):
        return "too big" if request.order[0] in (1, 3) and request.order[-2] == 2 else None

    alone = run_plan(plan, rows).outcomes
    ran = run_plan(plan, rows, refuse=refuse)
    assert [type(outcome) for outcome in ran.outcomes] == [
        RowDone, RowFailed, RowDone, RowFailed, RowDone,
    ]  # fmt: skip
    assert (ran.outcomes[1].code, ran.outcomes[1].message) == ("kv_memory", "too big")
    for index in (0, 2, 4):
        assert ran.outcomes[index] == alone[index]


def two_runs(first, second):
    """Runs of the code at labels `gens`, `fails` (register 0 says whether) and `waits` (a gen, then
    a failure)."""
    return [
        p.Run(1, first, SPAN),
        p.Run(2, second, SPAN),
        p.Start(9),
        p.Return(9, 0),
        "gens",
        p.Start(9),
        gen(9, 3, 9),
        p.End((3,)),
        "fails",
        p.Fail(0, SPAN),
        "waits",
        p.Start(9),
        gen(9, 3, 9),
        p.Fail(3, None),
    ]


def test_what_comes_after_a_failure_is_stopped(plan_of, run_plan):
    ran = run_plan(plan_of(two_runs("fails", "gens"), ["m"]), [{"m": "stop"}])
    assert ran.outcomes[0] == RowFailed(0, "require", "stop", SPAN, usage=Usage())
    assert ran.engine.stats.steps == 0
    assert ran.engine.cancelled == ran.engine.submitted


def test_the_first_failure_in_program_order_is_reported(plan_of, run_plan):
    """The second run fails at once, the first only when its gen is there."""
    for order in (("waits", "fails"), ("waits", "waits")):
        plan = plan_of(two_runs(*order), ["m"])
        ran = run_plan(plan, [{"m": "second"}], say=lambda r: f"after {r.order}")
        assert ran.outcomes[0].message == "after (0, 1, 1, 0)"
        assert ran.outcomes[0].usage.gens == 1
    ran = run_plan(plan_of(two_runs("gens", "fails"), ["m"]), [{"m": "second"}])
    assert (ran.outcomes[0].message, ran.outcomes[0].usage.gens) == ("second", 1)


def test_too_long_says_both_numbers(plan_of, run_plan):
    plan = plan_of([p.Start(9), p.Append(9, 9, 0), gen(9, 1, 9), p.Return(9, 1)], ["q"])
    short, long = run_plan(plan, [{"q": "x" * 9872}, {"q": "x" * 9873}]).outcomes
    assert isinstance(short, RowDone)
    assert (long.code, long.span) == ("too_long", SPAN)
    assert long.message == (
        "needs 10001 tokens (9873 before it and 128 of max_tokens), the model's context holds "
        "10000; shorten the row's texts or ask for fewer tokens"
    )
