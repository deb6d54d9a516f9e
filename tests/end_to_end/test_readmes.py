"""The command that each example's README gives runs, on its first row and a tiny model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from sglc.bench.tiny_model import write_tiny_model
from sglc.cli import main

ROOT = Path(__file__).parents[2]
COMMANDS = [
    line.strip()
    for path in sorted(ROOT.glob("examples/*/README.md"))
    for line in path.read_text("utf-8").splitlines()
    if line.startswith("    sglc run ")
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder, context_len=8192)
    return folder


def test_every_program_has_a_command() -> None:
    told = {shlex.split(command)[2] for command in COMMANDS}
    held = {p for p in ROOT.glob("examples/*/*.sgl") if "\nprogram " in p.read_text("utf-8")}
    unnamed = {str(path.relative_to(ROOT)) for path in held} - told
    # a folder's second program is named in prose
    assert unnamed == {"examples/tree_of_thought/deep.sgl"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: Path(command.split()[2]).stem)
def test_it_runs(
    command: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)[1:]
    shorter = ["--define", "MAX_TOKENS=4"] if "MAX_TOKENS" in Path(words[1]).read_text() else []
    output = tmp_path / "out.jsonl"
    words += ["--limit", "1", "--model", str(model), "--load-format", "dummy", "--device", "cpu"]
    assert main([*words, *shorter, "--dtype", "float32", "-o", str(output)]) == 0
    (line,) = output.read_text().splitlines()
    assert "output" in json.loads(line)
