"""Typed gens from text to values, by a model of random weights at temperature 1: what it would say
is noise, so that every value conforms is the constraints' doing alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sglc.cli import command
from sglc.codegen.instruction import Gen
from sglc.codegen.plan import Plan
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler.diagnostics import CompileErrors
from sglc.compiler.driver import compile_file
from sglc.ir import types as t
from sglc.ir.host.text import json_text
from sglc.ir.values import conform
from sglc.passes import PIPELINE
from sglc.runtime.engine.request import GenRequest, Request
from sglc.runtime.row import RowDone
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

OPTIONAL = [each.name for each in PIPELINE if each.is_optimization]
TYPES = """
type Where:
    place: str(max_length=8)
    lat: float(-90..90)

type Verdict:
    decision: "accept" | "reject"
    where: Where
    score: int(1..100)
    version: 2
    sure: bool
    tags: list[str(min_length=1, max_length=12)](max_items=3)
    note: str(max_length=10)?
    seen: list[Where](max_items=2)
    mark: "A" | "B" | 3
    why: str
"""
JUDGE = f"""{TYPES}
program judge(essay: str):
    user "{{essay}}"
    assistant:
        "Verdict: "
        gen v: Verdict (max_tokens=MAX)
        "!"
        gen after(max_tokens=2)
"""


def essay(row: int) -> str:
    return "the old mill " * (row % 3) + str(row)


@dataclass
class Tiny:
    """`requests` are the gens of the last run."""

    session: Session
    requests: list[GenRequest] = field(default_factory=list)

    def compile(self, source: str, skip: Sequence[str] = ()) -> Plan:
        plan = compile_file(None, source, spec=self.session.spec, skip=skip).plan
        return read_plan(write_plan(plan))

    def run(self, source: str | Plan, num_rows: int = 40, *, exact: bool = False) -> list[RowDone]:
        """The outcomes of rows of different texts, none of which fails."""
        plan = self.compile(source) if isinstance(source, str) else source
        options = EngineOptions("cpu", "float32", "dummy", deterministic=exact)
        rows = [{"essay": essay(row)} for row in range(num_rows)]
        bound = bind_rows(rows, RowBinder(RowFields(plan.params)))
        engine = self.session.make_engine(options)
        self.requests.clear()
        submit = engine.submit

        def noting(request: Request) -> None:
            if isinstance(request, GenRequest):
                self.requests.append(request)
            submit(request)

        engine.submit = noting  # type: ignore[method-assign]
        outcomes = list(run(plan, self.session.spec, engine, bound, seed=7, keep_trace=True))
        assert all(isinstance(outcome, RowDone) for outcome in outcomes), outcomes
        return [outcome for outcome in outcomes if isinstance(outcome, RowDone)]


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> Tiny:
    return Tiny(open_session(str(tiny_model)))


def said(outcome: RowDone) -> str:
    """All that stands in the row's roles, a text a role."""
    assert outcome.trace is not None
    (context,) = outcome.trace.contexts
    return "\n".join(str(segment["text"]) for segment in context)


def test_every_value_conforms_and_is_what_stands_in_the_context(tiny) -> None:
    plan = tiny.compile(JUDGE.replace("MAX", "150"))
    assert sum(isinstance(i, Gen) and i.piece is not None for i in plan.code) == 10
    verdict = tiny.compile(f"{TYPES}\nprogram p(v: Verdict):\n    pass").params[0].type
    outputs = []
    for outcome in tiny.run(plan, 40):
        assert conform(outcome.output["v"], verdict) == outcome.output["v"]
        text = said(outcome).partition("Verdict: ")[2]
        value, end = json.JSONDecoder().raw_decode(text)
        assert value == outcome.output["v"]
        assert text[end] == "!"
        assert re.search(r"[\s:,]\s", re.sub(r'"(\\.|[^"\\])*"', '""', text[:end])) is None
        outputs.append(value)
    assert len({json_text(value) for value in outputs}) == 40
    # noise reaches every choice
    assert {value["decision"] for value in outputs} == {"accept", "reject"}
    assert {value["sure"] for value in outputs} == {True, False}
    assert {len(value["tags"]) for value in outputs} >= {0, 1, 2}
    assert {value["note"] is None for value in outputs} == {True, False}


def test_the_least_budget_is_enough_and_one_token_less_is_an_error(tiny) -> None:
    with pytest.raises(CompileErrors) as caught:
        tiny.compile(JUDGE.replace("MAX", "9"))
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.primary.span.line) == ("E0705", 22)
    found = re.fullmatch(
        r"the shortest value of this gen takes (\d+) tokens of the model, and max_tokens is 9",
        diagnostic.message,
    )
    assert found
    least = int(found[1])
    with pytest.raises(CompileErrors):
        tiny.compile(JUDGE.replace("MAX", str(least - 1)))
    opening = len(tiny.session.spec.tokenizer.encode('{"decision":"'))
    for spare in (0, 2, 12):
        tiny.run(JUDGE.replace("MAX", str(least + spare)), 20)
        num_tokens = {
            name: {r.order[0]: r.prefix.num_tokens for r in tiny.requests if r.name == name}
            for name in ("v.decision", "after")
        }
        assert len(num_tokens["after"]) == 20
        for row, end in num_tokens["after"].items():
            spent = opening + end - num_tokens["v.decision"][row] - len("!")
            assert spent <= least + spare


def test_a_record_that_stays_one_gen_conforms_as_well(tiny) -> None:
    plan = tiny.compile(
        f"""{TYPES}
program judge(essay: str) -> json:
    "{{essay}}"
    gen several: Verdict (n=2, max_tokens=150)
    defaults frequency_penalty=0.5
    gen one: Verdict (max_tokens=150)
    gen many: list[Where](min_items=2, max_items=3) (max_tokens=120)
    gen told: Where (max_tokens=60)
    return [several, one, many, told, len(told.tokens), told.finish_reason]
"""
    )
    assert not any(isinstance(i, Gen) and i.piece is not None for i in plan.code)
    made = {str(i.type): i.type for i in plan.code if isinstance(i, Gen)}
    verdict, where = made["Verdict"], made["Where"]
    for outcome in tiny.run(plan, 6):
        several, one, many, told, num_tokens, reason = outcome.output
        for value, type in (
            *((value, verdict) for value in (*several, one)),
            (many, t.ListType(where, 2, 3)),
            (told, where),
        ):
            assert conform(value, type) == value
        assert 0 < num_tokens <= 60 and reason == "stop"


def test_typed_values_are_values_in_the_program(tiny) -> None:
    source = f"""{TYPES}
def place(of: str) -> Where:
    "{{of}}:"
    gen w: Where (max_tokens=60, temperature=0.9)
    return w

program p(essay: str) -> json:
    "{{essay}}"
    gen n: int(1..3)
    fork n as parts:
        "part {{i}}"
        gen score: float(0..1)
        let w = place("at")
        select grade from ["A", "B"]
    join parts
    gen day(regex=r"(Mon|Tues)day", temperature=0)
    gen word(choices=["yes", "yes, but", essay])
    let north = [p.w.lat > 0 for p in parts]
    return {{"n": n, "sum": sum(parts.score), "north": north, "day": day, "word": word}}
"""
    essays = [essay(row) for row in range(20)]
    for outcome in tiny.run(source, 20):
        value: Any = outcome.output
        assert 1 <= value["n"] <= 3
        assert 0 <= value["sum"] <= value["n"]
        assert len(value["north"]) == value["n"] and set(value["north"]) <= {True, False}
        assert value["day"] in ("Monday", "Tuesday")
        assert value["word"] in ("yes", "yes, but") or value["word"] in essays


@pytest.mark.parametrize("skip", [OPTIONAL, ["merge_appends"]], ids=["all", "merge_appends"])
def test_results_do_not_depend_on_passes(tiny, skip: list[str]) -> None:
    source = JUDGE.replace("MAX", "160")
    plain, other = tiny.compile(source), tiny.compile(source, skip)
    assert plain.passes != other.passes
    wanted = [outcome.output for outcome in tiny.run(plain, 4, exact=True)]
    assert [outcome.output for outcome in tiny.run(other, 4, exact=True)] == wanted


def test_from_text_to_json_lines(tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    program, rows, out = (tmp_path / name for name in ("p.sgl", "rows.jsonl", "out.jsonl"))
    program.write_text(JUDGE.replace("MAX", "200"))
    rows.write_text("".join(f'{{"essay": "mill {i}"}}\n' for i in range(5)))
    words = ["sglc", "run", program, "--inputs", rows, "-o", out, "--model", tiny_model]
    words += ["--load-format", "dummy", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", [*map(str, words)])
    with pytest.raises(SystemExit) as ended:
        command()
    assert not ended.value.code
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 5
    for line in lines:
        assert list(line["output"]["v"]) == [
            "decision", "where", "score", "version", "sure", "tags", "note", "seen", "mark", "why",
        ]  # fmt: skip
