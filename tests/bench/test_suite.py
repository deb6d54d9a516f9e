"""The suite of all examples: complete, and no fault of one program stops it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def suite() -> ModuleType:
    path = EXAMPLES / "benchmarks" / "suite.py"
    spec = importlib.util.spec_from_file_location("sglc_example_suite", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_it_holds_every_program_with_rows_that_exist(suite: ModuleType) -> None:
    programs = {p for p in EXAMPLES.glob("*/*.sgl") if "\nprogram " in p.read_text("utf-8")}
    assert {EXAMPLES / entry.program for entry in suite.SUITE} == programs
    assert len({entry.name for entry in suite.SUITE}) == len(suite.SUITE)
    for entry in suite.SUITE:
        folder = (EXAMPLES / entry.program).parent
        assert all((folder / name).is_file() for name in (entry.inputs, *entry.externs))
        assert entry.baseline_rows <= entry.rows


@pytest.mark.slow
def test_one_program_fails_and_the_next_runs(
    suite: ModuleType, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = suite.Entry("mmlu/mmlu.sgl", "questions.jsonl", 2, 2, ("NO_SUCH_CONST=1",))
    good = suite.Entry("rag/rag.sgl", "questions.jsonl", 2, 2)
    monkeypatch.setattr(suite, "SUITE", (broken, good))
    page = tmp_path / "table.md"
    words = ["--model", str(tiny_model), "--load-format", "dummy", "-o", str(page)]
    monkeypatch.setattr(sys, "argv", ["suite.py", *words])
    assert suite.main() == 1
    lines = page.read_text().splitlines()
    columns = next(line for line in lines if line.startswith("| program")).count("|")
    (failed,) = (line for line in lines if line.startswith("| mmlu NO_SUCH_CONST=1"))
    (ran,) = (line for line in lines if line.startswith("| rag"))
    assert "exit code 2" in failed and failed.count("|") == ran.count("|") == columns
    assert ran.split(" | ")[1] == "2" and float(ran.split(" | ")[2]) > 0


def test_a_program_that_takes_too_long_is_a_line(suite: ModuleType) -> None:
    parsed = suite.argparse.Namespace(
        data=None, rows=1, load_format="dummy", model="nowhere", limit=0.05
    )
    done = suite.run(suite.SUITE[0], parsed)
    assert done.result is None and done.fault == "took over 0 s"
