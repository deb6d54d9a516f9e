"""A benchmark of one program: timed runs, one run for each setting, and baselines.

Law: whatever is compared ran in this process, on the same rows, one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from sglc.bench.calls import Call, calls_of
from sglc.bench.ceilings import Ceilings, measure_ceilings
from sglc.bench.measure import Measured, measure
from sglc.bench.openai_baseline import CompletionsServer
from sglc.bench.outcomes import num_changed
from sglc.bench.recording import RecordingEngine
from sglc.bench.rounds import take_turns
from sglc.bench.settings import ALL_ON, SETTINGS
from sglc.bench.summary import RunSummary, summarize
from sglc.bench.transformers_baseline import TransformersBaseline
from sglc.bench.transformers_model import load_transformers
from sglc.bench.work import Work
from sglc.runtime.models.device import resolve_device, resolve_dtype
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ablation:
    """The fastest run with a setting changed. `changed_rows` have another outcome than with all on
    (`outcomes.TOLERANCE` for floats)."""

    setting: str
    what: str
    run: RunSummary
    changed_rows: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """`rows` of the input elsewhere. `ratio` is sglc's rows/s, on all rows, over its own. `notes`
    say how it was measured."""

    name: str
    rows: int
    seconds: float
    rows_per_second: float
    ratio: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """`first` is the first run of the process, `best` the fastest of those after it (or the first,
    if it is alone); both begin with the model loaded and nothing computed. Runs of `ablations` took
    turns with those after the first."""

    program: str
    model: str
    device: str
    dtype: str
    threads: int
    ceilings: Ceilings
    first: RunSummary
    best: RunSummary
    ablations: tuple[Ablation, ...] = ()
    baselines: tuple[Baseline, ...] = ()


@dataclass(frozen=True, slots=True)
class Baselines:
    """Which baselines to run, over the first `num_rows` rows (None: all)."""

    transformers: bool = False
    base_url: str | None = None
    server_model: str | None = None
    num_rows: int | None = None


def bench(work: Work, *, repeat: int, ablate: bool, baselines: Baselines, say: Say) -> BenchResult:
    """Run it all; `say` is told what comes next. Raises ServerError."""
    device = resolve_device(work.options.device)
    dtype = resolve_dtype(work.options.dtype, device)
    # a server that is not there is found out before minutes of work
    server = None
    if baselines.base_url is not None:
        server = CompletionsServer(baselines.base_url, model=baselines.server_model)
    say("loading the model and measuring the device")
    work.session.make_engine(work.options)
    ceilings = measure_ceilings(device, dtype)

    def summary(measured: Measured) -> RunSummary:
        return summarize(measured, work.config, dtype, ceilings)

    say(f"run 1 of {repeat}")
    first = measure(work, work.options)
    settings = [ALL_ON] * (repeat > 1) + [*SETTINGS] * ablate
    fastest = take_turns(work, settings, max(1, repeat - 1), say=say)
    best = fastest.get(ALL_ON.name) or first
    ablations = tuple(
        Ablation(setting.name, setting.what, summary(run), num_changed(run.outcomes, best.outcomes))
        for setting in SETTINGS
        if (run := fastest.get(setting.name)) is not None
    )
    result = BenchResult(
        program=work.plan.program,
        model=work.session.spec.identity.reference,
        device=_device_name(device),
        dtype=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        ceilings=ceilings,
        first=summary(first),
        best=summary(best),
        ablations=ablations,
    )
    if not baselines.transformers and server is None:
        return result
    part = replace(work, rows=work.rows[: baselines.num_rows])
    say(f"recording what the program asks for {len(part.rows):,} rows")
    calls = record_calls(part)
    found = []
    if baselines.transformers:
        say(f"transformers: {len(calls):,} calls")
        found.append(_transformers(part, calls, best, device, dtype))
    if server is not None:
        say(f"{baselines.base_url}: {len(calls):,} calls")
        found.append(_server(part, calls, best, server))
    return replace(result, baselines=tuple(found))


def record_calls(work: Work) -> list[Call]:
    """What the program asks for, from a run of its own."""
    engine = RecordingEngine(work.session.make_engine(work.options))
    rows = bind_rows(work.rows, RowBinder(RowFields(work.plan.params)))
    spec = work.session.spec
    for _ in run(work.plan, spec, engine, rows, seed=work.seed, externs=work.externs):
        pass
    return calls_of(engine.recorded)


def _transformers(
    work: Work, calls: Sequence[Call], best: Measured, device: torch.device, dtype: torch.dtype
) -> Baseline:
    model = load_transformers(work.files, device, dtype, work.options.load_format)
    timings = TransformersBaseline(model).time(calls)
    fastest = min(timings, key=lambda timing: timing.seconds)
    sizes = ", ".join(f"{timing.batch}: {timing.seconds:.1f} s" for timing in timings)
    notes = (
        f"{len(calls)} calls, each told how many tokens to write; batches of {sizes}",
        "no constraints, no stops, no requests that sglc merged",
    )
    return _baseline("transformers generate", work, fastest.seconds, best, notes)


def _server(
    work: Work, calls: Sequence[Call], best: Measured, server: CompletionsServer
) -> Baseline:
    timing = server.time(calls, work.session.spec.tokenizer.spell)
    notes = [
        f"model {server.model}, {timing.requests} requests, "
        f"{timing.completion_tokens} completion tokens",
        "constraints left out; requests that sglc merged are sent once",
    ]
    if timing.skipped:
        notes.append(f"{timing.skipped} requests of selects were refused: they are not in the time")
    return _baseline("OpenAI completions", work, timing.seconds, best, tuple(notes))


def _baseline(
    name: str, work: Work, seconds: float, best: Measured, notes: tuple[str, ...]
) -> Baseline:
    rate = len(work.rows) / seconds
    return Baseline(name, len(work.rows), seconds, rate, best.rows_per_second / rate, notes)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
