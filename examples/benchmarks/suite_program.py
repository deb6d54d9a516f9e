"""One program of the suite, measured within a share of the time.

First a few rows: they warm up what is warmed up once, tell what transformers is to be asked for,
and how many rows fit. Then the baseline, and at last all rows, with all on and with each idea
switched off in turn, as often as time allows. What does not fit is left out, and the table shows
that.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import torch

from sglc.bench.bench import record_calls
from sglc.bench.ceilings import Ceilings
from sglc.bench.measure import Measured, TookTooLong
from sglc.bench.outcomes import num_changed
from sglc.bench.rounds import take_turns
from sglc.bench.settings import ALL_ON, SETTINGS
from sglc.bench.summary import RunSummary, summarize
from sglc.bench.transformers_baseline import BatchTiming, TransformersBaseline
from sglc.bench.work import Work
from sglc.compiler.driver import compile_file
from sglc.runtime.extern_file import load_externs
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.locate import ModelFiles
from sglc.runtime.session import EngineOptions, Session

EXAMPLES = Path(__file__).resolve().parent.parent
ROUNDS = 2
RUN_PART = 0.08  # of a program's time for a run with all on
BASELINE_PART = 0.4  # the same for transformers with all batch sizes
PATIENCE = 4.0  # times the run with all on, after which a run without an idea is given up


@dataclass(frozen=True, slots=True)
class Entry:
    """A program with its rows: at most how many, and how many of them transformers runs. `data` is
    the file of --data that takes the place of `inputs`."""

    program: str
    inputs: str
    rows: int
    baseline_rows: int
    defines: tuple[tuple[str, int], ...] = ()
    externs: tuple[str, ...] = ()
    data: str | None = None

    @property
    def name(self) -> str:
        return Path(self.program).stem

    @property
    def folder(self) -> Path:
        return (EXAMPLES / self.program).parent


@dataclass(frozen=True, slots=True)
class Bench:
    """What all programs have in common."""

    session: Session
    files: ModelFiles
    config: ModelConfig
    options: EngineOptions
    ceilings: Ceilings
    baseline: TransformersBaseline
    data: Path | None


@dataclass(frozen=True, slots=True)
class Without:
    """A run with one idea switched off: `changed` rows ended differently. None: it was given up
    after PATIENCE times the seconds of the run with all on."""

    run: RunSummary | None
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """`without` has the settings that were reached. `timings` are of transformers' batch sizes over
    `baseline_rows` rows; empty if none was done within `baseline_seconds`."""

    best: RunSummary
    without: dict[str, Without]
    baseline_rows: int
    baseline_seconds: float
    timings: list[BatchTiming]


def measure_program(
    entry: Entry, bench: Bench, seconds: float, say: Callable[[str], None]
) -> Result:
    """All about one program, in about `seconds`. Raises what compiling and running raise."""
    begin = perf_counter()
    work = _work(entry, bench)
    few = replace(work, rows=work.rows[: entry.baseline_rows])
    say(f"recording {len(few.rows)} rows")
    start = perf_counter()
    calls = record_calls(few)
    took = perf_counter() - start
    say(f"transformers: {len(calls)} calls")
    start = perf_counter()
    try:
        timings = bench.baseline.time(calls, until=start + BASELINE_PART * seconds)
    except TookTooLong:
        timings = []
    baseline_seconds = perf_counter() - start

    # more rows take less time than in proportion
    fitting = int(len(few.rows) * max(1.0, RUN_PART * seconds / took))
    work = replace(work, rows=work.rows[:fitting])
    settings = [ALL_ON, *SETTINGS]
    until = begin + seconds
    fastest = take_turns(work, settings, ROUNDS, say=say, until=until, patience=PATIENCE)
    best = fastest[ALL_ON.name]
    assert best is not None  # nothing gives the first setting up

    def summary(run: Measured) -> RunSummary:
        return summarize(run, bench.config, torch.float32, bench.ceilings)

    without = {
        setting.name: Without(None)
        if run is None
        else Without(summary(run), num_changed(run.outcomes, best.outcomes))
        for setting in SETTINGS
        if setting.name in fastest
        for run in [fastest[setting.name]]
    }
    return Result(summary(best), without, len(few.rows), baseline_seconds, timings)


def _work(entry: Entry, bench: Bench) -> Work:
    path = EXAMPLES / entry.program
    plan = compile_file(path, defines=dict(entry.defines), spec=bench.session.spec).plan
    inputs = entry.folder / entry.inputs
    if bench.data is not None and entry.data is not None and (bench.data / entry.data).is_file():
        inputs = bench.data / entry.data
    with open(inputs, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, entry.rows)]
    externs = load_externs([str(entry.folder / name) for name in entry.externs])
    return Work(plan, bench.session, bench.files, bench.config, rows, bench.options, externs)
