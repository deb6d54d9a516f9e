"""One timed run of a program over rows in memory.

The clock starts with rows as they were read, so that checking, tokenizing, planning, running and
turning tokens into text are inside; compiling and loading the model are not.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

from sglc.bench.work import Work
from sglc.bench.wrapped_engine import WrappedEngine
from sglc.runtime.engine.request import Engine, EngineStats, GenResult, Result
from sglc.runtime.row import Outcome, RowFailed
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions


@dataclass(frozen=True, slots=True)
class Measured:
    """`seconds` from the first row read to the last outcome, `first_row_seconds` to the first.
    `steps` tells how many steps had how many rows."""

    outcomes: tuple[Outcome, ...]  # in the order of the rows
    seconds: float
    first_row_seconds: float
    stats: EngineStats
    steps: Counter[int]

    @property
    def num_failed(self) -> int:
        return sum(isinstance(outcome, RowFailed) for outcome in self.outcomes)

    @property
    def rows_per_second(self) -> float:
        return len(self.outcomes) / self.seconds


class SteppedEngine(WrappedEngine):
    """Counts the rows of each step."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.steps: Counter[int] = Counter()

    def step(self) -> list[Result]:
        before, num_steps = self._num_rows(), self.stats.steps
        results = self._engine.step()
        if self.stats.steps > num_steps:
            # the last token of a gen is sampled and never run
            num_last = sum(isinstance(result, GenResult) for result in results)
            self.steps[max(1, self._num_rows() - before - num_last)] += 1
        return results

    def _num_rows(self) -> int:
        s = self.stats
        return s.prefilled_tokens + s.scored_tokens + s.repeated_tokens + s.decoded_tokens


class TookTooLong(Exception):
    """A run was given up for its time."""


def measure(work: Work, options: EngineOptions, limit: float = math.inf) -> Measured:
    """Run all rows once on a fresh engine. Raises TookTooLong at the first step that ends after
    `limit` seconds."""
    engine = SteppedEngine(work.session.make_engine(options))
    start = time.perf_counter()

    def look_at_the_clock() -> None:
        if time.perf_counter() - start > limit:
            raise TookTooLong

    first: float | None = None
    outcomes: list[Outcome] = []
    binder = RowBinder(RowFields(work.plan.params))
    for outcome in run(
        work.plan,
        work.session.spec,
        engine,
        bind_rows(work.rows, binder),
        seed=work.seed,
        externs=work.externs,
        ordered=False,
        order=options.order,
        parallel=options.parallel,
        on_step=look_at_the_clock,
    ):
        if first is None:
            first = time.perf_counter() - start
        outcomes.append(outcome)
    seconds = time.perf_counter() - start
    outcomes.sort(key=lambda outcome: outcome.index)
    return Measured(tuple(outcomes), seconds, first or seconds, engine.stats, engine.steps)
