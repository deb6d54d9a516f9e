"""sglc from Python: compile a program, run it over rows, read its results.

Law: nothing here prints, and nothing needs the calling thread's event loop: a run is a plain
iterator that works as well in a script as in a notebook cell or under a running loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sglc.codegen.plan import Plan
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler.diagnostics import CompileErrors as CompileError
from sglc.compiler.diagnostics import Diagnostic
from sglc.ir.host.expr import Value
from sglc.ir.span import Source
from sglc.runtime.extern_file import check_externs
from sglc.runtime.results.result_line import where
from sglc.runtime.row import Outcome, RowFailed, Trace, Usage
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, check_model, open_session

if TYPE_CHECKING:
    from sglc.testing import Model

__all__ = ["CompileError", "Program", "Result", "RowError", "compile", "compile_and_run"]


class RowError(Exception):
    """A row that failed. `code` is stable; `where` is a place in the program, or a field of the
    row."""

    def __init__(self, index: int, code: str, message: str, where: str) -> None:
        super().__init__(f"row {index}: {message} ({where})")
        self.index = index
        self.code = code
        self.message = message
        self.where = where


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """What came of one row. `index` counts from 0 in the rows given; `error` is None when the row
    is done. `trace` is there when it was asked for."""

    index: int
    usage: Usage
    error: RowError | None
    trace: Trace | None
    _output: Value

    @property
    def output(self) -> Value:
        """The program's value. Raises the row's RowError if it failed."""
        if self.error is not None:
            raise self.error
        return self._output

    def __repr__(self) -> str:
        what = repr(self._output) if self.error is None else f"failed: {self.error}"
        return f"<sglc result {self.index}: {what}>"


class Program:
    """A compiled program. Make one with `sglc.compile` or `Program.load`."""

    def __init__(
        self,
        plan: Plan,
        *,
        model: str | Path | Model | None = None,
        warnings: tuple[Diagnostic, ...] = (),
    ) -> None:
        self.plan = plan
        self.warnings = warnings
        self._model = plan.model.reference if model is None else model

    def __repr__(self) -> str:
        return f"<sglc program {self.signature}>"

    @property
    def signature(self) -> str:
        """`judge(essay: str, strict: bool = false) -> Verdict`"""
        from sglc.compiler.report import signature

        return signature(self.plan)

    def explain(self) -> str:
        """What the plan will do, for people."""
        from sglc.explain.report import Report

        return Report(self.plan).text()

    def save(self, path: str | Path) -> None:
        """Write the plan to a file, which `sglc run` and `Program.load` take."""
        Path(path).write_bytes(write_plan(self.plan))

    @classmethod
    def load(cls, path: str | Path, *, model: str | Path | Model | None = None) -> Program:
        """Read a plan file. `model` says where its model is now, when not where it was."""
        return cls(read_plan(Path(path)), model=model)

    def run(
        self,
        rows: Iterable[Mapping[str, Value]],
        *,
        seed: int = 0,
        externs: Mapping[str, Callable[..., Any]] | None = None,
        ordered: bool = True,
        row_id: str | None = None,
        strict: bool = False,
        trace: bool = False,
        device: str = "auto",
        dtype: str = "auto",
        kv_memory: int | None = None,
        deterministic: bool = False,
        window: int | None = None,
    ) -> Iterator[Result]:
        """Run the program on each row, many at once; yields results in order, or as they end.

        `rows` are read as they are needed and may be without end; `window` bounds how many are in
        flight (None: 256, or on a GPU 1,024). `externs` are plain or async functions by name.
        `row_id` names a field that decides the row's seeds in place of its inputs. `kv_memory` is
        in bytes. A bad row is a failed result and the others go on. Raises what is wrong with the
        whole run at once, before the first result: ModelError, ExternError, InputError.
        """
        check_externs(self.plan.externs, externs or {}, "give it as externs={'name': function}")
        binder = RowBinder(RowFields(self.plan.params, row_id=row_id, is_strict=strict))
        session = _session(self._model)
        check_model(self.plan, session.spec)
        options = EngineOptions(device, dtype, "auto", kv_memory, deterministic)
        outcomes = run(
            self.plan,
            session.spec,
            session.make_engine(options),
            bind_rows(rows, binder),
            seed=seed,
            externs=externs,
            window=window,
            ordered=ordered,
            keep_trace=trace,
        )
        return (_result(outcome, self.plan.sources) for outcome in outcomes)


def compile(
    path_or_source: str | Path,
    *,
    model: str | Path | Model | None = None,
    program: str | None = None,
    define: Mapping[str, Value] | None = None,
    sample: Iterable[Mapping[str, Value]] | None = None,
) -> Program:
    """Compile a program for a model.

    `path_or_source` is a path, or the program's text (a str with a line break in it). `model` is
    what `--model` takes, or a `sglc.testing.Model`; None is the embedded model, fetched once.
    `program` picks one of several in the file; `define` replaces consts. `sample` are rows like
    those to come, by which `any_order` blocks choose their order. Raises CompileError with all that
    is wrong.
    """
    from sglc.compiler.driver import compile_file

    is_text = isinstance(path_or_source, str) and "\n" in path_or_source
    result = compile_file(
        None if is_text else Path(path_or_source),
        str(path_or_source) if is_text else None,
        spec=_session(model).spec,
        program=program,
        defines=define or {},
        sample=None if sample is None else ((f"row {i}", dict(r)) for i, r in enumerate(sample)),
    )
    return Program(result.plan, model=model, warnings=tuple(result.warnings))


def compile_and_run(
    path_or_source: str | Path,
    rows: Iterable[Mapping[str, Value]],
    *,
    model: str | Path | Model | None = None,
    externs: Mapping[str, Callable[..., Any]] | None = None,
    seed: int = 0,
) -> list[Result]:
    """Compile a program and run it on all rows; the results are in the order of the rows."""
    return list(compile(path_or_source, model=model).run(rows, externs=externs, seed=seed))


def _result(outcome: Outcome, sources: tuple[Source, ...]) -> Result:
    if isinstance(outcome, RowFailed):
        place = where(outcome, sources)
        error = RowError(outcome.index, outcome.code, outcome.message, place)
        return Result(outcome.index, outcome.usage, error, None, None)
    return Result(outcome.index, outcome.usage, None, outcome.trace, outcome.output)


def _session(model: str | Path | Model | None) -> Session:
    if model is None or isinstance(model, str | Path):
        return _open(None if model is None else os.fspath(model))
    return Session(model.spec, lambda options: model.engine())


# the models used last stay loaded: the next run finds them
_open = lru_cache(maxsize=2)(open_session)
