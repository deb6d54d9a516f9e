"""`select` from machine to engine, against a reference that scores each choice by its own forward
pass over the whole text, in fp32."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import pytest
import torch

from sglc.codegen import instruction as p
from sglc.codegen.plan import LengthBounds, Markup, ModelIdentity, Param, Plan
from sglc.ir.host.expr import ListOf, Operand
from sglc.ir.types import JSON
from sglc.runtime.machine.machine import Machine
from sglc.runtime.machine.select import METHODS
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.models.naive_attend import naive_attend
from sglc.runtime.row import BoundRow

PIECES = ["alpha", "al", "ab", "abc", " th", "the", "é", "名", "😀", '"', '":', "1", "12", "}", "e"]


def select_plan(method: str) -> Plan:
    """After `text`, a select from `choices` at `temperature`; yields [winner, scores, index]."""
    return Plan(
        program="test",
        doc=None,
        params=tuple(
            Param(name, JSON, reg, False)
            for reg, name in enumerate(("text", "choices", "temperature"))
        ),
        result=None,
        result_is_names=False,
        externs=(),
        code=(
            p.Start(3),
            p.Append(3, 3, 0),
            p.Select(3, 4, 3, 1, method, 2, (("scores", 5), ("index", 6)), (0,), "x"),
            p.Eval(7, ListOf((Operand(0), Operand(1), Operand(2))), (4, 5, 6)),
            p.Return(3, 7),
        ),
        num_regs=8,
        model=ModelIdentity("toy", "toy", "0", "0", 1024),
        markup=Markup({}, {}, ()),
        constants=(),
        bounds=LengthBounds(0, None),
        sources=(),
        stages=(),
        ir="",
        compiler_version="0",
    )


@pytest.fixture
def select(words_engine, words):
    """Run rows of (text, choices): `.found` are [winner, scores, index] or the failure's message,
    `.stats` the engine's."""

    def run(method, rows, *, temperature=0.0, seed=0, **options):
        plan, engine = select_plan(method), words_engine(**options)
        machine = Machine(plan, ModelSpec(plan.model, words, plan.markup), engine, seed=seed)
        for index, (text, choices) in enumerate(rows):
            values = {"text": text, "choices": choices, "temperature": temperature}
            machine.start(BoundRow(index, b"%d" % index, values))
        outcomes = []
        while machine.num_active:
            outcomes += machine.step()
        machine.close()
        outcomes.sort(key=lambda outcome: outcome.index)
        found = [getattr(outcome, "output", None) or outcome.message for outcome in outcomes]
        return SimpleNamespace(found=found, stats=engine.stats)

    return run


def own_forward(model, words, text: str, choices: list[str]) -> list[list[float]]:
    """The log-probabilities that each choice is judged by: its text's tokens from the first place
    on at which any of the texts differ."""
    alone = words.encode(text)
    texts = [words.encode(text + choice) for choice in choices]
    start = 0
    while all(start < len(ids) and ids[start] == alone[start : start + 1][0] for ids in texts):
        start += 1
        if start == len(alone):
            break
    rows = [logprobs(model, ids[:start] or [min(words.eos_ids)], ids[start:]) for ids in texts]
    # what begins alike is equal, whatever the passes' last bits are
    known: dict[tuple[int, ...], float] = {}
    for ids, row in zip(texts, rows, strict=True):
        row[:] = [known.setdefault(tuple(ids[: start + n + 1]), x) for n, x in enumerate(row)]
    return rows


def logprobs(model, before: list[int], ids: list[int]) -> list[float]:
    tokens = torch.tensor([*before, *ids])
    places = torch.arange(len(tokens))
    rows = model.forward(tokens, places, naive_attend, places).log_softmax(-1)
    return [float(rows[len(before) - 1 + n, id]) for n, id in enumerate(ids)]


def reference(model, words, method: str, text: str, choices: list[str]) -> tuple[list, list]:
    """Scores, and what the methods compare: for greedy selection whole rows, padded with their
    mean."""
    rows = own_forward(model, words, text, choices)
    means = [sum(row) / len(row) for row in rows]
    if method == "sum_logprob":
        sums = [sum(row) for row in rows]
        return sums, [[total] for total in sums]
    if method == "token_length_normalized":
        return means, [[mean] for mean in means]
    if method == "greedy_token_selection":
        longest = max(map(len, rows))
        padded = [
            row + [mean] * (longest - len(row)) for row, mean in zip(rows, means, strict=True)
        ]
        return means, padded
    start = [min(words.eos_ids)]
    plain = [
        logprobs(model, start, words.encode(text + choice)[-len(row) :])
        for choice, row in zip(choices, rows, strict=True)
    ]
    gains = [mean - sum(row) / len(row) for mean, row in zip(means, plain, strict=True)]
    return gains, [[gain] for gain in gains]


def random_text(rng: random.Random, most: int) -> str:
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, most)))


def random_rows(seed: int, count: int) -> list[tuple[str, list[str]]]:
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        choices = [random_text(rng, rng.choice([1, 2, 6])) for _ in range(rng.randint(1, 6))]
        choices += [choice + random_text(rng, 2) for choice in choices if rng.random() < 0.3]
        rows.append((random_text(rng, 12), list(dict.fromkeys(choices))))
    return rows


@pytest.mark.parametrize("method", METHODS)
def test_75_random_selects_a_method(select, words_model, words, method) -> None:
    rows = random_rows(METHODS.index(method), 75)
    found = select(method, rows, step_tokens=64).found
    for (text, choices), (winner, scores, index) in zip(rows, found, strict=True):
        expected, compared = reference(words_model, words, method, text, choices)
        assert scores == pytest.approx(expected, abs=1e-4)
        assert index == max(range(len(choices)), key=compared.__getitem__)
        assert winner == choices[index]


def test_hundreds_of_choices_cost_their_distinct_tokens(select, words_model, words) -> None:
    choices = [f"{a}{b}the{c}" for a in "abcdefgh" for b in "éx" for c in range(25)]
    ran = select("sum_logprob", [("alpha and ", choices)], step_tokens=4096)
    expected, _ = reference(words_model, words, "sum_logprob", "alpha and ", choices)
    (winner, scores, index) = ran.found[0]
    assert scores == pytest.approx(expected, abs=1e-4)
    assert (winner, index) == (choices[index], expected.index(max(expected)))
    tokens = [tuple(words.encode(choice)) for choice in choices]
    # a token after which no choice goes on is never run
    inner = {ids[:n] for ids in tokens for n in range(1, len(ids))}
    assert ran.stats.scored_tokens == len(inner)
    assert ran.stats.prefilled_tokens == len(words.encode("alpha and "))
    assert ran.stats.repeated_tokens == 0
    assert ran.stats.steps == 1


def test_single_tokens_read_one_row_for_all(select) -> None:
    ran = select("sum_logprob", [("x", ["a", "b", "c", "the", "alpha"])])
    assert ran.stats.scored_tokens == 0
    assert ran.stats.prefilled_tokens == 1
    assert sum(math.exp(score) for score in ran.found[0][1]) < 1


def test_a_choice_that_heals_the_token_before_it(select, words_model, words) -> None:
    """`ab` + `c` is one token: all choices are scored from before `ab`."""
    rows = [("the ab", ["c", "d"])]
    ran = select("sum_logprob", rows)
    expected, _ = reference(words_model, words, "sum_logprob", *rows[0])
    assert ran.found[0][1] == pytest.approx(expected, abs=1e-4)
    assert [len(row) for row in own_forward(words_model, words, *rows[0])] == [1, 2]


def test_unconditional_scores_are_shared_by_the_batch(select) -> None:
    choices = ["alpha the", "beta", "12ab"]
    method = "unconditional_likelihood_normalized"
    one = select(method, [("x1 ", choices)]).stats
    rows = [(f"{word} ", choices) for word in ("x1", "y2", "z3", "w4")]
    many = select(method, rows).stats
    given = select("sum_logprob", rows).stats
    # beside the scores after each text: once for all rows
    once = one.scored_tokens - select("sum_logprob", rows[:1]).stats.scored_tokens
    assert once > 0
    assert many.scored_tokens == given.scored_tokens + once


def test_drawn_choices_follow_the_scores(select) -> None:
    choices, temperature = ["a", "the", "12", "名"], 2.0
    scores = select("token_length_normalized", [("alpha ", choices)]).found[0][1]
    weights = [math.exp(score / temperature) for score in scores]
    drawn = select(
        "token_length_normalized", [("alpha ", choices)] * 600, temperature=temperature
    ).found
    assert all(row[1] == pytest.approx(scores, abs=1e-5) for row in drawn)
    for index, weight in enumerate(weights):
        share = sum(row[2] == index for row in drawn) / len(drawn)
        assert share == pytest.approx(weight / sum(weights), abs=0.06)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([], "there are no choices"),
        (["a", ""], "a choice is empty"),
        (["a", "b", "a"], 'the choice "a" is given twice'),
        (["a", 1], "a choice is an int, not a str"),
    ],
)
def test_bad_choices_fail_their_row_alone(select, choices, message) -> None:
    found = select("sum_logprob", [("x", choices), ("x", ["a", "b"])]).found
    assert found[0] == message
    assert found[1][0] in ("a", "b")
