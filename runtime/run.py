"""The run loop: rows go into the machine, outcomes come out.

Law: memory is bounded by the window, not by the number of rows: at most `window` rows are in the
machine, and reading runs at most `AHEAD` windows before the oldest row that is not done. A row that
ends makes room for the next at once, so that what rows share stays in use from the first to the
last; which row is the next is up to `row_order.py`. Knows nothing about files.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from sglc.codegen.instruction import Fork, Gen, Jump, Next, Run, Select
from sglc.codegen.plan import Plan
from sglc.runtime.engine.learned import LearnedLengths
from sglc.runtime.engine.outlook import Outlook
from sglc.runtime.engine.request import Engine
from sglc.runtime.engine.way import Limits, Way
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.planner.probe import beginnings
from sglc.runtime.room.check import RoomCheck
from sglc.runtime.row import BoundRow, Outcome, RowFailed
from sglc.runtime.row_order import Arrival, Planned, RowOrder, Shuffled

if TYPE_CHECKING:
    from sglc.runtime.planner.foresight import Foresight

WINDOW = 256  # rows in flight, or as many as an engine runs requests together
AHEAD = 4  # windows
BURST = 128  # rows started between two steps, so that the engine works while the next are read
OBJECTS_BETWEEN_SEARCHES = 200_000  # of Python, made more than freed; some 40 MB


def run(
    plan: Plan,
    spec: ModelSpec,
    engine: Engine,
    rows: Iterable[BoundRow | RowFailed],
    *,
    seed: int = 0,
    externs: Mapping[str, Callable[..., Any]] | None = None,
    window: int | None = None,
    ordered: bool = True,
    keep_trace: bool = False,
    order: str = "planned",
    parallel: bool = True,
    on_step: Callable[[], None] | None = None,
) -> Iterator[Outcome]:
    """Yield the outcome of each row: in the order of `rows`, or as they end.

    Rows that failed before they began pass through. `on_step` is called after each step of the
    machine. Rows' indices differ and grow. Closing the iterator gives up what is in flight. Without
    a `window` it is `window_of(engine)`.
    Rows start in the `order` "planned", "arrival" or "random"; without `parallel` branches and
    calls run one after another: for measuring what order and parallelism are worth.
    """
    machine = Machine(
        plan,
        spec,
        engine,
        seed=seed,
        externs=externs or {},
        keep_trace=keep_trace,
        parallel=parallel,
    )
    rows = RoomCheck(plan, spec).over(rows)
    window = window or window_of(engine)
    in_flight: dict[int, BoundRow] = {}
    outlook = _outlook(plan, spec, in_flight, window)
    engine.expect(outlook if _goes_on(plan) else None)
    upcoming = _row_order(order, plan, spec)
    outcomes = _run(machine, rows, upcoming, window, on_step, in_flight, outlook)
    return _in_order(outcomes) if ordered else (outcome for outcome, _ in outcomes)


def window_of(engine: Engine) -> int:
    """How many rows in flight keep `engine` busy, where each has one request at a time."""
    return max(WINDOW, engine.max_batch)


@contextmanager
def few_searches_for_cycles() -> Iterator[None]:
    """A run makes many objects and hardly a cycle. What lives already is not searched (torch and a
    model's vocabulary are half a million objects), and the rest seldom: together half of the host's
    time otherwise (a thousand short rows)."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _row_order(order: str, plan: Plan, spec: ModelSpec) -> RowOrder:
    if order == "random":
        return Shuffled()
    # what externs return, and so what stands after them, is not known before they are called
    if order == "arrival" or plan.externs:
        return Arrival()
    return Planned(partial(beginnings, plan, spec), BURST)


def _goes_on(plan: Plan) -> bool:
    """Whether a row may ask more than one thing."""
    asks = sum(isinstance(i, Gen | Select) for i in plan.code)
    return asks > 1 or any(isinstance(i, Fork | Run | Next | Jump) for i in plan.code)


def _outlook(
    plan: Plan, spec: ModelSpec, in_flight: Mapping[int, BoundRow], window: int
) -> Outlook:
    """What is foreseen of the rows in flight, where an engine asks for it."""
    lengths = LearnedLengths()

    @cache
    def foresight() -> Foresight:
        # which takes a model's libraries: not for runs that are over without a model
        from sglc.runtime.planner.foresight import Foresight

        return Foresight(plan, spec, in_flight, lengths)

    def choose(limits: Limits) -> Way:
        from sglc.runtime.planner.trial import best_way

        # as many as start at once, and so there are more to come
        num_rows = window if len(in_flight) >= BURST else len(in_flight)
        return best_way(plan, spec, in_flight, num_rows, limits)

    return Outlook(lambda index: foresight().course(index), choose, lengths)


def _run(
    machine: Machine,
    rows: Iterable[BoundRow | RowFailed],
    upcoming: RowOrder,
    window: int,
    on_step: Callable[[], None] | None,
    in_flight: dict[int, BoundRow],
    outlook: Outlook,
) -> Iterator[tuple[Outcome, int]]:
    """Outcomes as they end, each with its place in the order of `rows`; `in_flight`, by index, is
    kept up to date."""
    places: dict[int, int] = {}  # index of a row in flight -> its place
    source = iter(rows)
    num_read = 0
    is_read = False
    with few_searches_for_cycles():
        try:
            while not is_read or upcoming or places:
                # for the first rows the engine waits: no more are read than start
                end = num_read + 2 * BURST if num_read else BURST
                while not is_read and num_read < end:
                    if _lag(places, upcoming, num_read) >= AHEAD * window:
                        break
                    row = next(source, None)
                    if row is None:
                        is_read = True
                    elif isinstance(row, RowFailed):
                        yield row, num_read
                        num_read += 1
                    else:
                        upcoming.put(num_read, row)
                        num_read += 1
                for _ in range(min(BURST, len(upcoming), window - machine.num_active)):
                    num_free = window - machine.num_active
                    place, row = upcoming.take(all_start=is_read and len(upcoming) <= num_free)
                    places[row.index] = place
                    in_flight[row.index] = row
                    machine.start(row)
                if places:
                    for outcome in machine.step():
                        upcoming.end(outcome.index)
                        outlook.end(outcome.index)
                        del in_flight[outcome.index]
                        yield outcome, places.pop(outcome.index)
                    if on_step is not None:
                        on_step()
        except KeyboardInterrupt:
            raise  # at any point of a step: the machine and its engine are good for nothing now
        except BaseException:
            machine.close()
            raise
        machine.close()


def _lag(places: dict[int, int], upcoming: RowOrder, num_read: int) -> int:
    """How many rows were read since the oldest that is not done."""
    oldest = min(places.values(), default=num_read)
    waiting = upcoming.oldest
    return num_read - (oldest if waiting is None else min(oldest, waiting))


def _in_order(outcomes: Iterator[tuple[Outcome, int]]) -> Iterator[Outcome]:
    waiting: dict[int, Outcome] = {}
    place = 0
    for outcome, its_place in outcomes:
        waiting[its_place] = outcome
        while (ready := waiting.pop(place, None)) is not None:
            yield ready
            place += 1
