"""Loops, branches of the code, forks, joins and runs, on plans written by hand."""

from __future__ import annotations

import dataclasses
import gc

from plan_code import SPAN, const, fork_code, gen, text_of

from sglc.codegen import instruction as p
from sglc.codegen.plan import Markup, Param
from sglc.ir.host.expr import Binary, Compare, Const, JsonConst, Operand
from sglc.ir.types import STR, IntType
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow, RowFailed

LOOP = [
    const(1, 0),
    const(2, ""),
    "again",
    p.Next(3, 0, 1, "done", SPAN),
    p.Eval(2, Binary("+", Operand(0), Operand(1)), (2, 3), None),
    p.Eval(1, Binary("+", Operand(0), Const(1)), (1,), None),
    p.Eval(4, Compare("<", Operand(0), Const(3)), (1,), None),
    p.Branch(4, "done"),
    p.Jump("again"),
    "done",
    p.Start(9),
    p.Return(9, 2),
]


def test_loops_and_branches(plan_of, run_plan):
    plan = plan_of(LOOP, ["items"])
    ran = run_plan(plan, [{"items": ["a", "b"]}, {"items": list("wxyz")}, {"items": "pq"}])
    assert [outcome.output for outcome in ran.outcomes] == ["ab", "wxy", "pq"]
    failed = run_plan(plan, [{"items": 5}]).outcomes[0]
    assert (failed.code, failed.message) == ("type_error", "cannot go through an int")
    assert failed.span == SPAN


def test_moves_happen_at_once(plan_of, run_plan):
    plan = plan_of(
        [
            p.Move((0, 1), (1, 0)),
            p.Start(9),
            p.Eval(2, Binary("-", Operand(0), Operand(1)), (0, 1), None),
            p.Return(9, 2),
        ],
        ["a", "b"],
    )
    assert run_plan(plan, [{"a": 10, "b": 3}]).outcomes[0].output == -7


def test_fork_branches_share_their_parent_and_leave_it_alone(plan_of, run_plan, tokenizer):
    plan = plan_of(fork_code(join=False), ["items"])
    ran = run_plan(plan, [{"items": ["c", "x", "y"]}], say=lambda r: str(r.order))
    shared = plan.code[0].expr.value
    texts = {tokenizer.decode(r.prefix.token_ids()) for r in ran.engine.submitted}
    assert texts == {shared, shared + "c", shared + "x", shared + "y"}
    for request in ran.engine.submitted:  # rule 1: as if encoded whole
        ids = request.prefix.token_ids()
        assert ids == tokenizer.encode(tokenizer.decode(ids))
    group = ran.outcomes[0].output
    assert [branch["item"] for branch in group] == ["c", "x", "y"]
    assert len({branch["said"] for branch in group}) == 3
    assert len({request.seed for request in ran.engine.submitted}) == 4


def test_join_appends_the_branches_in_order(plan_of, run_plan, tokenizer):
    plan = plan_of(fork_code(join=True), ["items"])
    ran = run_plan(
        plan, [{"items": ["c", "x"]}], say=lambda r: ("<", "b") if len(r.order) > 3 else ""
    )
    shared = plan.code[0].expr.value
    last = ran.engine.submitted[-1].prefix.token_ids()
    assert tokenizer.decode(last) == shared + "c<bx<b"
    assert last == tokenizer.encode(shared + "c<bx<b")


def test_join_keeps_roles(plan_of, run_plan, tokenizer):
    plan = plan_of(
        [
            p.Start(9),
            p.Open(9, 9, "system"),
            p.Append(9, 9, 0),
            p.Close(9, 9),
            p.Eval(1, JsonConst("[1, 2]"), (), None),
            p.Fork(3, 4, 9, 1, (), "branch", 9, 5, 6, SPAN),
            p.Jump("after"),
            "branch",
            p.Open(9, 9, "user"),
            p.Append(9, 9, 0),
            p.Close(9, 9),
            p.Open(9, 9, "assistant"),
            gen(9, 7, 9, path=(3, p.PathReg(6))),
            p.Close(9, 9),
            p.End((9,)),
            "after",
            p.Join(9, 9, 9, 4),
            p.Open(9, 9, "user"),
            gen(9, 8, 9, path=(4,)),
            p.Return(9, 8),
        ],
        ["q"],
    )
    ran = run_plan(plan, [{"q": "Hey"}], say=lambda r: "ok", keep_trace=True)
    turn = "<|im_start|>user\nHey<|im_end|>\n<|im_start|>assistant\nok<|im_end|>\n"
    system = "<|im_start|>system\nHey<|im_end|>\n"
    text = text_of(ran.engine.submitted[-1], tokenizer)
    assert text == system + turn + turn + "<|im_start|>user\n"
    main, *branches = ran.outcomes[0].trace.contexts
    segments = [{"role": "user", "text": "Hey"}, {"role": "assistant", "text": "ok"}]
    assert main[:3] == [{"role": "system", "text": "Hey"}, *segments]
    assert branches == [[{"role": "system", "text": "Hey"}, *segments]] * 2


def test_a_role_that_the_template_lacks_is_told_where_it_opens(plan_of, run_plan, markup):
    opening = {key: text for key, text in markup.opening.items() if key != ("user", "user")}
    code = [
        *(p.Start(9), p.Open(9, 9, "user"), p.Close(9, 9)),
        p.Open(9, 9, "user", SPAN),
        p.Return(9, 0),
    ]
    failed = run_plan(plan_of(code, ["q"], markup=Markup(opening, markup.closing, ()))).outcomes[0]
    assert (failed.code, failed.span) == ("role", SPAN)
    assert failed.message == "the model's template has no role `user` after `user`"


def test_fork_over_nothing_and_over_no_list(plan_of, run_plan):
    plan = plan_of(fork_code(join=True), ["items"])
    empty, failed = run_plan(plan, [{"items": []}, {"items": None}]).outcomes
    assert empty.output == []
    assert (failed.code, failed.span) == ("type_error", SPAN)


RUNS = [
    p.Run(1, "work", SPAN),
    p.Run(2, "work", SPAN),
    p.Jump("after"),
    "work",
    p.Start(9),
    p.Append(9, 9, 0),
    gen(9, 3, 9),
    p.End((3,)),
    "after",
    p.Eval(4, Binary("+", Operand(0), Operand(1)), (1, 2), None),
    p.Start(9),
    p.Return(9, 4),
]


def test_runs_are_promises(plan_of, run_plan):
    ran = run_plan(plan_of(RUNS, ["q"]), [{"q": "hm"}], say=lambda r: f"{r.order[1]};")
    assert ran.outcomes[0].output == "1;2;"
    assert ran.engine.stats.steps == 1  # both at once


def test_a_row_waits_for_tasks_whose_values_nobody_reads(plan_of, run_plan):
    code = [p.Run(1, "work", SPAN), p.Start(9), p.Return(9, 0)]
    code += ["work", p.Start(9), gen(9, 3, 9), p.Fail(0, SPAN)]
    failed = run_plan(plan_of(code, ["q"]), [{"q": "never mind"}]).outcomes[0]
    assert failed == RowFailed(0, "require", "never mind", SPAN, usage=failed.usage)


def test_the_value_is_checked_against_the_declared_type(plan_of, run_plan):
    plan = plan_of([p.Start(9), p.Return(9, 0)], ["v"], result=IntType(0, 10))
    good, bad = run_plan(plan, [{"v": 3}, {"v": 11}]).outcomes
    assert good.output == 3
    assert (bad.code, bad.message) == (
        "type_error",
        "the program's value: expected an int of 0 to 10, found 11",
    )


def test_params_take_their_defaults(plan_of, run_plan):
    param = Param("v", STR, 0, True, "default")
    plan = dataclasses.replace(plan_of([p.Start(9), p.Return(9, 0)]), params=(param,))
    given, missing = run_plan(plan, [{"v": "given"}, {}]).outcomes
    assert (given.output, missing.output) == ("given", "default")


def test_no_prefix_outlives_the_machine(plan_of, run_plan):
    plan = plan_of(fork_code(join=True), ["items"])
    ran = run_plan(plan, [{"items": ["c", "x"]}, {"items": None}])
    requests = len(ran.engine.submitted)
    assert requests == 3
    ran.engine.submitted.clear()
    gc.collect()
    assert not ran.engine.alive


def test_a_dropped_context_frees_its_prefix(plan_of, tokenizer, markup, engine_of):
    """While the second gen waits, nothing leads to what the first one wrote any more. The text
    before it stays until the row ends: another context of the row may begin like that."""
    plan = plan_of(
        [
            p.Start(8),
            p.Append(8, 8, 0),
            gen(8, 1, 8),
            p.Drop((8,)),
            p.Start(9),
            p.Append(9, 9, 1),
            gen(9, 2, 9),
            p.Return(9, 2),
        ],
        ["q"],
    )
    engine = engine_of()
    machine = Machine(plan, ModelSpec(plan.model, tokenizer, markup), engine)
    machine.start(BoundRow(0, b"", {"q": "question"}))
    machine.step()
    assert len(engine.submitted) == 2
    first, second = engine.submitted
    beginnings = {id(first.prefix), id(second.prefix)}
    del first
    engine.submitted.clear()
    gc.collect()
    assert {id(prefix) for prefix in engine.alive} == beginnings
