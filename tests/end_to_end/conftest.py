"""Two models for whole programs: a told one without weights, and a small folder with a byte-level
BPE trained here and a Llama of two layers (`--load-format dummy` draws its weights)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

import sglc
import sglc.testing
from sglc.bench.tiny_model import write_tiny_model
from sglc.compiler.diagnostics import Severity
from sglc.compiler.driver import compile_file
from sglc.ir.host.expr import Value
from sglc.runtime.engine.request import GenRequest, Request, Sampling
from sglc.runtime.row import Trace
from sglc.testing import Question, ToldEngine

Answers = Mapping[str, str | list[str] | Callable[[Question], str]] | None


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny_model")
    write_tiny_model(folder)
    return folder


@dataclass
class Told:
    """What a run with a told model gave: an output a row, or "code: message" of one that failed;
    and what was asked, as (name, prompt)."""

    outputs: list[Value]
    asked: list[tuple[str, str]]
    traces: list[Trace | None]
    requests: list[Request]

    def prompts(self, name: str) -> list[str]:
        return [prompt for asked, prompt in self.asked if asked == name]

    def sampling(self, name: str) -> list[Sampling]:
        """The options of each gen called `name`, as the engine gets them."""
        return [r.sampling for r in self.requests if isinstance(r, GenRequest) and r.name == name]


class _Model(sglc.testing.Model):
    """Answers from a dict by name (a list: one after another) or a function, and notes all."""

    def __init__(self, answers: Answers, context_len: int) -> None:
        super().__init__(self._say, context_len=context_len)
        self.given = {k: iter(v) if isinstance(v, list) else v for k, v in (answers or {}).items()}
        self.told = Told([], [], [], [])

    def _say(self, question: Question) -> str:
        self.told.asked.append((question.name, question.prompt))
        answer = self.given.get(question.name, question.choices[0] if question.choices else "X")
        if isinstance(answer, str):
            return answer
        return answer(question) if callable(answer) else next(answer)

    def engine(self) -> ToldEngine:
        engine = super().engine()
        submit = engine.submit

        def noting(request: Request) -> None:
            self.told.requests.append(request)
            submit(request)

        engine.submit = noting  # type: ignore[method-assign]
        return engine


@pytest.fixture
def tell() -> Callable[..., Told]:
    """Compile a program for a told model and run it: `tell(source, rows, answers, ...)`. A gen
    without an answer says X, a select takes its first choice. Gens that nobody reads stay, so that
    a test sees what is asked."""

    def run(
        source: str | Path,
        rows: Iterable[Mapping[str, Value]] = ({},),
        answers: Answers = None,
        *,
        context_len: int = 1 << 20,
        program: str | None = None,
        define: Mapping[str, Value] | None = None,
        **options: Any,
    ) -> Told:
        model = _Model(answers, context_len)
        path, text = (source, None) if isinstance(source, Path) else (None, program_text(source))
        compiled = compile_file(
            path, text, spec=model.spec, program=program, defines=define, skip=["dce"]
        )
        for result in sglc.Program(compiled.plan, model=model).run(rows, **options):
            error = result.error
            failed = f"{error.code}: {error.message}" if error else None
            model.told.outputs.append(failed or result.output)
            model.told.traces.append(result.trace)
        return model.told

    return run


@pytest.fixture
def refuse() -> Callable[..., list[str]]:
    """Compile what must not compile: the codes of all its errors."""

    def codes(source: str | Path, **options: Any) -> list[str]:
        model = sglc.testing.Model({}, context_len=options.pop("context_len", 1 << 20))
        text = source if isinstance(source, Path) else program_text(source)
        with pytest.raises(sglc.CompileError) as caught:
            sglc.compile(text, model=model, **options)
        found = caught.value.diagnostics
        return [each.code for each in found if each.severity is Severity.error]

    return codes


def program_text(source: str) -> str:
    """The program in an indented string of a test; one without `program` is the body of one."""
    text = dedent(source).lstrip("\n")
    if re.search(r"^program ", text, re.MULTILINE):
        return text
    return "program main():\n" + indent(text, "    ")
