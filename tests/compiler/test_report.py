"""`explain`: the whole text of a small plan, and the same facts as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sglc import testing
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler.driver import compile_file
from sglc.compiler.report import explain, explain_json

FOLDER = Path(__file__).parent / "explained"

PROGRAM = '''"""Judge an essay.

Twice."""
const STYLE = "strict"
extern lookup(isbn: str, lang: str) -> str

program judge(essay: str(max_length=100), dims: list[str] = ["clarity", "wit"]) -> json:
    defaults temperature=0
    system "You are a {STYLE} judge."
    user "{essay}\\n{lookup(essay, "en")}"
    fork dim in dims as views:
        user "Judge its {dim}."
        assistant:
            gen review(max_tokens=16, stop="END")
            select grade from ["A", "B"]
    let best = try(argmax([len(v.review) for v in views]), 0)
    for i in range(best):
        user "again {i}"
    while best < 3 max 2:
        best = best + 1
    require best >= 0, "no views"
    join views
    return {"grade": views[best].grade, "n": best}
'''


TYPED = """type Grade:
    mark: "A" | "B"
    points: int(0..100)

type Tree:
    label: str
    below: json

program grade(essay: str, pattern: str):
    "{essay}\\nGrade: "
    gen given: Grade (max_tokens=40)
    gen day(regex=r"\\d{4}-\\d\\d")
    gen word(regex=pattern)
    gen trees: list[Tree](max_items=2)
"""


@pytest.mark.parametrize(("name", "program"), [("judge", PROGRAM), ("typed", TYPED)])
def test_for_people(name: str, program: str, update_golden: bool) -> None:
    plan = compile_file(None, program, spec=testing.Model({}).spec).plan
    text = explain(read_plan(write_plan(plan))) + "\n"
    # the grammar's version and size are those of the xgrammar that is there
    text = re.sub(r"xgrammar \S+, [\d,]+ bytes", "xgrammar VERSION, SIZE bytes", text)
    golden = FOLDER / f"{name}.txt"
    if update_golden:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_constraints_as_json() -> None:
    plan = compile_file(None, TYPED, spec=testing.Model({}).spec).plan
    found = json.loads(json.dumps(explain_json(plan)))["constraints"]
    assert [(each["kind"], each["of"], each["by"]) for each in found] == [
        ("type", '"A" | "B"', "table"),
        ("type", "int(0..100)", "table"),
        ("regex", r"\d{4}-\d\d", "table"),
        ("type", "list[Tree](max_items=2)", "xgrammar"),
    ]
    assert [(each["follow"], each["fewest_tokens"]) for each in found[:3]] == [
        ('","points":', 1),
        ("}", 1),
        ("", 7),
    ]


def test_as_json() -> None:
    plan = compile_file(None, PROGRAM, spec=testing.Model({}).spec).plan
    found = json.loads(json.dumps(explain_json(plan)))
    assert found["signature"].startswith("judge(essay: str(max_length=100), dims: list[str] = ")
    assert found["params"][1] == {
        "name": "dims",
        "type": "list[str]",
        "default": ["clarity", "wit"],
    }
    assert found["bounds"]["shortest"] == plan.bounds.shortest > 0
    assert found["stages"]["STYLE"] == "const"
    assert len(found["schedule"]) == len(plan.code)
    assert found["externs"] == ["extern lookup(isbn: str, lang: str) -> str"]
