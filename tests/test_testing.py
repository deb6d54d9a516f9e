"""The model that users test their programs with."""

from __future__ import annotations

import re

import pytest

from sglc.runtime.engine.request import GenRequest, RequestError, Sampling, ScoreRequest
from sglc.testing import ByteTokenizer, Model, Question


def ask(model, prompt, name="x", **sampling):
    engine = model.engine()
    prefix = engine.extend(engine.root, engine.root.token_ids() + ByteTokenizer().encode(prompt))
    engine.submit(GenRequest(prefix, Sampling(**sampling), 0, (3, 1, 0), name))
    (result,) = engine.step()
    assert engine.is_idle
    return result


def choose(model, prompt, choices, name="x", **options):
    engine = model.engine()
    prefix = engine.extend(engine.root, ByteTokenizer().encode(prompt))
    tokens = tuple(tuple(ByteTokenizer().encode(choice)) for choice in choices)
    engine.submit(ScoreRequest(prefix, tokens, order=(3, 1), name=name, **options))
    (result,) = engine.step()
    return result


def test_answers_by_name_prompt_and_regex():
    model = Model({"What is 2+2?": "4", re.compile(r"\d{3}"): "big", "x": "named", "hello": "no"})
    assert ask(model, "What is 2+2?").text == "named"  # names go first
    assert ask(model, "What is 2+2? 100", name="y").text == "4"  # then the mapping's order
    assert ask(model, "100", name="y").text == "big"
    missing = ask(model, "hello", name="y")  # an identifier is a name, never a part of the prompt
    assert isinstance(missing, RequestError)
    assert (missing.code, missing.message) == ("no_answer", "no answer for gen `y` after 'hello'")


def test_answers_by_function():
    asked = []

    def answer(question):
        asked.append(question)
        return "B" if question.choices else "text"

    assert ask(Model(answer), "Hi", name="g").text == "text"
    assert choose(Model({"g": answer}), "Hi", ["A", "B"], name="g").logprobs == ((-1.0,), (0.0,))
    assert asked == [Question("g", "Hi", 3), Question("g", "Hi", 3, ("A", "B"))]


def test_a_failing_function_fails_the_row():
    failed = ask(Model(lambda question: 1 // 0), "Hi")
    assert (failed.code, failed.message) == (
        "no_answer",
        "the answer for `x`: ZeroDivisionError: integer division or modulo by zero",
    )


def test_stops_cut_the_answer():
    model = Model({"x": "one\ntwo END"})
    assert ask(model, "", stop=("END",)).text == "one\ntwo "
    assert ask(model, "", stop=("END", "\n")).text == "one"
    assert ask(model, "", stop_regex=(r"\st",)).text == "one"
    assert ask(model, "").text == "one\ntwo END"


def test_an_answer_must_be_a_choice():
    failed = choose(Model({"x": "C"}), "", ["A", "B"])
    assert failed.message == "the answer 'C' for select `x` is none of its choices: 'A', 'B'"


@pytest.mark.parametrize("best", ["A", "AB", "ABC"])
def test_the_answer_wins_by_every_method(best):
    from sglc.runtime.machine import select

    choices = ["A", "AB", "ABC", "D"]
    for method in select.METHODS:
        unconditional = select.needs_unconditional(method)
        result = choose(Model({"x": best}), "", choices, unconditional=unconditional)
        scores = select.scores(method, result.logprobs, result.unconditional)
        assert choices[select.winner(method, result.logprobs, scores)] == best


def test_logprobs_are_reported_when_asked():
    assert ask(Model({"x": "ab"}), "").logprobs == ()
    found = ask(Model({"x": "ab"}), "", logprobs=1).logprobs
    assert [(token.id, token.top) for token in found] == [(97, ((97, 0.0),)), (98, ((98, 0.0),))]


def test_the_markup_has_every_role_after_every_role():
    markup = Model({}).spec.markup
    assert len(markup.opening) == 5 * 4
    text = ByteTokenizer()
    assert text.control_id("<|im_start|>") == markup.opening["user", "tool"][0]
    assert text.encode("<|im_end|>") == list(b"<|im_end|>")
