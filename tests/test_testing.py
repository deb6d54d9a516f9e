"""The model that users test their programs with."""

from __future__ import annotations

import re

import pytest

import sglc
from sglc.codegen.automata.compile import compile_constraint
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.ir import types as t
from sglc.runtime.engine.request import (
    GenRequest,
    GenResult,
    RequestError,
    Sampling,
    ScoreRequest,
)
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


def compiled(type=None, **source):
    if type is not None:
        source = {"kind": "type", "type": type, **source}
    vocabulary = vocabulary_of(ByteTokenizer())
    return compile_constraint(ConstraintSource(**source), vocabulary)


def ask_typed(answers, constraint, name="x"):
    engine = Model(answers).engine()
    engine.submit(GenRequest(engine.root, Sampling(), 0, (0, 1, 0), name, constraint))
    (result,) = engine.step()
    return result.text if isinstance(result, GenResult) else result.message


@pytest.mark.parametrize(
    ("type", "answer", "text"),
    [
        (t.INT, 5, "5"),
        (t.INT, "5", "5"),
        (t.BOOL, True, "true"),
        (t.OptionalType(t.INT), None, "null"),
        (t.LiteralType(("a", "b")), "a", "a"),
        (t.StrType(max_length=5), '"a"', '"a"'),
        (t.ListType(t.STR), ["a", 'b"'], '["a","b\\""]'),
        (t.JSON, {"a": [1.5]}, '{"a":[1.5]}'),
        (t.JSON, '{"a":1}', '{"a":1}'),
    ],
)
def test_values_answer_typed_gens(type, answer, text):
    assert ask_typed({"x": answer}, compiled(type)) == text
    assert ask_typed(lambda question: answer, compiled(type)) == text


def test_an_answer_must_fit_the_constraint():
    failed = "the answer '11' for `x` does not fit its constraint"
    assert ask_typed({"x": 11}, compiled(t.IntType(0, 10))) == failed
    nested = compiled(kind="ebnf", text='root ::= "(" root ")" | "x"')
    assert ask_typed({"x": "((x))"}, nested) == "((x))"
    assert ask_typed({"x": "((x)"}, nested).endswith("does not fit its constraint")


def test_a_piece_takes_its_field():
    answers = {"x": {"who": {"name": 'Al "a"', "age": None}, "n": "2"}}
    name = compiled(t.STR, in_record=True, follow='",')
    assert ask_typed(answers, name, "x.who.name") == 'Al \\"a\\"'
    assert ask_typed(answers, compiled(t.OptionalType(t.INT), follow="}"), "x.who.age") == "null"
    lead = compiled(t.OptionalType(t.STR), lead='"n":')
    assert ask_typed(answers, lead, "x.n") == '"n":"2"'
    text = {"x": '{"who":{"name":"B"}}'}
    assert ask_typed(text, name, "x.who.name") == "B"
    assert ask_typed(lambda question: {question.name: 7}, compiled(t.INT), "x.x") == "7"
    assert ask_typed(answers, name, "x.whose.name") == "the answer for `x` has no `whose.name`"


PETS = """
type Pet:
    name: str
    kind: "cat" | "dog"
    ages: list[int](max_items=2)

program pets(q: str) -> Pet:
    "{q}\\n"
    gen pet: Pet(max_tokens=200)
    require pet.kind == "cat", "a {pet.kind} of {len(pet.ages)} ages"
    return pet
"""


def test_a_program_with_typed_gens(tmp_path):
    source = tmp_path / "typed.sgl"
    source.write_text(PETS)
    cat = {"name": 'Tom \\ "T"', "kind": "cat", "ages": [1, 2]}
    (result,) = sglc.compile(source, model=Model({"pet": cat})).run([{"q": "hello"}])
    assert result.output == cat
    model = Model({"q 1": {"name": "Rex", "kind": "dog", "ages": []}, "q 2": cat})
    first, second = sglc.compile(source, model=model).run([{"q": "q 1"}, {"q": "q 2"}])
    assert "a dog of 0 ages" in repr(first)
    assert second.output == cat
