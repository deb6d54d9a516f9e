"""The run loop: rows go into the machine, outcomes come out.

Law: memory is bounded by the window, not by the number of rows: at most `window` rows are in the
machine, and reading runs at most `AHEAD` windows before the oldest row that is not done. A row that
ends makes room for the next at once, so that what rows share stays in use from the first to the
last. Knows nothing about files.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sglc.codegen.plan import Plan
from sglc.runtime.engine.request import Engine
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow, Outcome, RowFailed

WINDOW = 256  # rows in flight
AHEAD = 4  # windows
BURST = 128  # rows started between two steps, so that the engine works while the next are read


def run(
    plan: Plan,
    spec: ModelSpec,
    engine: Engine,
    rows: Iterable[BoundRow | RowFailed],
    *,
    seed: int = 0,
    externs: Mapping[str, Callable[..., Any]] | None = None,
    window: int = WINDOW,
    ordered: bool = True,
    keep_trace: bool = False,
    on_step: Callable[[], None] | None = None,
) -> Iterator[Outcome]:
    """Yield the outcome of each row: in the order of `rows`, or as they end.

    Rows that failed before they began pass through. `on_step` is called after each step of the
    machine. Rows' indices differ and grow. Closing the iterator gives up what is in flight.
    """
    outcomes = _run(plan, spec, engine, rows, seed, externs or {}, window, keep_trace, on_step)
    return _in_order(outcomes) if ordered else (outcome for outcome, _ in outcomes)


@contextmanager
def _old_heap_left_alone() -> Iterator[None]:
    """What lives already is not searched for cycles: a third of the host's time otherwise (a
    thousand short rows; torch and a model's vocabulary are half a million objects)."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _run(
    plan: Plan,
    spec: ModelSpec,
    engine: Engine,
    rows: Iterable[BoundRow | RowFailed],
    seed: int,
    externs: Mapping[str, Callable[..., Any]],
    window: int,
    keep_trace: bool,
    on_step: Callable[[], None] | None,
) -> Iterator[tuple[Outcome, int]]:
    """Outcomes as they end, each with its place in the order of `rows`."""
    with _old_heap_left_alone():
        machine = Machine(plan, spec, engine, seed=seed, externs=externs, keep_trace=keep_trace)
        places: dict[int, int] = {}  # index of a row in flight -> its place; the oldest first
        source = iter(rows)
        num_read = 0
        is_read = False
        try:
            while not is_read or places:
                burst_end = num_read + BURST
                while (
                    not is_read
                    and num_read < burst_end
                    and machine.num_active < window
                    and _lag(places, num_read) < AHEAD * window
                ):
                    row = next(source, None)
                    if row is None:
                        is_read = True
                    elif isinstance(row, RowFailed):
                        yield row, num_read
                        num_read += 1
                    else:
                        places[row.index] = num_read
                        num_read += 1
                        machine.start(row)
                if places:
                    for outcome in machine.step():
                        yield outcome, places.pop(outcome.index)
                    if on_step is not None:
                        on_step()
        except KeyboardInterrupt:
            raise  # at any point of a step: the machine and its engine are good for nothing now
        except BaseException:
            machine.close()
            raise
        machine.close()


def _lag(places: dict[int, int], num_read: int) -> int:
    """How many rows were read since the oldest that is in flight."""
    return num_read - next(iter(places.values()), num_read)


def _in_order(outcomes: Iterator[tuple[Outcome, int]]) -> Iterator[Outcome]:
    waiting: dict[int, Outcome] = {}
    place = 0
    for outcome, its_place in outcomes:
        waiting[its_place] = outcome
        while (ready := waiting.pop(place, None)) is not None:
            yield ready
            place += 1
