"""Whatever finishes first, and whichever rows run together, a row's results are the same."""

from __future__ import annotations

import dataclasses
import gc
import random

import pytest

from sglc.codegen import instruction as p
from sglc.ir.host.expr import Binary, Compare, Const, Field, Format, Index, JsonConst, Operand
from sglc.ir.types import STR

Q, ROUNDS, ITEMS, GREEDY, COUNT = 0, 1, 2, 3, 4


def gen(dst, value, src, name, path, *options):
    return p.Gen(dst, value, src, STR, options, (), path, False, name, None)


def evaluate(dst, expr, *args):
    return p.Eval(dst, expr, args, None)


# A prompt; a run in its own context; a loop of gens, each round with a fork whose branches gen,
# select, and fork again; the joined branches; a branch on a generated value; a gen with n.
CODE = [
    evaluate(GREEDY, Const(0)),
    evaluate(COUNT, Const(2)),
    p.Run(20, "aside", None),
    p.Start(9),
    p.Open(9, 9, "user"),
    p.Append(9, 9, Q),
    p.Close(9, 9),
    evaluate(8, Const(0)),
    "round",
    evaluate(7, Compare("<", Operand(0), Operand(1)), 8, ROUNDS),
    p.Branch(7, "rounds done"),
    p.Open(9, 9, "assistant"),
    gen(9, 6, 9, "step", (1, p.PathReg(8))),
    p.Close(9, 9),
    p.Fork(10, 11, 9, ITEMS, ("item", "grade", "notes"), "branch", 9, 12, 13, None),
    p.Join(9, 9, 9, 11),
    p.Drop((11,)),
    evaluate(8, Binary("+", Operand(0), Const(1)), 8),
    p.Jump("round"),
    "rounds done",
    p.Open(9, 9, "user"),
    evaluate(14, Format(((Operand(0), None), (Operand(1), None))), 20, 10),
    p.Append(9, 9, 14),
    evaluate(15, Compare("in", Const("A"), Operand(0)), 14),
    p.Branch(15, "short"),
    gen(9, 16, 9, "long", (5,), ("n", COUNT)),
    p.Return(9, 16),
    "short",
    gen(9, 16, 9, "short", (6,), ("temperature", GREEDY)),
    p.Return(9, 16),
    "aside",
    p.Start(9),
    p.Append(9, 9, Q),
    gen(9, 6, 9, "aside", (0,)),
    p.End((6,)),
    "branch",
    p.Open(9, 9, "user"),
    evaluate(28, Binary("+", Operand(0), Const("")), 12),
    p.Append(9, 9, 28),
    p.Close(9, 9),
    p.Open(9, 9, "assistant"),
    gen(9, 17, 9, "review", (2, p.PathReg(8), p.PathReg(13)), ("temperature", GREEDY)),
    evaluate(18, JsonConst('[" A", " B", " AB"]')),
    p.Select(9, 19, 9, 18, "greedy_token_selection", None, (), (3,), "grade", None),
    p.Close(9, 9),
    p.Move((21,), (13,)),
    p.Fork(22, None, 9, 18, ("note",), "note", 23, 24, 25, None),
    evaluate(26, Field(Index(Operand(0), Const(-1)), "note"), 22),
    p.End((9, 12, 19, 26)),
    "note",
    p.Open(23, 23, "assistant"),
    gen(23, 27, 23, "note", (4, p.PathReg(8), p.PathReg(21), p.PathReg(25))),
    p.End((23, 27)),
]

ITEMS_OF = [["c", "ab", "x"], [], ["e:"]]
ROWS = [
    *({"q": f"Q {n % 3}: abc e:", "rounds": n % 3, "items": ITEMS_OF[n % 3]} for n in range(7)),
    {"q": "fails", "rounds": 1, "items": None},
    {"q": "fails in a branch", "rounds": 1, "items": ["ok", None, "ok", None]},
]
NUM_FAILING = 2


@pytest.fixture
def plan(plan_of):
    return plan_of(CODE, ["q", "rounds", "items"])


def test_any_order_of_answers_and_rows(plan, run_plan):
    plain = run_plan(plan, ROWS, keep_trace=True)
    assert sum(hasattr(outcome, "output") for outcome in plain.outcomes) == len(ROWS) - NUM_FAILING
    for seed in range(25):
        rng = random.Random(seed)
        order = rng.sample(range(len(ROWS)), len(ROWS))
        ran = run_plan(plan, ROWS, rng=rng, order=order, keep_trace=True)
        assert ran.outcomes == plain.outcomes
        ran.engine.submitted.clear()
        ran.engine.cancelled.clear()
        gc.collect()
        assert not ran.engine.alive


def test_alone_as_in_company(plan, run_plan):
    together = run_plan(plan, ROWS).outcomes
    keys = [b"row %d" % index for index in range(len(ROWS))]
    for index, row in enumerate(ROWS):
        alone = run_plan(plan, [row], keys=[keys[index]]).outcomes[0]
        assert dataclasses.replace(alone, index=index) == together[index]


def test_samples_differ_by_row_and_run(plan, run_plan):
    equal = [ROWS[1]] * 3
    first = [outcome.output for outcome in run_plan(plan, equal).outcomes]
    assert len({str(output) for output in first}) == 3
    assert first == [outcome.output for outcome in run_plan(plan, equal).outcomes]
    assert first != [outcome.output for outcome in run_plan(plan, equal, seed=7).outcomes]


# ---------------------------------------------------------------- merging (rule 6)


def one_gen(plan_of, *options):
    consts = [evaluate(10 + n, Const(value)) for n, (_, value) in enumerate(options)]
    named = [(name, 10 + n) for n, (name, _) in enumerate(options)]
    code = [*consts, p.Start(9), p.Append(9, 9, 0), gen(9, 1, 9, "x", (0,), *named), p.Return(9, 1)]
    return plan_of(code, ["q"])


@pytest.mark.parametrize(
    ("options", "num_asked"),
    [
        ([("temperature", 0)], 2),
        ([("seed", 5)], 2),
        ([], 6),
        ([("temperature", 0), ("seed", 5)], 2),
    ],
)
def test_only_equal_deterministic_gens_are_one(plan_of, run_plan, options, num_asked):
    rows = [{"q": "abc"}] * 4 + [{"q": "ab"}] * 2
    ran = run_plan(one_gen(plan_of, *options), rows)
    assert len(ran.engine.submitted) == num_asked
    assert all(outcome.usage.gens == 1 for outcome in ran.outcomes)
    if num_asked == 2:
        assert len({outcome.output for outcome in ran.outcomes[:4]}) == 1


def test_equal_tokens_are_equal_however_they_were_cut(plan_of, run_plan):
    """Two prompts that reach the same tokens by other ways, and one that only spells the same."""
    plan = plan_of(
        [
            evaluate(4, Const(0)),
            p.Fork(5, None, None, 0, ("x",), "branch", None, 6, 7, None),
            p.Start(9),
            p.Return(9, 5),
            "branch",
            p.Start(9),
            p.Next(10, 6, 11, "all", None),
            "again",
            p.Append(9, 9, 10),
            evaluate(11, Binary("+", Operand(0), Const(1)), 11),
            p.Next(10, 6, 11, "all", None),
            p.Jump("again"),
            "all",
            gen(9, 12, 9, "x", (1,), ("temperature", 4)),
            p.End((12,)),
        ],
        ["texts"],
    )
    plan = plan_of([evaluate(11, Const(0)), *_shifted(plan.code)], ["texts"])
    ran = run_plan(plan, [{"texts": [["abc", "x"], ["a", "bcx"], ["abx"]]}])
    assert len(ran.engine.submitted) == 2


def _shifted(code):
    """The same code with one instruction before it."""
    names = ("to", "otherwise", "done", "entry", "handler")
    return [
        dataclasses.replace(
            i, **{n: getattr(i, n) + 1 for n in names if isinstance(getattr(i, n, None), int)}
        )
        for i in code
    ]


def test_a_failed_row_leaves_its_partner_the_merged_gen(plan_of, run_plan):
    code = [
        evaluate(4, Const(0)),
        p.Run(5, "side", None),
        p.Branch(0, "wait"),
        p.Fail(0, None),
        "wait",
        p.Start(9),
        p.Return(9, 5),
        "side",
        p.Start(9),
        gen(9, 1, 9, "x", (0,), ("temperature", 4)),
        p.End((1,)),
    ]
    ran = run_plan(plan_of(code, ["fails"]), [{"fails": True}, {"fails": False}, {"fails": False}])
    assert ran.outcomes[0].code == "require"
    assert ran.outcomes[1].output == ran.outcomes[2].output
    assert len(ran.engine.submitted) == 1 and not ran.engine.cancelled
