"""The suite of all examples: complete, within its time, and no fault of one program stops it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLES / "benchmarks")
    import suite

    return suite


def test_it_holds_every_program_with_rows_that_exist(suite: ModuleType) -> None:
    programs = {p for p in EXAMPLES.glob("*/*.sgl") if "\nprogram " in p.read_text("utf-8")}
    assert {EXAMPLES / entry.program for entry in suite.SUITE} == programs
    assert len({entry.name for entry in suite.SUITE}) == len(suite.SUITE)
    for entry in suite.SUITE:
        assert all((entry.folder / name).is_file() for name in (entry.inputs, *entry.externs))
        assert entry.baseline_rows <= entry.rows


def test_one_program_fails_and_the_next_runs(
    suite: ModuleType, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = suite.Entry("mmlu/mmlu.sgl", "questions.jsonl", 2, 2, (("NO_SUCH_CONST", 1),))
    good = suite.Entry("rag/rag.sgl", "questions.jsonl", 3, 2)
    monkeypatch.setattr(suite, "SUITE", (broken, good))
    page = tmp_path / "table.md"
    words = ["--model", str(tiny_model), "--load-format", "dummy", "-o", str(page)]
    monkeypatch.setattr(sys, "argv", ["suite.py", *words])
    assert suite.main() == 1
    lines = page.read_text().splitlines()
    columns = next(line for line in lines if line.startswith("| program")).count("|")
    (failed,) = (line for line in lines if line.startswith("| mmlu NO_SUCH_CONST=1"))
    ran, ablated = (line for line in lines if line.startswith("| rag"))
    assert "there is no const" in failed and failed.count("|") == ran.count("|") == columns
    cells = ran.split(" | ")
    assert cells[1] == "3" and float(cells[2]) > 0 and cells[11].endswith("(2, 8)")
    # with all on; nothing shared has more tokens, and other orders change no count
    counts = [cell.split(";")[-2:] for cell in ablated.strip("| ").split(" | ")[1:]]
    all_on, no_sharing, no_tree, arrival, random, _ = (
        [int(n.replace(",", "")) for n in pair] for pair in counts
    )
    assert no_sharing[0] > all_on[0] and no_tree == arrival == random == all_on


@pytest.mark.parametrize(("seconds", "says"), [(0.1, " | < "), (-1, "no time was left")])
def test_what_does_not_fit_is_left_out(
    suite: ModuleType,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    says: str,
) -> None:
    """Without time a program still runs with all on; without any left it is not begun."""
    monkeypatch.setattr(suite, "SUITE", (suite.Entry("rag/rag.sgl", "questions.jsonl", 3, 2),))
    page = tmp_path / "table.md"
    words = ["--model", str(tiny_model), "--load-format", "dummy", "-o", str(page)]
    prepare, start = suite.prepare, suite.time.perf_counter()

    def prepare_in_no_time(args):
        bench = prepare(args)
        args.minutes = (suite.time.perf_counter() - start + seconds) / 60
        return bench

    monkeypatch.setattr(suite, "prepare", prepare_in_no_time)
    monkeypatch.setattr(sys, "argv", ["suite.py", *words])
    suite.main()
    (line,) = (line for line in page.read_text().splitlines() if line.startswith("| rag"))
    assert says in line
