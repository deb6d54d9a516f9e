"""The error index: every Markdown page in `diagnostics/` is a suite of programs and what is said of
them.

A case is a heading, prose, fenced `sgl` programs, and a fenced `snapshot` of all diagnostics. The
program's fence may give options of the command line after `sgl`; other fences that name a file
(```` ```text rubric.txt ````) are put beside the program. `--model` takes the toy model below.
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
PAGES = sorted(FOLDER.glob("*.md"))
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
    text = page.read_text(encoding="utf-8")
    out, wrong, options, program = text, [], "", ""
    for number, fence in enumerate(FENCE.finditer(text)):
        kind, rest, body = fence[1], fence[2].strip(), fence[3]
        folder = tmp_path / str(number)
        if kind != "snapshot":
            if kind == "sgl" and not rest.endswith(".sgl"):
                options, program = rest, body
            else:
                (tmp_path / rest).write_text(body, encoding="utf-8")
            continue
        folder = tmp_path
        monkeypatch.chdir(folder)
        said = _said(folder, options, program) + "\n"
        if said != body:
            wrong.append(f"--- {program}\n--- says\n{said}")
            out = out.replace(
                f"{program}```\n\n```snapshot\n{body}```", f"{program}```\n\n```snapshot\n{said}```"
            )
        for file in folder.iterdir():
            file.unlink()
    if update_golden:
        page.write_text(out, encoding="utf-8")
    else:
        assert not wrong, "\n".join(wrong)


def test_every_code_of_the_checker_has_a_case() -> None:
    """The folder is the index of all errors but those of syntax."""
    shown = set(re.findall(r"\[([EW]\d{4})\]", "".join(p.read_text("utf-8") for p in PAGES)))
    assert sorted(code for code in CODES if code[:3] != "E01" and code not in shown) == []
