"""Golden cases: for each pass, modules before and after it, in the textual IR.

A case file holds cases: a line `=== title`, the module before, a line `---`, the module after.
`pytest tests/passes --update-golden` writes what the passes do now.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sglc.ir.text import parse_module, print_module
from sglc.ir.verify import verify
from sglc.passes import PIPELINE

CASES = Path(__file__).parent / "cases"
RUN = {each.name: each.run for each in PIPELINE}


@dataclass(frozen=True)
class Case:
    title: str
    before: str
    after: str

    def text(self) -> str:
        return f"=== {self.title}\n{self.before}---\n{self.after}"


def read_cases(path: Path) -> list[Case]:
    cases = []
    for block in path.read_text(encoding="utf-8").split("=== ")[1:]:
        title, rest = block.split("\n", 1)
        before, after = rest.split("---\n", 1)
        cases.append(Case(title, before, after))
    return cases


@pytest.mark.parametrize("name", RUN)
def test_pass_does_to_each_case_what_its_file_says(name: str, update_golden: bool) -> None:
    path = CASES / f"{name}.ir"
    assert path.exists(), f"write {path.name}: each pass has cases"
    now = []
    for case in read_cases(path):
        before = parse_module(case.before)
        verify(before)
        after = RUN[name](before)
        verify(after)
        now.append(Case(case.title, print_module(before), print_module(after)))
    if update_golden:
        path.write_text("".join(case.text() for case in now), encoding="utf-8")
    assert read_cases(path) == now


def test_each_case_file_is_of_a_pass() -> None:
    assert {path.stem for path in CASES.glob("*.ir")} == set(RUN)


@pytest.mark.parametrize("name", RUN)
def test_a_second_run_changes_nothing(name: str) -> None:
    for case in read_cases(CASES / f"{name}.ir"):
        once = RUN[name](parse_module(case.before))
        assert print_module(RUN[name](once)) == print_module(once), case.title
