"""Typed gens: what the engine is asked for, and the values that texts become."""

from __future__ import annotations

import json

import pytest

from sglc.codegen import instruction as p
from sglc.codegen.automata.compile import compile_constraint
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.codegen.plan import PlanConstraint
from sglc.ir import types as t
from sglc.ir.host.expr import Const
from sglc.runtime.constraints import Constraints
from sglc.runtime.machine.value_text import value_of
from sglc.runtime.row import RowDone, RowFailed, RowFailure

RECORD = t.RecordType("R", (("name", t.STR), ("tags", t.ListType(t.OptionalType(t.FLOAT)))))


def typed(type: t.Type, **options: object) -> ConstraintSource:
    return ConstraintSource("type", type=type, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        (t.STR, 'a "b"', 'a "b"'),
        (t.StrType(max_length=9), "12", "12"),
        (t.INT, "-12", -12),
        (t.FLOAT, "3", 3.0),
        (t.FLOAT, "1.5e3", 1500.0),
        (t.BOOL, "true", True),
        (t.LiteralType(("a", "b")), "a", "a"),
        (t.LiteralType(("1", 1)), '"1"', "1"),
        (t.LiteralType(("1", 1)), "1", 1),
        (t.OptionalType(t.STR), "null", None),
        (t.OptionalType(t.STR), '"null"', "null"),
        (t.ListType(t.INT), "[1,2]", [1, 2]),
        (t.JSON, '{"a":[true]}', {"a": [True]}),
        (RECORD, '{"name":"é\\n","tags":[1,null]}', {"name": "é\n", "tags": [1.0, None]}),
    ],
)
def test_texts_become_values(type, text, value) -> None:
    found = value_of(text, type, typed(type))
    assert found == value and json.dumps(found) == json.dumps(value)


def test_a_str_in_a_record_has_the_escapes_of_json() -> None:
    source = typed(t.STR, in_record=True)
    assert value_of('a\\"b\\n\\\\é', t.STR, source) == 'a"b\n\\é'
    one = t.LiteralType(("x\ny", "z"))
    assert value_of("x\\ny", one, typed(one, in_record=True)) == "x\ny"


def test_the_lead_is_no_part_of_the_value() -> None:
    assert value_of('"a":7', t.INT, typed(t.INT, lead='"a":')) == 7


def test_a_text_that_is_no_value_fails_with_both() -> None:
    with pytest.raises(RowFailure) as failure:
        value_of("11", t.IntType(0, 10), typed(t.INT))
    assert failure.value.code == "type_error"
    assert failure.value.message == "the generated value: expected an int of 0 to 10, found 11"


@pytest.fixture
def planned(tokenizer):
    """Constraints of a plan, compiled for the toy tokenizer."""

    def make(*sources: ConstraintSource) -> tuple[PlanConstraint, ...]:
        vocabulary = vocabulary_of(tokenizer)
        return tuple(PlanConstraint(s, compile_constraint(s, vocabulary)) for s in sources)

    return make


def gen(dst, value, src, type, constraint=None, *, options=(), metas=(), piece=None, name="x"):
    return p.Gen(
        dst, value, src, type, tuple(options), tuple(metas), (0,), False, name,
        constraint=constraint, piece=piece,
    )  # fmt: skip


def test_a_typed_gen_asks_under_its_constraint(plan_of, run_plan, planned) -> None:
    constraints = planned(typed(RECORD))
    plan = plan_of(
        [p.Start(9), gen(9, 1, 9, RECORD, 0, metas=[("tokens", 2)]), p.Return(9, 1)],
        constraints=constraints,
    )
    text = '{"name":"ab","tags":[]}'
    ran = run_plan(plan, say=lambda request: (text[:-2], text[-2:]))
    (request,) = ran.engine.submitted
    assert request.constraint is constraints[0].compiled
    assert request.written == b""
    assert ran.outcomes[0].output == {"name": "ab", "tags": []}


def test_samples_are_a_list_of_values(plan_of, run_plan, planned) -> None:
    plan = plan_of(
        [
            p.Eval(2, Const(3), ()), p.Start(9),
            gen(9, 1, 9, t.INT, 0, options=[("n", 2)]), p.Return(9, 1),
        ],
        constraints=planned(typed(t.INT)),
    )  # fmt: skip
    texts = iter(["1", "22", "-3"])
    ran = run_plan(plan, say=lambda request: next(texts))
    assert ran.outcomes[0].output == [1, 22, -3]


@pytest.mark.parametrize(
    ("option", "type", "value", "text", "output"),
    [
        ("regex", t.STR, "[a-c]+", "abc", "abc"),
        ("choices", t.STR, ["x y", "z"], "z", "z"),
        ("ebnf", t.STR, 'root ::= "a" root | "b"', "aab", "aab"),
        ("json_schema", t.JSON, {"type": "integer"}, "12", 12),
        ("json_schema", t.JSON, '{"enum":[true,"a"]}', '"a"', "a"),
    ],
)
def test_a_row_may_decide_the_constraint(
    plan_of, run_plan, option, type, value, text, output
) -> None:
    code = [p.Start(9), gen(9, 1, 9, type, options=[(option, 0)]), p.Return(9, 1)]
    ran = run_plan(plan_of(code, ["c"]), [{"c": value}] * 3, say=lambda request: text)
    assert [outcome.output for outcome in ran.outcomes] == [output] * 3
    assert len({id(request.constraint) for request in ran.engine.submitted}) == 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("regex", "a(b", "at character 2"),
        ("regex", 5, "regex is 5, expected a str"),
        ("choices", [], "there is nothing to choose from"),
        ("choices", ["a", "a"], 'the choice "a" is there twice'),
        ("json_schema", {"type": "strin"}, "at /type of the schema"),
        ("json_schema", "{", "the JSON schema is not JSON"),
        ("ebnf", "root ::= x", "x"),
    ],
)
def test_a_bad_constraint_fails_its_row_alone(plan_of, run_plan, option, value, message) -> None:
    good = {"regex": "a", "choices": ["a"], "json_schema": {"const": "a"}, "ebnf": 'root ::= "a"'}
    code = [p.Start(9), gen(9, 1, 9, t.STR, options=[(option, 0)]), p.Return(9, 1)]
    ran = run_plan(plan_of(code, ["c"]), [{"c": value}, {"c": good[option]}], say=lambda _: "a")
    failed, done = ran.outcomes
    assert isinstance(failed, RowFailed) and failed.code == "bad_constraint"
    assert failed.message.startswith(f"{option}: ") and message in failed.message
    assert isinstance(done, RowDone)


def test_equal_constraints_are_compiled_once_and_few_are_kept(tokenizer, monkeypatch) -> None:
    monkeypatch.setattr("sglc.runtime.constraints.MAX_COMPILED", 3)
    constraints = Constraints((), tokenizer)
    first = constraints.of_option("json_schema", {"const": 1})
    assert constraints.of_option("json_schema", '{"const": 1}') is first
    assert constraints.of_option("json_schema", {"const": True}) is not first
    for number in range(2, 4):
        constraints.of_option("json_schema", {"const": number})
        assert constraints.of_option("json_schema", {"const": 1}) is first
    for number in range(4, 7):
        constraints.of_option("json_schema", {"const": number})
    assert constraints.of_option("json_schema", {"const": 1}) is not first


def test_gens_with_other_constraints_are_not_merged(plan_of, run_plan) -> None:
    """The same prompt at temperature 0: one request a constraint."""
    code = [
        p.Start(9), p.Eval(2, Const(0), ()),
        gen(9, 1, 9, t.STR, options=[("regex", 0), ("temperature", 2)]), p.Return(9, 1),
    ]  # fmt: skip
    rows = [{"c": pattern} for pattern in ("a|b", "a", "a|b", "a")]
    ran = run_plan(plan_of(code, ["c"]), rows, say=lambda request: "a")
    assert len(ran.engine.submitted) == 2


def test_too_small_a_budget_names_both_numbers(plan_of, run_plan, planned) -> None:
    plan = plan_of(
        [p.Start(9), gen(9, 1, 9, RECORD, 0, options=[("max_tokens", 0)]), p.Return(9, 1)],
        ["m"],
        constraints=planned(typed(RECORD)),
    )
    ran = run_plan(plan, [{"m": 20}, {"m": 21}], say=lambda request: '{"name":"","tags":[]}')
    assert ran.outcomes[0].code == "budget_too_small"
    assert ran.outcomes[0].message == "max_tokens is 20, but the shortest value takes 21 tokens"
    assert isinstance(ran.outcomes[1], RowDone)


def pieces_plan(plan_of, constraints, reserve):
    """`x {"a":` + int, `,"n":"` + str, of `m` tokens in all."""
    return plan_of(
        [
            p.Eval(1, Const('x {"a":'), ()), p.Eval(3, Const(',"n":"'), ()),
            p.Eval(4, Const('"}'), ()), p.Start(9), p.Append(9, 9, 1),
            gen(10, 5, 9, t.INT, 0, options=[("max_tokens", 0)], piece=p.Piece(9, reserve[0])),
            p.Append(10, 10, 3),
            gen(10, 6, 10, t.STR, 1, options=[("max_tokens", 0)], piece=p.Piece(9, reserve[1])),
            p.Append(10, 10, 4),
            gen(10, 7, 10, t.STR),
            p.Return(10, 6),
        ],
        ["m"],
        constraints=constraints,
    )  # fmt: skip


def test_pieces_share_the_budget_of_the_whole(plan_of, run_plan, planned, tokenizer) -> None:
    constraints = planned(typed(t.INT), typed(t.STR, in_record=True, follow='"}'))
    said = iter(["123", 'a\\"b', "end"])
    plan = pieces_plan(plan_of, constraints, (13, 7))
    ran = run_plan(plan, [{"m": 40}], say=lambda request: next(said))
    assert ran.outcomes[0].output == 'a"b'
    first, second, last = ran.engine.submitted
    assert first.sampling.max_tokens == 40 - 13
    assert second.sampling.max_tokens == 40 - len('123,"n":"') - 7
    assert last.sampling.max_tokens == 128
    assert tokenizer.decode(last.prefix.token_ids()) == 'x {"a":123,"n":"a\\"b"}'


def test_a_value_without_room_names_what_is_kept_for_its_rest(plan_of, run_plan, planned) -> None:
    constraints = planned(typed(t.INT), typed(t.STR, in_record=True, follow='"}'))
    ran = run_plan(pieces_plan(plan_of, constraints, (14, 7)), [{"m": 14}], say=lambda request: "1")
    assert ran.outcomes[0].message == (
        "max_tokens is 14, of which 14 are kept for the rest of it, but the shortest value takes "
        "1 tokens"
    )


def test_a_later_piece_has_its_fewest_tokens_whatever_was_spent(plan_of, run_plan, planned) -> None:
    """The text between may take more tokens than was foreseen."""
    constraints = planned(typed(t.INT), typed(t.StrType(2, 9), in_record=True, follow='"}'))
    said = iter(["12", "ab", "end"])
    plan = pieces_plan(plan_of, constraints, (10, 7))
    ran = run_plan(plan, [{"m": 12}], say=lambda request: next(said))
    assert ran.outcomes[0].output == "ab"
    first, second, _ = ran.engine.submitted
    assert (first.sampling.max_tokens, second.sampling.max_tokens) == (2, 1)
