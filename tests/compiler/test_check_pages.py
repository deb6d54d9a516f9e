"""Diagnostics that depend on the command line or on the model: the pages of
`diagnostics/with_options/`. (`test_language.py` runs all other pages.)

A program's fence gives its options after `sgl`; `--model` takes the toy model below.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from sglc.codegen.plan import Markup, ModelIdentity
from sglc.compiler.check import check
from sglc.compiler.codes import CODES
from sglc.compiler.diagnostics import CompileErrors, render
from sglc.runtime.model.spec import ModelSpec

FOLDER = Path(__file__).parent / "diagnostics"
PAGES = sorted((FOLDER / "with_options").glob("*.md"))
FENCE = re.compile(r"^```(\w+)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


@dataclass(frozen=True)
class ToyTokenizer:
    """A token is a word with the space before it, or a mark; case is folded, as old models do."""

    def control_id(self, name: str) -> int | None:
        return {"<|image|>": 1, "<|end|>": 2}.get(name)

    def encode(self, text: str) -> list[int]:
        return [hash(word.lower()) for word in re.findall(r" ?\w+|\W", text)]

    def decode(self, ids: list[int]) -> str:
        raise NotImplementedError


TOY = ModelSpec(
    ModelIdentity("toy", "llama", "", "", 1024),
    ToyTokenizer(),  # type: ignore[arg-type]
    Markup({}, {"system": (), "user": (), "assistant": ()}, ()),
)


def _said(folder: Path, options: str, program: str) -> str:
    """All diagnostics of a program that lies in `folder`, as they are rendered."""
    (folder / "main.sgl").write_text(program, encoding="utf-8")
    words = options.split()
    chosen, defines, spec = None, {}, None
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "--program":
            chosen = value
        elif option == "--define":
            name, _, text = value.partition("=")
            defines[name] = json.loads(text)
        else:
            spec = TOY
    try:
        checked = check(Path("main.sgl"), program=chosen, defines=defines, spec=spec)
    except CompileErrors as errors:
        return render(errors.diagnostics, errors.sources)
    return render(checked.warnings, checked.sources)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(
    page: Path, update_golden: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    options = program = ""

    def answer(fence: re.Match[str]) -> str:
        """The fence as it should read: a snapshot is made anew."""
        nonlocal options, program
        kind, rest, body = fence[1], fence[2].strip(), fence[3]
        if kind == "snapshot":
            said = _said(tmp_path, options, program)
            return f"```snapshot\n{said}\n```"
        options, program = rest, body
        return fence[0]

    said = FENCE.sub(answer, text)
    if update_golden:
        page.write_text(said, encoding="utf-8")
    assert said == text or update_golden


def test_every_code_of_the_checker_has_a_case() -> None:
    """The folder is the index of all errors but those of syntax, of lengths and of size."""
    pages = "".join(page.read_text("utf-8") for page in FOLDER.rglob("*.md"))
    shown = set(re.findall(r"\[([EW]\d{4})\]", pages))
    elsewhere = ("E0704", "E0705", "E0802")
    expected = [code for code in CODES if code[:3] != "E01" and code not in elsewhere]
    assert [code for code in expected if code not in shown] == []
