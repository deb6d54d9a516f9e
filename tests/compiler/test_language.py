"""Programs in Markdown: the language reference and the index of diagnostics are test suites.

A fenced `sgl` block is a program. Followed by a `snapshot` block, it yields exactly those
diagnostics; alone, it checks without any. A block whose info string names a file (`sgl # file:
shots.sgl`, `text # file: rubric.txt`) is laid beside the later programs of its section.
`pytest --update-golden` rewrites the snapshots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from sglc.compiler.check import check
from sglc.compiler.check.builtins import TYPE_NAMES
from sglc.compiler.check.options import GEN_OPTIONS, METHODS
from sglc.compiler.codes import CODES
from sglc.compiler.diagnostics import CompileErrors, render
from sglc.ir.host.functions import SIGNATURES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "compiler" / "LANGUAGE.md"
SUITES = [REFERENCE, *sorted((ROOT / "tests" / "compiler" / "diagnostics").glob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (?P<title>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """The program, the files beside it, and its snapshot: the text and where it stands."""

    title: str
    program: str
    files: dict[str, str]
    snapshot: str | None
    place: tuple[int, int] | None


def cases(markdown: str) -> list[Case]:
    found: list[Case] = []
    files: dict[str, str] = {}
    title = ""
    fences = list(FENCE.finditer(markdown))
    code = [(f.start(), f.end()) for f in fences]
    headings = [h for h in HEADING.finditer(markdown) if not _inside(h.start(), code)]
    for event in sorted([*fences, *headings], key=re.Match.start):
        if event.re is HEADING:
            title, files = event["title"], {}
            continue
        language, _, info = event["info"].partition("#")
        if named := re.match(r"\s*file:\s*(\S+)", info):
            files = {**files, named[1]: event["body"]}
        elif language.strip() == "sgl":
            found.append(Case(title, event["body"], files, None, None))
        elif language.strip() == "snapshot":
            last = found.pop()
            assert last.snapshot is None, f"{title}: a program has two snapshots"
            found.append(Case(title, last.program, last.files, event["body"], event.span("body")))
    return found


def _inside(at: int, ranges: list[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in ranges)


def _ids() -> list[tuple[Path, int]]:
    return [(path, i) for path in SUITES for i in range(len(cases(path.read_text("utf-8"))))]


def _name(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


def diagnostics_of(case: Case, folder: Path) -> str:
    for name, text in {**case.files, "main.sgl": case.program}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    try:
        checked = check(Path("main.sgl"))
    except CompileErrors as errors:
        return render(errors.diagnostics, errors.sources)
    return render(checked.warnings, checked.sources)


@pytest.mark.parametrize(("path", "number"), _ids(), ids=_name)
def test_program(
    path: Path,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    update_golden: bool,
) -> None:
    markdown = path.read_text("utf-8")
    case = cases(markdown)[number]
    monkeypatch.chdir(tmp_path)
    found = diagnostics_of(case, tmp_path)
    if update_golden and case.place:
        start, end = case.place
        path.write_text(markdown[:start] + found + "\n" * bool(found) + markdown[end:], "utf-8")
        return
    where = f"{path.name}, {case.title!r}, program {number}"
    assert found == (case.snapshot or "").removesuffix("\n"), where


def test_the_reference_lists_each_code() -> None:
    listed = re.findall(
        r"^\| `([EW]\d{4})` \| `([a-z0-9-]+)` \|", REFERENCE.read_text("utf-8"), re.M
    )
    assert dict(listed) == CODES
    assert [code for code, _ in listed] == sorted(CODES)


def test_the_reference_lists_each_built_in() -> None:
    listed = re.findall(r"^\| `(\w+\(.*?\))` \| (.*) \|$", REFERENCE.read_text("utf-8"), re.M)
    assert listed == [(f"{name}{s}", s.doc) for name, s in SIGNATURES.items()]


def test_the_reference_lists_each_option() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", REFERENCE.read_text("utf-8"), re.M)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed >= {*GEN_OPTIONS, *TYPE_NAMES - {"list"}}
    assert set(METHODS) == set(re.findall(r'^\| `"(\w+)"` \|', REFERENCE.read_text("utf-8"), re.M))


def test_the_rules_that_the_code_calls_by_number_are_there() -> None:
    reference = REFERENCE.read_text(encoding="utf-8")
    numbered = [int(n) for n in re.findall(r"^\*\*(\d+)\. ", reference, re.MULTILINE)]
    assert numbered == list(range(1, 15))
    called = set()
    for folder in ("codegen", "ir", "runtime"):
        for file in (ROOT / folder).rglob("*.py"):
            called |= {int(n) for n in re.findall(r"\b[Rr]ule (\d+)\b", file.read_text())}
    assert called and called <= set(numbered)


def test_its_links_lead_to_headings() -> None:
    reference = REFERENCE.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", heading["title"].lower()).replace(" ", "-")
        for heading in HEADING.finditer(reference)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", reference)) <= anchors
