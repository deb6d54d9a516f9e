"""A run from file to file: rows read, run, written, with progress; what `sglc run` does.

Law: whatever ends it, what was finished is in the output, and the same command goes on.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sglc.codegen.plan import Plan
from sglc.codegen.plan_file import write_plan
from sglc.ir.host.expr import Value
from sglc.runtime.engine.request import Engine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.profile import Recorder
from sglc.runtime.progress import Progress
from sglc.runtime.results.append_file import ResultError
from sglc.runtime.results.journal import Identity
from sglc.runtime.results.result_file import ResultFile
from sglc.runtime.results.result_line import ResultFormat, ResultStream, to_device, to_stdout
from sglc.runtime.row import BoundRow, RowFailed
from sglc.runtime.rows.bind import InputRow, RowBinder, RowFields
from sglc.runtime.rows.row_file import RowFile, digest_of
from sglc.runtime.run import run


@dataclass(frozen=True, slots=True)
class Job:
    """`inputs` is a path, `-` for stdin, or one row by hand; `output` a path, or None for
    stdout; `profile` the path of a file to write what each step did to."""

    inputs: str | Mapping[str, Value]
    output: str | None = None
    seed: int = 0
    row_id: str | None = None
    keep: tuple[str, ...] = ()
    has_usage: bool = False
    has_trace: bool = False
    is_strict: bool = False
    limit: int | None = None
    retry_errors: bool = False
    profile: str | None = None
    window: int | None = None
    order: str = "planned"

    def identity(self, plan: Plan, engine_options: Mapping[str, str | bool]) -> Identity:
        """All that decides the bytes of the results, but for the input."""
        return {
            "plan": hashlib.sha256(write_plan(plan)).hexdigest()[:16],
            "seed": self.seed,
            **engine_options,
            "--row-id": self.row_id,
            "--keep": list(self.keep),
            "--usage": self.has_usage,
            "--trace": self.has_trace,
            "--strict": self.is_strict,
        }


@dataclass(frozen=True, slots=True)
class Done:
    """`num_run` rows ran now; `num_rows` are in the output, `num_failed` of them failed. `talk` is
    the progress's last line."""

    num_run: int
    num_rows: int
    num_failed: int
    talk: str


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with how far the run was."""

    def __init__(self, num_rows: int) -> None:
        super().__init__()
        self.num_rows = num_rows


def run_job(
    job: Job,
    plan: Plan,
    spec: ModelSpec,
    make_engine: Callable[[], Engine],
    *,
    externs: Mapping[str, Callable[..., Any]],
    engine_options: Mapping[str, str | bool],
) -> Done:
    """Run what is not done yet. `make_engine` is called only when there is something to run;
    `engine_options` are what of its options decides results. Raises InputError, ResultError."""
    rows = _open_rows(job, plan)
    results = _open_results(job, plan, engine_options)
    try:
        if isinstance(results, ResultFile) and results.verified is not None and rows.is_file:
            results.verify(digest_of(rows.name, results.verified.rows))
        return _run_rows(job, plan, spec, make_engine, externs, rows, results)
    except KeyboardInterrupt:
        raise Interrupted(results.num_rows) from None
    finally:
        results.close()


def _run_rows(
    job: Job,
    plan: Plan,
    spec: ModelSpec,
    make_engine: Callable[[], Engine],
    externs: Mapping[str, Callable[..., Any]],
    rows: RowFile,
    results: ResultFile | ResultStream,
) -> Done:
    in_flight: dict[int, InputRow] = {}
    to_run = _not_done(rows, results, in_flight)
    first = next(to_run, None)  # a wrong input is refused before the model is loaded
    if first is None:
        results.finish(rows.num_rows)
        return Done(0, results.num_rows, results.num_failed, "")
    engine = make_engine()
    progress = Progress(engine.stats, num_before=results.num_rows)
    format = ResultFormat(plan.sources, job.has_usage, job.has_trace)
    recorder = None if job.profile is None else Recorder(job.profile, engine.stats)
    num_run = 0

    def on_step() -> None:
        if recorder is not None:
            recorder.note()
        progress.update(results.num_rows, rows.estimate())

    try:
        for outcome in run(
            plan,
            spec,
            engine,
            itertools.chain([first], to_run),
            seed=job.seed,
            externs=externs,
            window=job.window,
            ordered=False,
            keep_trace=job.has_trace,
            order=job.order,
            on_step=on_step,
        ):
            row = in_flight.pop(outcome.index)
            results.put(outcome.index, row.digest, format.line(outcome, row.passed))
            num_run += 1
        results.finish(rows.num_rows)
        if recorder is not None:
            recorder.write(plan.program, plan.model.reference, num_run)
    finally:
        progress.close()
    return Done(
        num_run,
        results.num_rows,
        results.num_failed,
        progress.summary(results.num_rows, results.num_failed),
    )


def _not_done(
    rows: RowFile, results: ResultFile | ResultStream, in_flight: dict[int, InputRow]
) -> Iterator[BoundRow | RowFailed]:
    for row in rows:
        if not results.has(row.row.index, row.digest):
            in_flight[row.row.index] = row
            yield row.row


def _open_rows(job: Job, plan: Plan) -> RowFile:
    binder = RowBinder(RowFields(plan.params, job.row_id, job.keep, job.is_strict))
    if isinstance(job.inputs, str):
        return RowFile(job.inputs, binder, limit=job.limit)
    line = io.BytesIO(json.dumps(job.inputs).encode("ascii"))
    return RowFile("--set", binder, stream=line)


def _open_results(
    job: Job, plan: Plan, engine_options: Mapping[str, str | bool]
) -> ResultFile | ResultStream:
    if job.output is None or job.output == "-":
        return to_stdout()
    try:
        mode = os.stat(job.output).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise ResultError(f"cannot write {job.output}: {(error.strerror or '').lower()}") from None
    if stat.S_ISDIR(mode):
        raise ResultError(f"cannot write {job.output}: it is a folder")
    if not stat.S_ISREG(mode):  # a pipe or a device keeps nothing to come back to
        return to_device(job.output)
    identity = job.identity(plan, engine_options)
    return ResultFile(job.output, identity, retry_errors=job.retry_errors)
