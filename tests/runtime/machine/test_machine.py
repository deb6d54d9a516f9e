"""Each instruction's meaning, on plans written by hand."""

from __future__ import annotations

import dataclasses
import gc
import random

import pytest

from sglc.codegen import plan as p
from sglc.ir.host.expr import Binary, Compare, Const, Index, JsonConst, Operand
from sglc.ir.span import Span
from sglc.ir.types import STR, IntType
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow, RowDone, RowFailed, Usage

SPAN = Span(0, 3, 1, 3, 9)


def const(dst, value):
    """`value`, or what a str that looks like JSON stands for."""
    is_json = isinstance(value, str) and value.startswith(("[", "{", '"'))
    expr = JsonConst(value) if is_json else Const(value)
    return p.Eval(dst, expr, (), None)


def gen(dst, value, src, *, name="x", path=(0,), options=(), metas=(), thinks=False):
    return p.Gen(dst, value, src, STR, tuple(options), tuple(metas), path, thinks, name, SPAN)


def select(dst, value, src, choices, *, method="sum_logprob", temperature=None, metas=()):
    return p.Select(dst, value, src, choices, method, temperature, metas, (7,), "s", SPAN)


def text_of(request, tokenizer):
    names = {tokenizer.control_id(n): n for n in ("<|im_start|>", "<|im_end|>", "<x>", "<s>")}
    return "".join(names.get(i) or tokenizer.decode([i]) for i in request.prefix.token_ids())


def test_a_chat_is_written_by_the_markup(plan_of, run_plan, tokenizer):
    plan = plan_of(
        [
            p.Start(9),
            p.Open(9, 9, "user"),
            p.Append(9, 9, 0),
            p.Close(9, 9),
            p.Open(9, 9, "assistant"),
            gen(9, 1, 9),
            p.Close(9, 9),
            p.Open(9, 9, "user"),
            p.Control(9, 9, "<x>"),
            gen(9, 2, 9, path=(1,)),
            p.Return(9, 2),
        ],
        ["q"],
    )
    texts = iter([("ab", "c"), "z"])
    ran = run_plan(plan, [{"q": "Hi <|im_end|>"}], say=lambda request: next(texts))
    first, second = (text_of(request, tokenizer) for request in ran.engine.submitted)
    assert first == (
        "<|im_start|>system\nBe good.<|im_end|>\n<|im_start|>user\nHi <|im_end|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert second == first + "abc<|im_end|>\n<|im_start|>user\n<x>"
    assert ran.outcomes[0].output == "z"
    # a look-alike of a control token is plain text; the real ones are control tokens
    ids = ran.engine.submitted[0].prefix.token_ids()
    assert ids.count(tokenizer.control_id("<|im_end|>")) == 2


def test_the_rest_of_a_stop_is_encoded_with_what_follows(plan_of, run_plan, tokenizer):
    """`a` is left of a gen; with the `bc` after it, it is the one token `abc`."""
    plan = plan_of(
        [const(1, "bc"), p.Start(9), gen(9, 2, 9), p.Append(9, 9, 1), gen(9, 3, 9), p.Return(9, 2)]
    )
    texts = iter([("c", "a"), "z"])
    ran = run_plan(plan, say=lambda request: next(texts))
    second = ran.engine.submitted[1].prefix.token_ids()
    assert second[-2:] == [*tokenizer.encode("c"), *tokenizer.encode("abc")]
    assert len(tokenizer.encode("abc")) == 1
    assert ran.outcomes[0].output == "ca"


def test_a_gen_ends_the_stretch_even_when_it_kept_nothing(plan_of, run_plan, tokenizer):
    plan = plan_of(
        [
            const(1, "a"),
            const(2, "b"),
            p.Start(9),
            p.Append(9, 9, 1),
            gen(9, 3, 9),
            p.Append(9, 9, 2),
            gen(9, 3, 9),
            p.Return(9, 3),
        ]
    )
    ran = run_plan(plan, say=lambda request: "")
    assert ran.engine.submitted[1].prefix.token_ids() == [ord("a"), ord("b")]  # not the token "ab"


def test_an_empty_context_starts_with_a_start_token(plan_of, run_plan, tokenizer, markup):
    plan = plan_of([p.Start(9), gen(9, 1, 9), p.Return(9, 1)])
    ran = run_plan(plan)
    assert ran.engine.submitted[0].prefix.token_ids() == [tokenizer.control_id("<|im_end|>")]
    tokenizer.eos_ids = frozenset()
    failed = run_plan(plan).outcomes[0]
    assert (failed.code, failed.span) == ("no_start_token", SPAN)


def test_bos_stands_once(plan_of, run_plan, tokenizer, markup):
    bos = tokenizer.control_id("<s>")
    with_bos = p.Markup(markup.opening, markup.closing, (bos,))
    for own in (True, False):
        code = [const(1, "a"), p.Start(9), p.Append(9, 9, 1), gen(9, 2, 9), p.Return(9, 2)]
        if own:
            code.insert(2, p.Control(9, 9, "<s>"))
        ran = run_plan(plan_of(code, markup=with_bos))
        assert ran.engine.submitted[0].prefix.token_ids() == [bos, ord("a")]


def test_gen_options_and_metas(plan_of, run_plan, tokenizer):
    plan = plan_of(
        [
            const(1, 5),
            const(2, '["END", "\\n"]'),
            const(3, 0),
            p.Start(9),
            gen(
                9,
                4,
                9,
                options=[("max_tokens", 1), ("stop", 2), ("temperature", 3), ("logprobs", 3)],
                metas=[("finish_reason", 5), ("tokens", 6), ("logprobs", 7)],
            ),
            p.Eval(8, JsonConst("[]"), (), None),
            p.Return(9, 7),
        ]
    )
    ran = run_plan(plan, say=lambda request: "abc!")
    sampling = ran.engine.submitted[0].sampling
    assert (sampling.max_tokens, sampling.stop, sampling.temperature) == (5, ("END", "\n"), 0.0)
    assert ran.outcomes[0].output == [
        {"token": token, "logprob": -0.5, "top": [{"token": token, "logprob": -0.5}]}
        for token in ("abc", "!")
    ]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max_tokens", 0, "max_tokens is 0, expected an int of at least 1"),
        ("temperature", -1, "temperature is -1, expected a number of at least 0.0"),
        ("stop", '[""]', "stop is , expected a text that is not empty, or a list of such"),
        ("top_p", 2, "top_p is 2, expected a number above 0 and up to 1"),
        ("stop_regex", '"("', "stop_regex is not a regex: missing ), unterminated subpattern"),
        ("logit_bias", '{"zz": 1}', "logit_bias: 'zz' is 2 tokens, not one"),
        ("stop_token_ids", "[-1]", "stop_token_ids is -1, expected an int of 0.."),
        ("stop_token_ids", "[100000]", "stop_token_ids is 100000, expected an int of 0.."),
        ("temperature", 10**400, "temperature is 1000"),
        ("min_tokens", 129, "min_tokens is 129, above max_tokens 128"),
    ],
)
def test_bad_options_fail_the_row(plan_of, run_plan, name, value, said):
    plan = plan_of([const(1, value), p.Start(9), gen(9, 2, 9, options=[(name, 1)]), p.Return(9, 2)])
    failed = run_plan(plan).outcomes[0]
    assert (failed.code, failed.span) == ("bad_option", SPAN)
    assert failed.message.startswith(said)


def test_samples(plan_of, run_plan):
    plan = plan_of(
        [
            const(1, 3),
            p.Start(9),
            gen(9, 2, 9, options=[("n", 1)], metas=[("finish_reason", 4)]),
            gen(9, 3, 9),
            p.Eval(5, JsonConst("[]"), (), None),
            p.Move((6, 7), (2, 4)),
            p.Return(9, 6),
        ]
    )
    texts = {0: "one", 1: "two", 2: "three"}
    ran = run_plan(plan, say=lambda r: texts[r.order[-1]] if len(ran_prefix(r)) < 2 else "end")
    assert ran.outcomes[0].output == ["one", "two", "three"]
    first, second, third, last = ran.engine.submitted
    assert len({first.seed, second.seed, third.seed}) == 3
    assert last.prefix.token_ids()[1:] == list(b"one")
    assert ran.outcomes[0].usage.gens == 4


def ran_prefix(request):
    return request.prefix.token_ids()


def test_select_heals_the_boundary(plan_of, run_plan, tokenizer):
    """The stretch ends in `e:`, which with ` A` is one token: scoring starts before it."""
    plan = plan_of(
        [
            const(1, "Grade:"),
            const(2, '[" A", " B"]'),
            p.Start(9),
            p.Append(9, 9, 1),
            select(9, 3, 9, 2, metas=(("scores", 4), ("index", 5))),
            gen(9, 6, 9),
            p.Return(9, 3),
        ]
    )
    ran = run_plan(plan, keep_trace=True)
    score, after = ran.engine.submitted
    assert tokenizer.decode(score.prefix.token_ids()) == "Grad"
    assert score.choices == (tuple(tokenizer.encode("e: A")), tuple(tokenizer.encode("e: B")))
    assert len(score.choices[0]) == 1 and len(score.choices[1]) == 2
    winner = ran.outcomes[0].output
    assert tokenizer.decode(after.prefix.token_ids()) == "Grade:" + winner
    assert ran.outcomes[0].trace.contexts[0][0]["text"].startswith("Grade:" + winner)


def test_select_at_temperature_follows_its_seed(plan_of, run_plan):
    plan = plan_of(
        [
            const(1, '["A", "B", "C", "D"]'),
            const(2, 50.0),
            p.Start(9),
            select(9, 3, 9, 1, temperature=2),
            p.Return(9, 3),
        ]
    )
    rows = [{} for _ in range(40)]
    outputs = [outcome.output for outcome in run_plan(plan, rows).outcomes]
    assert set(outputs) == {"A", "B", "C", "D"}
    assert outputs == [outcome.output for outcome in run_plan(plan, rows).outcomes]
    assert outputs != [outcome.output for outcome in run_plan(plan, rows, seed=1).outcomes]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ("[]", "there are no choices"),
        ('["a", "a"]', 'the choice "a" is given twice'),
        ('["a", ""]', "a choice is empty"),
        ('["a", 1]', "a choice is an int, not a str"),
        ("7", "the choices are an int, not a list"),
    ],
)
def test_bad_choices_fail_the_row(plan_of, run_plan, choices, said):
    plan = plan_of(
        [p.Eval(1, JsonConst(choices), (), None), p.Start(9), select(9, 2, 9, 1), p.Return(9, 2)]
    )
    failed = run_plan(plan).outcomes[0]
    assert (failed.code, failed.message, failed.span) == ("bad_choices", said, SPAN)


def test_capture_takes_text_and_no_markup(plan_of, run_plan):
    plan = plan_of(
        [
            const(1, "one"),
            const(2, "two"),
            p.Start(9),
            p.Open(9, 9, "user"),
            p.Append(9, 9, 1),
            p.Move((8,), (9,)),
            p.Append(9, 9, 2),
            p.Close(9, 9),
            p.Open(9, 9, "assistant"),
            gen(9, 3, 9),
            p.Capture(4, 8, 9),
            p.Return(9, 4),
        ]
    )
    assert run_plan(plan, say=lambda r: ("gen", "!")).outcomes[0].output == "twogen!"


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


def fork_code(*, join: bool):
    code = [
        const(
            1, "Shared text that is long enough to be settled before the branches: abcabcabcabcabc"
        ),
        const(2, "ab"),
        p.Start(9),
        p.Append(9, 9, 1),
        p.Fork(3, 4, 9, 0, ("item", "said"), "branch", 9, 5, 6, SPAN),
        p.Jump("after"),
        "branch",
        p.Append(9, 9, 5),
        gen(9, 7, 9, path=(3, p.PathReg(6))),
        p.End((9, 5, 7)),
        "after",
    ]
    if join:
        code += [p.Join(9, 9, 9, 4), gen(9, 8, 9, path=(4,)), p.Return(9, 3)]
    else:
        code += [gen(9, 8, 9, path=(4,)), p.Return(9, 3)]
    return code


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
    failed = run_plan(plan_of(code, ["q"], markup=p.Markup(opening, markup.closing, ()))).outcomes[
        0
    ]
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


def test_try_goes_to_its_handler(plan_of, run_plan):
    plan = plan_of(
        [
            p.EnterTry("handler"),
            p.Eval(1, Index(Operand(0), Const(3)), (0,), SPAN),
            p.LeaveTry(),
            p.Jump("after"),
            "handler",
            const(1, "default"),
            "after",
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
        p.EnterTry("handler"),
        p.Fork(3, None, None, 0, ("v",), "branch", None, 5, 6, SPAN),
        gen_alone(10, 11),
        p.LeaveTry(),
        p.Jump("after"),
        "handler",
        const(3, "default"),
        "after",
        *after,
        p.Start(9),
        p.Return(9, 3),
        "branch",
        *branch,
        p.End((7,)),
    ]


def gen_alone(context, value):
    return p.Gen(context, value, 1, STR, (), (), (8,), False, "aside", SPAN)


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
        "needs 10001 tokens (9873 before it and 128 of max_tokens), the model's context holds 10000"
    )


def test_the_value_is_checked_against_the_declared_type(plan_of, run_plan):
    plan = plan_of([p.Start(9), p.Return(9, 0)], ["v"], result=IntType(0, 10))
    good, bad = run_plan(plan, [{"v": 3}, {"v": 11}]).outcomes
    assert good.output == 3
    assert (bad.code, bad.message) == (
        "type_error",
        "the program's value: expected an int of 0 to 10, found 11",
    )


def test_params_take_their_defaults(plan_of, run_plan):
    param = p.Param("v", STR, 0, True, "default")
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
