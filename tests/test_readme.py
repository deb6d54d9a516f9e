"""What the READMEs show is true."""

import json
import re
import shlex
from pathlib import Path

import pytest

import sglc
from sglc import testing
from sglc.arguments import EXIT_CODES, parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_taste_compiles_and_runs() -> None:
    source = README.split("```")[1]
    model = testing.Model({"team": "billing", "level": "high", "reply": "On it."})
    program = sglc.compile(source, model=model)
    assert program.warnings == ()
    (result,) = program.run([{"ticket": "My invoice is wrong."}])
    assert isinstance(result.output, dict) and result.output["reply"] == "On it."


def test_the_files_it_names_are_there() -> None:
    commands = "\n".join(line for line in README.splitlines() if line.startswith("    "))
    named = re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"examples/[\w/.]+", commands)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_it_lists_the_exit_codes() -> None:
    codes = re.findall(r"^ +(\d+) ", EXIT_CODES, re.MULTILINE)
    told = README.split("Exit codes: ")[1].split("\n\n")[0]
    assert codes == re.findall(r"\b\d+\b", told)


READMES = [ROOT / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_its_commands_are_commands_on_files_that_are_there(readme: Path) -> None:
    commands = re.findall(r"^    .*?\b(sglc \w+ .*)$", readme.read_text(), re.MULTILINE)
    assert commands
    for command in commands:
        args = parser().parse_args(shlex.split(command)[1:])
        assert (ROOT / args.file).is_file()
        assert all((ROOT / name).is_file() for name in args.extern)
        first = (ROOT / args.inputs).read_text().splitlines()[0]
        assert json.loads(first).keys() >= set(getattr(args, "keep", ()))
