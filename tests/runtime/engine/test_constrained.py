"""Constrained gens: every value is whole at any budget, forced text is not sampled, and what is
sampled is what the model would sample under the mask."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest
import torch

from sglc.codegen.automata.constraint import Grammar
from sglc.codegen.automata.source import ConstraintSource
from sglc.ir import types as t
from sglc.ir.values import conform
from sglc.runtime.engine.request import GenRequest, GenResult, RequestError, Sampling
from sglc.runtime.models.naive_attend import naive_attend


def regex(pattern: str) -> ConstraintSource:
    return ConstraintSource("regex", text=pattern)


def typed(type: t.Type, **options: object) -> ConstraintSource:
    return ConstraintSource("type", type=type, **options)  # type: ignore[arg-type]


def choices(*texts: str) -> ConstraintSource:
    return ConstraintSource("choices", text=json.dumps(texts))


RECORD = t.RecordType(
    "R",
    (
        ("name", t.StrType(max_length=6)),
        ("a", t.OptionalType(t.INT)),
        ("k", t.LiteralType(("x", "yy", 3))),
    ),
)
TYPES = [
    t.BOOL,
    t.INT,
    t.IntType(-50, 1234),
    t.FLOAT,
    t.ListType(t.StrType(max_length=5), 1, 3),
    RECORD,
]
REGEXES = [r"[a-c]{2,5}x?", r"(ab|c)+;", r"\d{4}-\d\d", r"[^\x00-\x1f]{3,}", r"(é|the)*end"]


def ask(engine, constraint, most, seed=0, prompt=(65, 66), written=b"", **options) -> GenRequest:
    sampling = Sampling(max_tokens=most, **options)
    prefix = engine.extend(engine.root, list(prompt))
    return GenRequest(prefix, sampling, seed, (seed,), constraint=constraint, written=written)


def at_tight_budgets(engine, run, constraint) -> list[GenResult]:
    requests = [
        ask(engine, constraint, constraint.fewest_tokens + more, seed, (65 + more, 70 + seed))
        for more in range(6)
        for seed in range(3)
    ]
    results = list(run(engine, requests).values())
    assert all(isinstance(result, GenResult) for result in results)
    for result in results:
        assert result.finish_reason == "stop"
        assert len(result.token_ids) <= result.request.sampling.max_tokens
        assert result.num_sampled <= result.request.sampling.max_tokens
    return results


@pytest.mark.parametrize("as_grammar", [False, True], ids=["table", "grammar"])
@pytest.mark.parametrize("type", TYPES, ids=str)
def test_types_are_whole_at_tight_budgets(
    words_engine, constraint_of, words, run, type, as_grammar
) -> None:
    constraint = constraint_of(typed(type), as_grammar=as_grammar)
    engine = words_engine(step_tokens=16)
    for result in at_tight_budgets(engine, run, constraint):
        value = json.loads(result.text)
        assert conform(value, type) == value
        assert words.decode(result.token_ids) + result.rest == result.text


@pytest.mark.parametrize("as_grammar", [False, True], ids=["table", "grammar"])
@pytest.mark.parametrize("pattern", REGEXES)
def test_regexes_are_whole_at_tight_budgets(
    words_engine, constraint_of, run, pattern, as_grammar
) -> None:
    constraint = constraint_of(regex(pattern), as_grammar=as_grammar)
    for result in at_tight_budgets(words_engine(), run, constraint):
        assert re.fullmatch(pattern, result.text, re.DOTALL)


def test_a_recursive_grammar_closes_in_time(words_engine, constraint_of, run) -> None:
    source = ConstraintSource(
        "ebnf", text='root ::= "[" (item ("," item)*)? "]"\nitem ::= root | [1-9]+\n'
    )
    constraint = constraint_of(source)
    engine = words_engine()
    texts = {result.text for result in at_tight_budgets(engine, run, constraint)}
    deep = [ask(engine, constraint, 30, s, logit_bias=((ord("["), 9.0),)) for s in range(8)]
    texts |= {result.text for result in run(engine, deep).values()}
    assert all(isinstance(json.loads(text), list) for text in texts)
    assert max(text.count("[") for text in texts) == 15  # and as many closing ones


def test_a_grammar_samples_what_a_table_samples(words_engine, constraint_of, run) -> None:
    """Away from the budget a mask is a mask."""
    follow = typed(t.IntType(0, 10**6), follow=",2")
    for source in (regex("[a-d]{3,9}(,[a-d]{1,4})*"), typed(t.FLOAT), follow):
        ids = []
        for as_grammar in (False, True):
            engine = words_engine()
            constraint = constraint_of(source, as_grammar=as_grammar)
            requests = [
                ask(engine, constraint, 60, seed, top_p=0.9, temperature=1.5, top_k=20 * seed)
                for seed in range(10)
            ]
            results = run(engine, requests)
            ids.append([results[request].token_ids for request in requests])
        assert ids[0] == ids[1]


def fewest(words, text: str) -> int:
    """The fewest tokens that spell a text."""
    data = text.encode()
    pieces = {words.token_bytes(id) for id in range(words.vocab_size)}
    best = [0] + [len(data) + 1] * len(data)
    for end in range(1, len(data) + 1):
        best[end] = min(1 + best[at] for at in range(end) if data[at:end] in pieces)
    return best[-1]


@pytest.mark.parametrize("budget", [12, 7, 5])
def test_sampled_tokens_are_the_likeliest_allowed(
    words_engine, words_model, words, constraint_of, run, budget
) -> None:
    """Every choice is replayed with plain forward passes: a token may come if a text that begins
    with it can still be spelt in time."""
    texts = ["alphabet", "alpha", "the best", "then, abc", "true", "nullify", "nu"]
    constraint = constraint_of(choices(*texts))
    engine = words_engine()
    request = ask(engine, constraint, budget, temperature=0.0, logprobs=2)
    prompts = [(65, 66, seed) for seed in range(12)]
    requests = [replace(request, prefix=engine.extend(engine.root, prompt)) for prompt in prompts]
    results = run(engine, requests)
    for prompt, request in zip(prompts, requests, strict=True):
        result = results[request]
        context = torch.tensor([*prompt, *result.token_ids])
        places = torch.arange(len(context))
        logits = words_model.forward(context, places, naive_attend, places)
        exact = logits.log_softmax(-1)
        written = ""
        for place, id in enumerate(result.token_ids):
            report = result.logprobs[place]
            row = exact[len(prompt) - 1 + place]
            assert report.id == id
            assert report.logprob == pytest.approx(float(row[id]), abs=1e-4)
            assert [top for top, _ in report.top] == row.topk(2).indices.tolist()
            left = [text for text in texts if text.startswith(written)]
            if len(left) > 1 and not all(text == left[0] for text in left):
                allowed = [
                    other
                    for other in range(words.vocab_size)
                    if (piece := words.token_bytes(other))
                    and any(
                        text.encode().startswith(written.encode() + piece)
                        and fewest(words, text[len(written.encode() + piece) :]) < budget - place
                        for text in left
                    )
                ]
                if written in texts:
                    allowed += words.eos_ids
                likeliest = max(allowed, key=lambda id: float(row[id]))
                # where one text is left the tokens are the tokenizer's
                is_forced = len({text[len(written)] for text in left if text != written}) == 1
                assert id == likeliest or is_forced
            written += words.token_bytes(id).decode()
        assert result.text in texts
        assert len(result.logprobs) == len(result.token_ids)


def test_forced_text_is_run_in_one_extend(words_engine, constraint_of, words, run) -> None:
    constraint = constraint_of(typed(RECORD))
    engine = words_engine()
    request = ask(engine, constraint, 40, temperature=0.0)
    (result,) = run(engine, [request]).values()
    stats = engine.stats
    assert result.num_forced == stats.forced_tokens > 4
    assert result.num_sampled == stats.decoded_tokens == stats.steps
    assert stats.prefilled_tokens == 2 + stats.forced_tokens
    assert result.num_sampled + result.num_forced in (
        len(result.token_ids), len(result.token_ids) + 1,
    )  # fmt: skip
    assert stats.seconds["masks"] > 0
    forced = words.encode('{"name":"')
    assert result.token_ids[: len(forced) - 1] == tuple(forced[:-1])


def test_a_value_without_choice_needs_no_model(words_engine, constraint_of, run) -> None:
    engine = words_engine()
    for as_grammar in (False, True):
        constraint = constraint_of(choices("the only one"), as_grammar=as_grammar)
        request = ask(engine, constraint, constraint.fewest_tokens)
        result = run(engine, [request])[request]
        assert (result.text, result.rest, result.token_ids) == ("the only one",) * 2 + ((),)
    assert engine.stats.steps == 0


@pytest.mark.parametrize("as_grammar", [False, True], ids=["table", "grammar"])
def test_forced_text_stays_within_the_budget(words_engine, constraint_of, run, as_grammar) -> None:
    """Its tokens are all that may come, and then the value is whole but could go on."""
    engine = words_engine()
    constraint = constraint_of(regex("xyz-x{0,4}"), as_grammar=as_grammar)
    for more in range(3):
        requests = [ask(engine, constraint, 4 + more, seed) for seed in range(8)]
        for result in run(engine, requests).values():
            assert re.fullmatch("xyz-x{0,4}", result.text)
            assert len(result.token_ids) <= 4 + more


def test_too_small_a_budget_names_both_numbers(words_engine, constraint_of, run) -> None:
    engine = words_engine()
    for as_grammar in (False, True):
        constraint = constraint_of(regex("[xy]{5}"), as_grammar=as_grammar)
        (error,) = run(engine, [ask(engine, constraint, 4)]).values()
        assert isinstance(error, RequestError)
        assert (error.code, error.message) == (
            "budget_too_small",
            "max_tokens=4, but the shortest value takes 5 tokens",
        )


@pytest.mark.parametrize("as_grammar", [False, True], ids=["table", "grammar"])
def test_an_end_may_be_put_off_but_not_for_ever(
    words_engine, constraint_of, run, as_grammar
) -> None:
    constraint = constraint_of(regex("[xy]{1,6}"), as_grammar=as_grammar)
    engine = words_engine()

    def lengths(**options: object) -> set[int]:
        requests = [ask(engine, constraint, 9, seed, **options) for seed in range(20)]
        return {len(result.text) for result in run(engine, requests).values()}

    assert min(lengths()) < 4
    assert lengths(ignore_eos=True) == {6}
    assert min(lengths(min_tokens=5)) == 5
    assert lengths(min_tokens=9) == {6}  # nothing but the end was allowed


@pytest.mark.parametrize("as_grammar", [False, True], ids=["table", "grammar"])
def test_follow_text_cuts_the_last_token(
    words_engine, constraint_of, words, run, as_grammar
) -> None:
    """`"}` may be written as one token, which belongs to the value no more."""
    engine = words_engine()
    constraint = constraint_of(
        typed(t.StrType(), in_record=True, follow='","a":'), as_grammar=as_grammar
    )
    requests = [ask(engine, constraint, 25, seed) for seed in range(30)]
    results = run(engine, requests)
    for request in requests:
        result = results[request]
        json.loads(f'"{result.text}"')
        assert words.decode(result.token_ids) + result.rest == result.text
        assert result.prefix.token_ids() == [65, 66, *result.token_ids]
        assert '"' not in result.text.replace('\\"', "")
    numbers = constraint_of(typed(t.IntType(0, 10**6), follow=",2"), as_grammar=as_grammar)
    for result in run(engine, [ask(engine, numbers, 8, seed) for seed in range(20)]).values():
        assert 0 <= int(result.text) <= 10**6


def test_json_ends_where_what_follows_begins(words_engine, constraint_of, run) -> None:
    """No end of text is sampled: a number ends by the comma after it."""
    engine = words_engine()
    constraint = constraint_of(ConstraintSource("type", t.JSON, in_record=True, follow=',"name":'))
    assert isinstance(constraint, Grammar)
    requests = [ask(engine, constraint, 12, seed) for seed in range(40)]
    results = run(engine, requests).values()
    for result in results:
        json.loads(result.text)
        assert not set(result.token_ids) & {ord(",")} or result.text[0] in '[{"'
    assert any(len(result.token_ids) < 6 and result.text[0] in "-123456789" for result in results)


def test_lead_and_written_text(words_engine, constraint_of, run) -> None:
    engine = words_engine()
    constraint = constraint_of(typed(t.IntType(10, 99), lead='{"a":'))
    whole = ask(engine, constraint, 9, temperature=0.0)
    result = run(engine, [whole])[whole]
    assert re.fullmatch(r'\{"a":[1-9]\d', result.text)
    # {"a": stands there already, in the tokens that the gen itself would write
    before = [*whole.prefix.token_ids(), *result.token_ids[:3]]
    begun = ask(engine, constraint, 9, 0, before, written=b'{"a":', temperature=0.0)
    assert '{"a":' + run(engine, [begun])[begun].text == result.text


@pytest.mark.parametrize("deterministic", [False, True])
def test_results_do_not_depend_on_the_batch(
    words_engine, constraint_of, run, deterministic
) -> None:
    record = constraint_of(typed(RECORD))
    grammar = constraint_of(typed(RECORD), as_grammar=True)
    number = constraint_of(typed(t.FLOAT))

    def requests(engine):
        return [
            ask(
                engine, [record, grammar, None, number][n % 4], 16 + n % 9, n, (65 + n % 3, 66),
                logprobs=0 if n % 5 == 0 else None, repetition_penalty=1.2 if n % 3 else 1.0,
                frequency_penalty=0.2 if n % 2 else 0.0,
            )
            for n in range(16)
        ]  # fmt: skip

    alone = []
    for n in range(16):
        engine = words_engine(deterministic=deterministic)
        request = requests(engine)[n]
        alone.append(run(engine, [request])[request])
    engine = words_engine(deterministic=deterministic, step_tokens=3, max_batch=7, slots=200)
    together = requests(engine)
    results = run(engine, together)
    for request, expected in zip(together, alone, strict=True):
        result = results[request]
        assert (result.token_ids, result.text) == (expected.token_ids, expected.text)
        for found, wanted in zip(result.logprobs, expected.logprobs, strict=True):
            assert found.logprob == pytest.approx(wanted.logprob, abs=1e-4)
    del together, results, request, result
    assert engine.num_kv_tokens == 0


@pytest.mark.parametrize("seed", range(3))
def test_cancelled_gens_leave_nothing_behind(words_engine, constraint_of, seed) -> None:
    rng = random.Random(seed)
    engine = words_engine(slots=300, max_batch=5, step_tokens=11)
    constraints = [
        constraint_of(typed(RECORD)), constraint_of(typed(RECORD), as_grammar=True), None,
    ]  # fmt: skip
    pending = []
    for _ in range(120):
        action = rng.random()
        if action < 0.4:
            prompt = [rng.randint(1, 5) for _ in range(rng.randint(1, 20))]
            request = ask(
                engine, rng.choice(constraints), 20, rng.randint(0, 99), prompt,
                logprobs=rng.choice([None, 2]),
            )  # fmt: skip
            engine.submit(request)
            pending.append(request)
        elif action < 0.55 and pending:
            engine.cancel(pending.pop(rng.randrange(len(pending))))
        else:
            for result in engine.step():
                pending.remove(result.request)
                if result.request.constraint is not None:
                    conform(json.loads(result.text), RECORD)
    for request in pending:
        engine.cancel(request)
    assert engine.is_idle
    pending.clear()
    del request
    result = None
    assert engine.num_kv_tokens == 0
