"""An engine that writes down the gens of each row, in order, as they are asked and answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sglc.runtime.engine.request import (
    Engine,
    EngineStats,
    GenRequest,
    GenResult,
    Prefix,
    Request,
    Result,
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A gen's token ids: before it, and after it."""

    before: list[int]
    after: list[int]


class RecordingEngine:
    """Implements `Engine` by another; `rows[r]` are the gens of the row of order r."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.rows: dict[int, list[Answered]] = {}

    @property
    def stats(self) -> EngineStats:
        return self._engine.stats

    @property
    def root(self) -> Prefix:
        return self._engine.root

    @property
    def is_idle(self) -> bool:
        return self._engine.is_idle

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        return self._engine.extend(prefix, tokens)

    def submit(self, request: Request) -> None:
        self._engine.submit(request)

    def cancel(self, request: Request) -> None:
        self._engine.cancel(request)

    def step(self) -> list[Result]:
        results = self._engine.step()
        for result in results:
            if isinstance(result, GenResult):
                request: GenRequest = result.request
                answered = Answered(request.prefix.token_ids(), result.prefix.token_ids())
                self.rows.setdefault(request.order[0], []).append(answered)
        return results
