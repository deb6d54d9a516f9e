"""The numbers of one timed run."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sglc.bench.ceilings import Ceilings
from sglc.bench.floor import floor_seconds
from sglc.bench.measure import Measured
from sglc.runtime.engine.request import EngineStats
from sglc.runtime.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Tokens:
    """`prompt` tokens stand before the requests that ran; `saved` of them did not go through the
    model for that. `forced` ones count as prefilled too."""

    prompt: int
    prefilled: int
    saved: int
    recomputed: int
    decoded: int
    forced: int
    scored: int


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the time, in 0..1; `host` is all that the others are not. `mixed` is the part of
    the time in steps that prefilled and decoded: there the two are told apart by their rows.
    `prefill` and `decode` are None where the engine does not tell them apart: on a GPU `model` is
    the time that the host waited for the device, sampling included."""

    model: float
    prefill: float | None
    decode: float | None
    mixed: float
    sampling: float
    masks: float
    host: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """`requests` are gens and selects that ran, one a sample; `merged` ones were answered by an
    equal one. `ceiling_share` is the least time that the run's steps could take at the device's
    ceilings, attention's arithmetic aside, as a part of the time they took."""

    rows: int
    failed: int
    seconds: float
    rows_per_second: float
    first_row_seconds: float
    requests: int
    merged: int
    tokens: Tokens
    steps: int
    peak_kv_tokens: int
    peak_kv_bytes: int
    shares: Shares
    ceiling_share: float


def summarize(
    run: Measured, config: ModelConfig, dtype: torch.dtype, ceilings: Ceilings
) -> RunSummary:
    """What one run comes to, beside the least time that its steps could have taken."""
    stats = run.stats
    num_logits = stats.decoded_tokens
    least = floor_seconds(config, dtype.itemsize, ceilings, run.steps, num_logits)
    return RunSummary(
        rows=len(run.outcomes),
        failed=run.num_failed,
        seconds=run.seconds,
        rows_per_second=run.rows_per_second,
        first_row_seconds=run.first_row_seconds,
        requests=stats.requests,
        merged=stats.merged_requests,
        tokens=_tokens(stats),
        steps=stats.steps,
        peak_kv_tokens=stats.peak_kv_tokens,
        peak_kv_bytes=stats.peak_kv_tokens * config.kv_elements_per_token * dtype.itemsize,
        shares=_shares(stats, run.seconds),
        ceiling_share=least / run.seconds,
    )


def _tokens(stats: EngineStats) -> Tokens:
    run_for_prompts = stats.prefilled_tokens - stats.forced_tokens
    return Tokens(
        prompt=stats.prompt_tokens,
        prefilled=stats.prefilled_tokens,
        saved=max(0, stats.prompt_tokens - run_for_prompts),
        recomputed=stats.recomputed_tokens,
        decoded=stats.decoded_tokens,
        forced=stats.forced_tokens,
        scored=stats.scored_tokens,
    )


def _shares(stats: EngineStats, seconds: float) -> Shares:
    spent, by_kind = stats.seconds, stats.model_seconds
    model = sum(by_kind.values()) or spent.get("waiting", 0.0)
    masks, sampling = spent.get("masks", 0.0), spent.get("sampling", 0.0)

    def of_kind(kind: str) -> float | None:
        found = [s for name, s in by_kind.items() if name.startswith(kind)]
        return sum(found) / seconds if by_kind else None

    mixed = sum(s for name, s in by_kind.items() if name.endswith("mixed"))
    return Shares(
        model=model / seconds,
        prefill=of_kind("prefill"),
        decode=of_kind("decode"),
        mixed=mixed / seconds,
        sampling=sampling / seconds,
        masks=masks / seconds,
        host=max(0.0, seconds - model - masks - sampling) / seconds,
    )
