"""A benchmark's result for people; as JSON it is the dataclasses themselves."""

from __future__ import annotations

from collections.abc import Sequence

from sglc.bench.bench import Ablation, Baseline, BenchResult
from sglc.bench.summary import RunSummary


def report(result: BenchResult) -> str:
    """The lines that `sglc bench` prints."""
    best, first, ceilings = result.best, result.first, result.ceilings
    tokens, shares = best.tokens, best.shares
    lines = [
        f"{result.program} on {result.model}: {result.device}, {result.dtype}, "
        f"{result.threads} threads",
        f"  rows      {best.rows:,} in {best.seconds:.2f} s: {best.rows_per_second:.3g} rows/s, "
        f"first row after {best.first_row_seconds:.2f} s",
        f"            first run {first.seconds:.2f} s: {first.rows_per_second:.3g} rows/s, "
        f"first row after {first.first_row_seconds:.2f} s",
        f"  requests  {best.requests:,} run, {best.merged:,} merged with equal ones, "
        f"{best.steps:,} steps",
        f"  tokens    prompt {tokens.prompt:,}, prefilled {tokens.prefilled:,}, "
        f"saved {tokens.saved:,} ({_percent(tokens.saved, tokens.prompt)} of the prompt's), "
        f"decoded {tokens.decoded:,}, forced {tokens.forced:,}, scored {tokens.scored:,}",
        f"  KV        at its peak {best.peak_kv_tokens:,} tokens, "
        f"{best.peak_kv_bytes / 1e6:.1f} MB",
        f"  time      {_time(best)}",
        f"  ceilings  copy {ceilings.copy_bandwidth / 1e9:,.1f} GB/s, products "
        f"{ceilings.matmul_rate / 1e9:,.0f} GFLOP/s; at these the steps, attention aside, would "
        f"take {best.ceiling_share:.0%} of the time",
    ]
    if best.failed:
        lines.insert(1, f"  FAILED    {best.failed:,} rows")
    if shares.mixed:
        lines.append(
            f"            ({shares.mixed:.0%} of the time is of steps that prefill and decode, "
            "shared out by rows)"
        )
    if result.ablations:
        lines += _ablations(best, result.ablations)
    for baseline in result.baselines:
        lines += _baseline(baseline)
    return "\n".join(lines)


def _time(run: RunSummary) -> str:
    shares = run.shares
    if shares.prefill is None or shares.decode is None:
        model = [("device", shares.model)]
    else:
        model = [("prefill", shares.prefill), ("decode", shares.decode)]
    rest = [("sampling", shares.sampling), ("masks", shares.masks), ("host", shares.host)]
    return ", ".join(f"{name} {share:.0%}" for name, share in [*model, *rest])


def _ablations(best: RunSummary, ablations: Sequence[Ablation]) -> list[str]:
    lines = [
        "",
        f"  {'setting':16}{'rows/s':>9}{'of all on':>11}{'prefilled':>12}{'steps':>8}"
        "  outcomes changed",
    ]
    rows = [("all on", best, 0), *((a.setting, a.run, a.changed_rows) for a in ablations)]
    for name, run, changed in rows:
        share = run.rows_per_second / best.rows_per_second
        lines.append(
            f"  {name:16}{run.rows_per_second:9.3g}{share:11.2f}{run.tokens.prefilled:12,}"
            f"{run.steps:8,}  {changed or 'none'}"
        )
    return lines


def _baseline(baseline: Baseline) -> list[str]:
    return [
        "",
        f"  {baseline.name}: {baseline.rows:,} rows in {baseline.seconds:.2f} s, "
        f"{baseline.rows_per_second:.3g} rows/s; sglc is {baseline.ratio:.2f} times as fast",
        *(f"    {note}" for note in baseline.notes),
    ]


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"
