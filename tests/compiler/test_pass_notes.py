"""What the passes say they did: lines with places, data, and warnings that are not said twice."""

from __future__ import annotations

from sglc import testing
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler.driver import CompileResult, compile_file
from sglc.compiler.pass_notes import note_lines, notes_as_json
from sglc.compiler.report import explain

PROGRAM = """
def sum_up(text: str) -> str:
    "Sum up {text}:"
    gen summary(max_tokens=8)
    gen rating
    return summary

program p(a: str):
    defaults temperature=0
    let one = run sum_up(a)
    let two = run sum_up(a)
    let manual = run sum_up("the manual")
    fork d in ["x", "y"] as g:
        let inner = run sum_up(d)
        let again = run sum_up("the guide")
        "{d} {inner} {again}"
        gen review
    gen last
    return [g.review, one, two, manual]
"""


def compiled(skip: tuple[str, ...] = ()) -> CompileResult:
    return compile_file(None, PROGRAM, spec=testing.Model({}).spec, skip=skip)


def test_notes_tell_what_was_done_and_where() -> None:
    plan = read_plan(write_plan(compiled().plan))
    lines = note_lines(plan.notes, plan.sources)
    place = plan.sources[0].name
    assert f"hoist: hoisted 1 run out of {place}:13:5: {place}:15:21" in lines
    places = ", ".join(f"{place}:{spot}" for spot in ("4:5", "5:5", "17:9", "18:5"))
    assert f"hoist: shared 8 gens: {places}" in lines
    assert f"cse: merged 1 run with {place}:10:15: {place}:11:15" in lines
    assert f"dce: removed 5 gens: {place}:5:5, {place}:18:5" in lines
    assert all(f"  {line}" in explain(plan).splitlines() for line in lines)


def test_notes_as_data() -> None:
    plan = compiled().plan
    merged = next(n for n in notes_as_json(plan.notes, plan.sources) if n["what"] == "run")
    file = plan.sources[0].name
    assert merged == {
        "pass": "hoist",
        "kind": "hoisted",
        "what": "run",
        "count": 1,
        "places": [{"file": file, "line": 15, "col": 21}],
        "target": {"file": file, "line": 13, "col": 5},
    }


def test_a_pass_that_is_skipped_says_nothing() -> None:
    every = {"inline", "hoist", "cse", "dce"}
    assert {note.by for note in compiled().plan.notes} == every
    assert {note.by for note in compiled(("cse", "dce")).plan.notes} == every - {"cse", "dce"}


def test_what_is_written_out_and_joined_is_told() -> None:
    program = """
def ask(text: str):
    "Ask {text}. "

program p(a: str):
    for shot in ["x", "y"]:
        ask(shot)
    ask(a)
    gen b(max_tokens=4)
    return b
"""
    plan = compile_file(None, program, spec=testing.Model({}).spec).plan
    lines = note_lines(plan.notes, plan.sources)
    place = plan.sources[0].name
    assert f"inline: inlined 2 calls: {place}:7:9, {place}:8:5" in lines
    assert f"unroll: unrolled 1 loop: {place}:6:5" in lines
    assert f"merge_appends: merged 2 appends: {place}:3:5" in lines


def test_what_nobody_uses_is_warned_about_once() -> None:
    found = compiled().warnings
    # `last` by the checker, which sees one function; `rating`, of no use to any caller, by the pass
    assert [(w.code, w.primary.span.line, w.primary.text) for w in found] == [
        ("W0101", 5, "left out of the plan"),
        ("W0101", 18, "generated for nothing"),
    ]
    assert [w.primary.span.line for w in compiled(("dce",)).warnings] == [18]


def test_a_gen_that_one_caller_needs_is_not_warned_about() -> None:
    source = PROGRAM.replace("run sum_up(d)", "sum_up(d)")
    result = compile_file(None, source, spec=testing.Model({}).spec)
    assert [w.primary.span.line for w in result.warnings if w.code == "W0101"] == [18]
