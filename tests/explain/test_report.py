"""The whole report: golden texts, its JSON against the schema, and predicted against actual."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sglc import testing
from sglc.codegen.plan import Plan
from sglc.explain import page as page_module
from sglc.explain.batch import binned, size
from sglc.explain.rehearse import row_kv_if_known
from sglc.explain.report import Report
from sglc.runtime.planner.facts import BatchFacts
from sglc.runtime.profile import Profile

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads(Path(page_module.__file__).with_name("schema.json").read_text())

PLAIN = """
    program plain(name: str) -> str:
        user "Greet {name}."
        assistant:
            gen greeting(max_tokens=12, stop="\\n")
        return strip(greeting)
"""
FORKED = '''
    """Judge an essay on two sides."""
    type Grade:
        mark: "A" | "B"
        points: int(0..9)

    extern lookup(isbn: str) -> str

    program judge(essay: str, dims: list[str]) -> json:
        defaults temperature=0
        system "You are a judge."
        user "{essay}"
        fork dim in dims as views:
            user "Judge its {dim}."
            assistant:
                gen review(max_tokens=16)
                gen unused(max_tokens=8)
        for i in range(3):
            user "Example {i}"
        if len(essay) > 10:
            user "It is long: {lookup(essay)}."
        user "Grade it."
        assistant:
            gen grade: Grade (max_tokens=40)
        return {"grade": grade, "reviews": [v.review for v in views]}
'''

PROFILE = Profile(
    "judge",
    "testing",
    2,
    2.5,
    {
        "requests": 2,
        "prompt_tokens": 30,
        "prefilled_tokens": 20,
        "recomputed_tokens": 0,
        "scored_tokens": 0,
        "decoded_tokens": 6,
        "peak_kv_tokens": 25,
        "steps": 4,
    },
    {"sampling": 0.25, "masks": 0.25},
    {"prefill": 1.0, "prefill, mixed": 0.25, "decode": 0.5},
    {},
)


def without_ir(text: str) -> str:
    """The blocks up to the schedule: what follows has goldens of its own."""
    return text.split("\n\nschedule, ")[0] + "\n"


@pytest.mark.parametrize(
    ("name", "program"), [("plain", PLAIN), ("judge", FORKED), ("batch", PLAIN)]
)
def test_for_people(
    name: str,
    program: str,
    plan_of: Callable[[str], Plan],
    facts: BatchFacts,
    update_golden: bool,
) -> None:
    plan = plan_of(program)
    row_kv = row_kv_if_known(plan, testing.Model({}).spec)
    has_batch = name == "batch"
    report = Report(plan, row_kv, facts if has_batch else None, PROFILE if has_batch else None)
    text = without_ir(report.text())
    golden = GOLDEN / f"{name}.txt"
    if update_golden:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("program", [PLAIN, FORKED])
@pytest.mark.parametrize("has_batch", [False, True])
def test_json_keeps_its_schema(
    program: str, has_batch: bool, plan_of: Callable[[str], Plan], facts: BatchFacts
) -> None:
    plan = plan_of(program)
    row_kv = row_kv_if_known(plan, testing.Model({}).spec)
    report = Report(plan, row_kv, facts, PROFILE) if has_batch else Report(plan)
    found = json.loads(json.dumps(report.as_json(), allow_nan=False))
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert list(found) == SCHEMA["required"]
    ids = [node["id"] for node in found["dataflow"]["nodes"]]
    assert ids == list(range(len(ids)))


def test_the_schema_forbids_something(plan_of: Callable[[str], Plan]) -> None:
    found = Report(plan_of(PLAIN)).as_json()
    wrong: list[dict[str, Any]] = [found | {"format": 2}, found | {"batch": {}}]
    wrong.append({key: value for key, value in found.items() if key != "dataflow"})
    for each in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate(each)


def test_without_its_tokenizer_a_plan_has_no_formula(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(PLAIN)
    assert row_kv_if_known(plan) is None  # no model is called "testing"
    assert "KV of one row" not in Report(plan).text()


def test_predicted_against_actual(plan_of: Callable[[str], Plan], facts: BatchFacts) -> None:
    found = {each.what: each for each in Report(plan_of(PLAIN), None, facts, PROFILE).compared}
    told = {what: (each.predicted, each.actual) for what, each in found.items()}
    assert told["prefilled"] == (20, 20) and told["decoded"] == (8, 6)
    assert told["peak KV"] == (28, 25)
    assert told["prefill"] == (1.5, 1.25) and told["decode"] == (0.25, 0.5)
    assert told["sampling"] == (0.125, 0.5)
    assert told["host"] == (0.0625, 0.25)
    assert told["total"] == (1.9375, 2.5)
    assert found["decode"].ratio == 0.5 and found["recomputed"].ratio is None


def test_an_engine_without_phases_is_compared_as_a_whole(
    plan_of: Callable[[str], Plan], facts: BatchFacts
) -> None:
    profile = replace(PROFILE, phases={"waiting": 2.0}, model_phases={})
    found = Report(plan_of(PLAIN), None, facts, profile).compared
    assert [each.what for each in found if each.unit == "seconds"] == ["total"]


def test_steps_in_bins() -> None:
    columns = {"kv_tokens": list(range(1001)), "decode_rows": [1] * 1001}
    shown = binned(columns)
    assert shown["num_steps"] == 1001 and shown["steps_per_bin"] == 3
    assert sum(shown["decode_rows"]) == 1001 and len(shown["decode_rows"]) == 334
    assert shown["kv_tokens"][0] == 2 and shown["kv_tokens"][-1] == 1000


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_samples_of_one_prompt_are_one_line_of_the_trie(
    plan_of: Callable[[str], Plan], facts: BatchFacts
) -> None:
    *above, gen = facts.trie
    samples = replace(
        facts, trie=(*above, *[gen] * 64, *(replace(gen, tokens=n) for n in range(70)))
    )
    text = Report(plan_of(PLAIN), None, samples).text()
    assert text.count("gen grade, 64 such\n") == 1
    assert "\n  and 13 more (--json" in text  # 60 lines: 2 above, the samples, 57 of the others
