"""`--sample`: the order of `any_order` blocks as measured on rows, and rows that are none."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

import sglc
import sglc.testing
from sglc.cli import main
from sglc.compiler.driver import compile_file
from sglc.compiler.sample import SampleError
from sglc.runtime import session

PROGRAM = """
const RULES = "rules;"

program p(name: str, lang: str = "en", area: str = "x", tags: list[int] = []):
    let both = lang + area
    gen early
    any_order:
        "early {early};"
        "name {name};"
        "both {both};"
        for tag in tags:
            "tag {tag};"
        "area {area};"
        "lang {lang};"
        "{RULES}"
    gen answer
    return answer
"""
# names differ in all rows, areas in four, languages in two; tags are the same in all but one
ROWS = [
    {"name": f"n{i}", "lang": "ab"[i % 2], "area": "wxyz"[i % 4], "tags": [1, 2] if i else [3]}
    for i in range(8)
]


def prompt(source: str, sample: list[dict] | None, rows: list[dict] = ROWS[:1]) -> str:
    """What stands before `answer` in the row's prompt."""
    asked = []

    def say(question: sglc.testing.Question) -> str:
        asked.append(question)
        return "E"

    program = sglc.compile(source, model=sglc.testing.Model(say), sample=sample)
    (result,) = program.run(rows)
    assert result.error is None
    found = next(question.prompt for question in asked if question.name == "answer")
    return found.removeprefix("<|endoftext|>")


def refused(sample: list[tuple[str, object]]) -> list[str]:
    with pytest.raises(SampleError) as caught:
        compile_file(None, PROGRAM, spec=sglc.testing.Model({}).spec, sample=sample)
    return str(caught.value).split("\n")


def test_without_a_sample_inputs_stand_as_written() -> None:
    written = "Erules;name n0;both aw;tag 3;area w;lang a;early E;"
    assert prompt(PROGRAM, None) == written
    # one row says nothing of how they differ
    assert prompt(PROGRAM, ROWS[:1]) == written


def test_with_a_sample_what_takes_few_values_stands_first() -> None:
    # `both` takes as many values as `area`, in the order written
    assert prompt(PROGRAM, ROWS) == "Erules;tag 3;lang a;both aw;area w;name n0;early E;"


def test_missing_fields_count_as_their_defaults() -> None:
    rows = [{"name": "n", "lang": lang} for lang in ("a", "b")] * 2
    rows += [{"name": "n", "area": area} for area in ("x", "x")]
    # lang: a, b and "en"; area: "x" alone, given or not
    assert prompt(PROGRAM, rows) == "Erules;name n0;tag 3;area w;both aw;lang a;early E;"


def test_what_a_fragment_is_called_with_counts_as_unknown() -> None:
    source = """
def show(a: str, b: str):
    any_order:
        "a {a};"
        "b {b};"

program p(name: str, lang: str):
    show(name, lang)
    any_order:
        show(name, "c")
        "{lang};"
    gen answer
    return answer
"""
    assert prompt(source, ROWS) == "a n0;b a;a;a n0;b c;"


def test_the_order_shares_most_of_all_orders() -> None:
    """Brute force: the number of distinct prefixes, summed over all orders of the statements."""
    draw = random.Random(4)
    fields = ["one", "two", "three"]
    rows = [
        {name: draw.choice("abcdef"[:most]) for name, most in zip(fields, (5, 2, 3), strict=True)}
        for _ in range(200)
    ]
    lines = "".join(f'        "{name} {{{name}}};"\n' for name in fields)
    params = ", ".join(f"{name}: str" for name in fields)
    source = f"program p({params}):\n    any_order:\n{lines}    gen answer\n    return answer\n"
    found = [part.split()[0] for part in prompt(source, rows, rows[:1]).split(";")[:-1]]

    def cost(order: tuple[str, ...]) -> int:
        prefixes = {tuple(row[n] for n in order[: k + 1]) for row in rows for k in range(3)}
        return len(prefixes)

    assert cost(tuple(found)) == min(map(cost, itertools.permutations(fields)))


def test_the_reordering_is_told() -> None:
    spec = sglc.testing.Model({}).spec
    rows = [(f"row {i}", row) for i, row in enumerate(ROWS)]
    plan = compile_file(None, PROGRAM, spec=spec, sample=rows).plan
    (note,) = (note for note in plan.notes if note.kind == "reordered")
    assert (note.by, note.what, note.count) == ("any_order", "statement", 6)
    assert note.target is not None and note.target.line == 7


def test_rows_that_are_not_the_programs_are_refused() -> None:
    said = refused(
        [
            ("row 0", {"name": "n"}),
            ("row 1", {"nam": "n", "lang": 3}),
            ("row 2", [1]),
            ("row 3", {"name": "n", "tags": [1, "2"]}),
        ]
    )
    assert said == [
        "the sample is not of this program's rows:",
        '  row 1, field "name": the field is missing; did you mean "nam"?',
        '  row 1, field "lang": expected a str, found an int',
        "  row 2: expected a JSON object, found a list",
        '  row 3, field "tags": at [1]: expected an int, found a str',
    ]
    assert refused([(f"row {i}", 1) for i in range(9)])[-1] == "  and 4 more"
    assert refused([]) == ["the sample has no rows"]


def test_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sglc.testing.Model({})
    opened = session.Session(model.spec, lambda options: model.engine())
    monkeypatch.setattr(session, "open_session", lambda name, progress=None: opened)
    program, data = tmp_path / "p.sgl", tmp_path / "rows.jsonl"
    program.write_text("program p(a: str):\n    gen x\n    return x\n")
    data.write_text('{"a": 1}\n')
    arguments = ["compile", str(program), "--sample", str(data)]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert f'{data}: row 0 (line 1), field "a": expected a str, found an int' in said
    data.write_text('{"a": NaN}\n')
    assert main(arguments) == 2
    assert f"{data}: row 0 (line 1): NaN is not JSON" in capsys.readouterr().err
    data.write_text("".join(json.dumps({"a": text}) + "\n" for text in "ab"))
    plan = str(tmp_path / "p.bin")
    assert main([*arguments, "-o", plan]) == 0
    assert main(["explain", str(program), "--sample", str(data)]) == 0
    assert main(["explain", plan, "--sample", str(data)]) == 2
    assert "--sample is for .sgl files" in capsys.readouterr().err
