"""`explain`: the whole text of a small plan, and the same facts as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from sglc import testing
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler.driver import compile_file
from sglc.compiler.report import explain, explain_json

GOLDEN = Path(__file__).parent / "explained" / "judge.txt"

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


def test_for_people(update_golden: bool) -> None:
    plan = compile_file(None, PROGRAM, spec=testing.Model({}).spec).plan
    text = explain(read_plan(write_plan(plan))) + "\n"
    if update_golden:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


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
