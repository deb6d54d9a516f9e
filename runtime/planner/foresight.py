"""The course of a row, found by rehearsing it alone with as much memory as it likes.

Rows whose inputs are of the same lengths are taken to have the same course. Gens are as long as was
learned, or as they may be, externs are not called, and a row that fails in the rehearsal has a
course up to there: what is foreseen wrongly costs steps or recomputed tokens, no result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from sglc.codegen.plan import Plan
from sglc.ir.host.expr import Value
from sglc.runtime.engine.learned import LearnedLengths
from sglc.runtime.engine.outlook import Course, Order
from sglc.runtime.engine.request import GenRequest
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.planner.rehearsal import Rehearsal
from sglc.runtime.planner.stand_ins import stand_in_externs
from sglc.runtime.planner.writing import Writer
from sglc.runtime.row import BoundRow

MAX_COURSES = 1024
_MANY = 1 << 30


class Foresight:
    """Of the rows of `plan` that are in flight: those in `rows`, by index."""

    def __init__(
        self,
        plan: Plan,
        spec: ModelSpec,
        rows: Mapping[int, BoundRow],
        lengths: LearnedLengths | None = None,
    ) -> None:
        self._plan = plan
        self._spec = spec
        self._rows = rows
        self._lengths = lengths or LearnedLengths()
        self._version = 0  # of the lengths that the courses have
        self._courses: dict[object, Course] = {}

    def course(self, index: int) -> Course:
        if self._version != self._lengths.version:
            self._version = self._lengths.version
            self._courses.clear()
        row = self._rows[index]
        key = tuple(_likeness(value) for value in row.values.values())
        found = self._courses.get(key)
        if found is None:
            if len(self._courses) >= MAX_COURSES:
                self._courses.clear()
            found = self._courses[key] = self._rehearse(row)
        return found

    @cached_property
    def _stage(self) -> tuple[_Following, Machine]:
        engine = _Following(
            self._spec.tokenizer,
            self._plan.model.context_len,
            writer=Writer(self._spec.tokenizer, self._length_of),
            max_batch=_MANY,
            step_tokens=_MANY,
        )
        # a row would take what it has from one before
        plan = replace(self._plan, reuses_results=False)
        return engine, Machine(plan, self._spec, engine, externs=stand_in_externs(plan.externs))

    def _length_of(self, gen: GenRequest, bound: int) -> int:
        return self._lengths.expected(gen.order[1:], bound)

    def _rehearse(self, row: BoundRow) -> Course:
        engine, machine = self._stage
        engine.begin()
        machine.start(row)
        while machine.num_active:
            machine.step()
        return engine.course()


class _Following(Rehearsal):
    """A rehearsal of one row at a time that notes what it holds."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.begin()

    def begin(self) -> None:
        """Another row comes."""
        self._held: list[int] = []
        self._places: dict[Order, int] = {}
        self._num_first = 0

    def course(self) -> Course:
        held = np.array(self._held or [0], dtype=np.int64)
        return Course(np.maximum(held - self._num_first, 0), self._places)

    def _admit(self) -> None:
        before = len(self._prefilling)
        super()._admit()
        if not self._jobs:
            return
        for job in self._prefilling[before:]:
            if not self._places:
                self._num_first = job.handle.num_tokens
            self._places.setdefault(job.order[1:], len(self._held))
        wanted = sum(len(node.tokens) for node in self._admission.wanted())
        self._held.append(self._residency.num_promised + wanted)


def _likeness(value: Value) -> object:
    """Equal for values that make texts of the same length."""
    match value:
        case str():
            return len(value)
        case list():
            return tuple(map(_likeness, value))
        case dict():
            return tuple(map(_likeness, value.values()))
        case bool():
            return value
        case _:
            return len(str(value))
