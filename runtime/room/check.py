"""Rows that surely do not fit the model's context are told before they start (rule 9).

Knows nothing about what gens will write: what grows too long by that is found where it happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from sglc.codegen.plan import Plan
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.room.sizes import QuickSizes, Sizes, SureSizes
from sglc.runtime.room.walk import Program, Walk
from sglc.runtime.row import BoundRow, RowFailed, RowFailure


class RoomCheck:
    """The check of one plan's rows. A row that is far from too long costs no tokenizing, and one of
    a plan whose types bound all lengths nothing."""

    def __init__(self, plan: Plan, spec: ModelSpec) -> None:
        self._plan = plan
        self._tokenizer = spec.tokenizer
        self._quick = QuickSizes(plan.markup)
        longest = plan.bounds.longest
        self._is_needed = longest is None or longest > plan.model.context_len

    def over(self, rows: Iterable[BoundRow | RowFailed]) -> Iterable[BoundRow | RowFailed]:
        """The rows, with a failure in the place of each that has no room."""
        return self._checked(rows) if self._is_needed else rows

    def _checked(self, rows: Iterable[BoundRow | RowFailed]) -> Iterator[BoundRow | RowFailed]:
        for row in rows:
            yield self.failure(row) or row if isinstance(row, BoundRow) else row

    def failure(self, row: BoundRow) -> RowFailed | None:
        """Why the row surely fails for want of room; None where it may fit."""
        if self._fails(row, self._quick) is None:
            return None
        failure = self._fails(row, self._sure)
        if failure is None:
            return None
        return RowFailed(row.index, failure.code, failure.message, failure.span)

    def _fails(self, row: BoundRow, sizes: Sizes) -> RowFailure | None:
        regs: list[Any] = [None] * self._plan.num_regs
        for param in self._plan.params:
            regs[param.reg] = row.values.get(param.name, param.default)
        fate = Walk(self._program, sizes).fate(regs)
        return fate if isinstance(fate, RowFailure) and fate.code == "too_long" else None

    @cached_property
    def _program(self) -> Program:
        return Program.of(self._plan, self._tokenizer)

    @cached_property
    def _sure(self) -> SureSizes:
        return SureSizes(self._tokenizer, self._plan.markup)
