"""Plan a batch: rehearse it, and say what a run will do.

Where gens write exactly as many tokens as they may, the facts are those of the run; where they may
end earlier, or a program decides by what they say, they are those of a run in which each gen is as
long as its bound (a typed one: a random value).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest
from time import perf_counter
from typing import Any

from sglc.codegen.plan import Plan
from sglc.runtime.engine.device import room
from sglc.runtime.engine.engine import MAX_BATCH, STEP_TOKENS
from sglc.runtime.engine.request import GenRequest, GenResult, Request, Result, ScoreResult
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.planner.costs import Calibration, predicted_seconds
from sglc.runtime.planner.facts import BatchFacts, KVFacts, StepFacts, TokenFacts
from sglc.runtime.planner.ledger import Ledger
from sglc.runtime.planner.rehearsal import Rehearsal
from sglc.runtime.planner.row_kv import row_kv
from sglc.runtime.planner.stand_ins import stand_in_externs
from sglc.runtime.planner.trie import trie_nodes
from sglc.runtime.planner.writing import Writer
from sglc.runtime.row import BoundRow, RowFailed
from sglc.runtime.run import run, window_of


def plan_batch(
    plan: Plan,
    spec: ModelSpec,
    config: ModelConfig,
    rows: Iterable[BoundRow | RowFailed],
    *,
    kv_memory: int | None = None,
    window: int | None = None,
    element_size: int = 4,
    device: str = "cpu",
    externs: Mapping[str, Callable[..., Any]] | None = None,
    calibration: Calibration | None = None,
) -> BatchFacts:
    """Rehearse `rows`, all of which the facts hold in memory.

    `kv_memory` is in bytes, None for as much as is needed; `element_size` is that of the KV's
    dtype, in bytes; `device` ("cpu", "cuda") decides how large a step may be. Externs that are not
    given return a small value of their type. Without a `calibration` no
    seconds are predicted.
    """
    begin = perf_counter()
    bytes_per_token = config.kv_elements_per_token * element_size
    num_slots = None if kv_memory is None else kv_memory // bytes_per_token
    is_device = device != "cpu"
    steps: list[StepFacts] = []
    engine = _Noting(
        spec.tokenizer,
        config.context_len,
        num_slots,
        writer=Writer(spec.tokenizer),
        max_batch=MAX_BATCH[device],
        step_tokens=room.STEP_TOKENS if is_device else STEP_TOKENS[device],
        is_device=is_device,
        on_step=steps.append,
    )
    window = window or window_of(engine)
    stand_ins = {**stand_in_externs(plan.externs), **(externs or {})}
    num_rows = num_failed = 0
    for outcome in run(plan, spec, engine, rows, externs=stand_ins, window=window, ordered=False):
        engine.ledger.end_row(outcome.index)
        num_rows += 1
        num_failed += isinstance(outcome, RowFailed)
    host = perf_counter() - begin
    stats, ledger = engine.stats, engine.ledger
    peak = stats.peak_kv_tokens
    if not engine.lengths_are_known:
        peak = max(peak, _most_kv(ledger, window))
    return BatchFacts(
        rows=num_rows,
        num_failed=num_failed,
        requests=stats.requests,
        merged_requests=stats.merged_requests,
        lengths_are_known=engine.lengths_are_known,
        tokens=TokenFacts(
            prompt=stats.prompt_tokens,
            prefilled=stats.prefilled_tokens,
            least=ledger.num_text + stats.forced_tokens,
            recomputed=stats.recomputed_tokens,
            scored=stats.scored_tokens,
            decoded=stats.decoded_tokens,
            forced=stats.forced_tokens,
        ),
        kv=KVFacts(
            peak_tokens=peak if num_slots is None else min(peak, num_slots),
            rehearsed_tokens=stats.peak_kv_tokens,
            naive_tokens=engine.naive_peak,
            budget_tokens=num_slots,
            bytes_per_token=bytes_per_token,
        ),
        row_kv=row_kv(plan, spec.tokenizer),
        trie=trie_nodes(ledger.places, spec.tokenizer.decode),
        steps=tuple(steps),
        seconds=None
        if calibration is None
        else predicted_seconds(config, steps, element_size, calibration, host),
        planning_seconds=perf_counter() - begin,
    )


def _most_kv(ledger: Ledger, window: int) -> int:
    """The most KV tokens that are alive at any time, however long each gen is up to its bound: no
    more rows are in flight than the window holds, and none holds more than all it ever has."""
    return min(ledger.num_tokens + ledger.num_unwritten, sum(nlargest(window, ledger.row_sizes)))


class _Noting(Rehearsal):
    """A rehearsal that keeps a ledger. `lengths_are_known` as in `BatchFacts`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ledger = Ledger()
        self.lengths_are_known = True

    def submit(self, request: Request) -> None:
        self.ledger.ask(request)
        self.lengths_are_known &= _length_is_known(request)
        super().submit(request)

    def step(self) -> list[Result]:
        results = super().step()
        for result in results:
            if isinstance(result, GenResult | ScoreResult):
                self.ledger.answer(result)
        return results


def _length_is_known(request: Request) -> bool:
    """Whether what the request adds to its context has a length that is known before."""
    if not isinstance(request, GenRequest):
        return len(set(map(len, request.choices))) < 2
    sampling = request.sampling
    stops = sampling.stop or sampling.stop_token_ids or sampling.stop_regex
    return sampling.ignore_eos and not stops and request.constraint is None
