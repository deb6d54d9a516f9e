"""An engine that does what another does; those that watch a run build on it."""

from __future__ import annotations

from collections.abc import Sequence

from sglc.runtime.engine.outlook import Outlook
from sglc.runtime.engine.request import Engine, Prefix, Request, Result


class WrappedEngine:
    """Implements `Engine` by another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.stats = engine.stats
        self.max_batch = engine.max_batch

    @property
    def root(self) -> Prefix:
        return self._engine.root

    @property
    def is_idle(self) -> bool:
        return self._engine.is_idle

    def expect(self, outlook: Outlook | None) -> None:
        self._engine.expect(outlook)

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        return self._engine.extend(prefix, tokens)

    def submit(self, request: Request) -> None:
        self._engine.submit(request)

    def cancel(self, request: Request) -> None:
        self._engine.cancel(request)

    def step(self) -> list[Result]:
        return self._engine.step()
