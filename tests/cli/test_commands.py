"""The commands beside `sglc run`."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sglc.compiler import driver

Sglc = Callable[..., tuple[int, str, str]]
MEASURE = ("prog.sgl", "--program", "measure")


def test_check(sglc: Sglc) -> None:
    assert sglc("check", *MEASURE)[0] == 0


def test_compile_tells_what_the_template_adds(sglc: Sglc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "template_notes", lambda program, markup: ("it adds a date",))
    code, out, err = sglc("compile", *MEASURE)
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == "sglc: it adds a date"


def test_compile_writes_the_same_bytes_twice(sglc: Sglc, tmp_path: Path) -> None:
    code, out, err = sglc("compile", *MEASURE)
    assert (code, out) == (0, "")
    assert err.endswith("bytes)\n")
    sglc("compile", *MEASURE, "-o", "again.bin")
    assert (tmp_path / "prog.bin").read_bytes() == (tmp_path / "again.bin").read_bytes()


def test_compile_to_stdout(sglc: Sglc, tmp_path: Path) -> None:
    _, out, _ = sglc("compile", *MEASURE, "-o", "-")
    assert out[8:].startswith('{"__metadata__":{"format":"sglc-plan"')
    assert not (tmp_path / "-").exists()


def test_print_after(sglc: Sglc) -> None:
    assert "program measure(%" in sglc("compile", *MEASURE, "--print-after", "lower")[1]


def test_explain(sglc: Sglc) -> None:
    sglc("compile", *MEASURE, "-o", "plan.bin")
    code, out, _ = sglc("explain", "plan.bin")
    assert (code, out.splitlines()[0]) == (0, "program measure(text: str, n: int = 1) -> str")
    assert json.loads(sglc("explain", "plan.bin", "--json")[1])["program"] == "measure"


def test_version(sglc: Sglc) -> None:
    assert sglc("version") == (0, "sglc 0.1.0\n", "")


@pytest.mark.parametrize("command", [[], ["check"], ["compile"], ["run"], ["explain"], ["model"]])
def test_help_names_the_exit_codes(sglc: Sglc, command: list[str]) -> None:
    code, out, _ = sglc(*command, "--help")
    assert code == 0
    assert "exit codes:" in out and "130" in out


def test_help_loads_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "sglc", "--help"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = {line.split("|")[-1].strip() for line in found.stderr.splitlines()}
    assert "sglc.cli" in modules
    assert not modules & {"torch", "lark", "numpy", "transformers", "rich", "networkx", "asyncio"}
