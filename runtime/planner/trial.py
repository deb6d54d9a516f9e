"""Which way to share memory serves some rows best, found by rehearsing them with each.

No one rule always computes less again than a cache would: where rows share text behind a branch,
and memory holds hardly more than one row, it is worth more to finish the text than the row; and
where a step costs what hundreds of tokens cost, memory should never lie idle. So the ways are tried
on the first rows, in as much memory as falls to them, and what is cheapest counts, of those that
compute no more again than the way of a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

from sglc.codegen.plan import Plan
from sglc.runtime.engine.learned import LearnedLengths
from sglc.runtime.engine.outlook import Outlook
from sglc.runtime.engine.request import EngineStats
from sglc.runtime.engine.way import Limits, Way
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.planner.foresight import Foresight
from sglc.runtime.planner.rehearsal import UNLIMITED, Rehearsal
from sglc.runtime.planner.stand_ins import stand_in_externs
from sglc.runtime.planner.writing import Writer
from sglc.runtime.row import BoundRow

MOST_ROWS = 64
# prompt tokens that a step more may save. They take a GPU as long as a step does: the weights are
# read in the time of so many tokens' operations (16-bit weights, one H100 80GB HBM3 at 3.35 TB/s
# and 600 TFLOP/s: 180). On a CPU it is some 20, but there what is asked for is fewer tokens
STEP_COST_OF_DEVICE = 200
STEP_COST = 1


def best_way(
    plan: Plan, spec: ModelSpec, rows: Mapping[int, BoundRow], num_rows: int, limits: Limits
) -> Way:
    """For `num_rows` rows in flight of which `rows`, by index, are the first."""
    usual = Way.SAVE_STEPS if limits.is_device else Way.SAVE_TOKENS
    longest = max(rows.values(), key=lambda row: len(repr(row.values)))
    alone = _try(plan, spec, {longest.index: longest}, replace(limits, num_slots=UNLIMITED), usual)
    if alone.peak_kv_tokens * num_rows <= limits.num_slots:
        return usual
    rows = dict(islice(rows.items(), MOST_ROWS))
    share = len(rows) / max(num_rows, len(rows))
    limits = replace(limits, num_slots=round(share * limits.num_slots))
    found = {usual: _try(plan, spec, rows, limits, usual)}
    if not found[usual].recomputed_tokens:
        return usual
    found |= {way: _try(plan, spec, rows, limits, way) for way in Way if way is not usual}
    most = found[Way.CACHE].recomputed_tokens
    fit = [way for way, stats in found.items() if stats.recomputed_tokens <= most]
    step_cost = STEP_COST_OF_DEVICE if limits.is_device else STEP_COST
    return min(fit, key=lambda way: step_cost * found[way].steps + found[way].prefilled_tokens)


def _try(
    plan: Plan, spec: ModelSpec, rows: Mapping[int, BoundRow], limits: Limits, way: Way
) -> EngineStats:
    engine = Rehearsal(
        spec.tokenizer,
        plan.model.context_len,
        limits.num_slots,
        writer=Writer(spec.tokenizer),
        max_batch=limits.max_batch,
        step_tokens=limits.step_tokens,
        is_device=limits.is_device,
        way=way,
    )
    lengths = LearnedLengths()
    outlook = Outlook(Foresight(plan, spec, rows, lengths).course, lengths=lengths)
    engine.expect(outlook)
    machine = Machine(plan, spec, engine, externs=stand_in_externs(plan.externs))
    for row in rows.values():
        machine.start(row)
    while machine.num_active:
        for outcome in machine.step():
            outlook.end(outcome.index)
    return engine.stats
