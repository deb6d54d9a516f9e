"""The suite's results as Markdown, ready for RESULTS.md."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import transformers
from suite_program import EXAMPLES, PATIENCE, Bench, Entry, Result, Without

from sglc.bench.outcomes import TOLERANCE
from sglc.bench.settings import SETTINGS

HEAD = (
    "program",
    "rows",
    "rows/s",
    "first row, s",
    "prompt tokens",
    "saved",
    "decoded",
    "forced",
    "scored",
    "steps",
    "requests (merged)",
    "transformers rows/s (rows, batch)",
    "ratio",
    "measured in, s",
)


@dataclass(frozen=True, slots=True)
class Done:
    """A program's result, or why there is none."""

    entry: Entry
    result: Result | None
    seconds: float
    fault: str = ""


def table(done: Sequence[Done], bench: Bench, seconds: float, command: str) -> str:
    """All of it; `seconds` are those of the whole suite so far."""
    lines = [
        "## The programs on a CPU",
        "",
        f"`{command}` on {time.strftime('%Y-%m-%d')} at commit {_commit()}, in "
        f"{seconds / 60:.1f} minutes.",
        *_machine(bench),
        "",
        "rows/s are of the better of up to two runs with the model loaded, rows as many as fit",
        "into a program's share of the time; saved are prompt tokens that did not go through the",
        "model; forced ones were appended without sampling, scored ones are of choices.",
        "transformers: the same calls for the first rows by batched generate, each told how many",
        "tokens to write, the best of the batch sizes 8, 16 and 32 that the calls fill and the",
        "time allows; `<` where it was not done in its time. The ratio is of rows/s.",
        "",
        _row(HEAD),
        _row(["---"] * len(HEAD)),
        *map(_line, done),
    ]
    ablated = [each for each in done if each.result is not None and each.result.without]
    if ablated:
        lines += [
            "",
            "Each idea switched off: the speed over the speed with all on, in turns and the",
            "better of up to two runs each; prefilled tokens; steps. The counts are exact, the",
            f"speeds have the machine's noise. `<` was given up after {PATIENCE:g} times as long;",
            "empty: there was no time. Changed rows ended differently (floats by more than",
            f"{TOLERANCE:g}).",
            "",
            _row(["program", "all on", *(setting.name for setting in SETTINGS)]),
            _row(["---"] * (2 + len(SETTINGS))),
            *map(_ablation_line, ablated),
        ]
    return "\n".join(lines)


def _line(done: Done) -> str:
    name = " ".join([done.entry.name, *(f"{key}={value}" for key, value in done.entry.defines)])
    result = done.result
    if result is None:
        return _row([name, done.fault, *[""] * (len(HEAD) - 3), f"{done.seconds:.0f}"])
    best = result.best
    tokens = best.tokens
    failed = f" ({best.failed} failed)" if best.failed else ""
    return _row(
        [
            name,
            f"{best.rows}{failed}",
            f"{best.rows_per_second:.3g}",
            f"{best.first_row_seconds:.2f}",
            f"{tokens.prompt:,}",
            f"{tokens.saved / tokens.prompt:.0%}" if tokens.prompt else "",
            f"{tokens.decoded:,}",
            f"{tokens.forced:,}",
            f"{tokens.scored:,}",
            f"{best.steps:,}",
            f"{best.requests:,} ({best.merged:,})",
            *_baseline(result),
            f"{done.seconds:.0f}",
        ]
    )


def _baseline(result: Result) -> tuple[str, str]:
    """transformers' rows/s, and the ratio."""
    rows = result.baseline_rows
    if not result.timings:
        rate = rows / result.baseline_seconds
        return f"< {rate:.3g} ({rows})", f"> {result.best.rows_per_second / rate:.1f}"
    fastest = min(result.timings, key=lambda timing: timing.seconds)
    rate = rows / fastest.seconds
    ratio = result.best.rows_per_second / rate
    return f"{rate:.3g} ({rows}, {fastest.batch})", f"{ratio:.1f}"


def _ablation_line(done: Done) -> str:
    assert done.result is not None
    best = done.result.best
    cells = [done.entry.name, f"{best.tokens.prefilled:,}; {best.steps:,}"]
    for setting in SETTINGS:
        without = done.result.without.get(setting.name)
        cells.append("" if without is None else _without(without, best.rows_per_second))
    return _row(cells)


def _without(without: Without, rows_per_second: float) -> str:
    run = without.run
    if run is None:
        return f"< {1 / PATIENCE:.2f}"
    cell = f"{run.rows_per_second / rows_per_second:.2f}; {run.tokens.prefilled:,}; {run.steps:,}"
    return cell + (f" ({without.changed} changed)" if without.changed else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine(bench: Bench) -> list[str]:
    """Device, model and ceilings."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    capability = torch.backends.cpu.get_cpu_capability()
    ceilings = bench.ceilings
    return [
        f"{platform.machine()} with {cores} cores and {capability}; torch {torch.__version__}, "
        f"transformers {transformers.__version__}.",
        f"Model {bench.session.spec.identity.reference} in fp32, {torch.get_num_threads()} "
        f"threads; copies at {ceilings.copy_bandwidth / 1e9:.1f} GB/s, products at "
        f"{ceilings.matmul_rate / 1e9:.0f} GFLOP/s.",
    ]


def _commit() -> str:
    ran = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=EXAMPLES, capture_output=True, text=True
    )
    return ran.stdout.strip() or "unknown"
