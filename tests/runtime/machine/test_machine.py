"""Contexts, gens and selects, on plans written by hand."""

from __future__ import annotations

import pytest
from plan_code import SPAN, const, gen, select, text_of

from sglc.codegen import instruction as p
from sglc.codegen.plan import Markup
from sglc.ir.host.expr import JsonConst


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
    with_bos = Markup(markup.opening, markup.closing, (bos,))
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
    ran = run_plan(
        plan, say=lambda r: texts[r.order[-1]] if len(r.prefix.token_ids()) < 2 else "end"
    )
    assert ran.outcomes[0].output == ["one", "two", "three"]
    first, second, third, last = ran.engine.submitted
    assert len({first.seed, second.seed, third.seed}) == 3
    assert last.prefix.token_ids()[1:] == list(b"one")
    assert ran.outcomes[0].usage.gens == 4


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
