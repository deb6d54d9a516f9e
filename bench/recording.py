"""What a program asks of an engine, written down: prompts, options, answers, and what waited for
what."""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.bench.wrapped_engine import WrappedEngine
from sglc.runtime.engine.request import (
    Engine,
    GenRequest,
    GenResult,
    Request,
    RequestError,
    Result,
)


@dataclass(slots=True)
class Recorded:
    """A request with the token ids of its prompt. Once answered, `after` is the prompt of a gen
    with what was kept of its tokens, `text` its text, and `num_tokens` how many tokens were sampled
    or forced, kept or not.

    `wave` is 0 for what a row asks at once, and one more than the latest of the answers that had
    just come when it was asked, of those that its prompt goes on from if there are any.
    """

    request: Request
    prompt: list[int]
    wave: int
    after: list[int] = field(default_factory=list)
    text: str = ""
    num_tokens: int = 0

    @property
    def row(self) -> int:
        return self.request.order[0]


class RecordingEngine(WrappedEngine):
    """`recorded` are the requests as they were submitted."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.recorded: list[Recorded] = []
        self._open: dict[Request, Recorded] = {}
        self._fresh: dict[int, list[Recorded]] = {}  # by row, answered in the last step
        self._deepest: dict[int, int] = {}  # by row, the latest wave with an answer

    def submit(self, request: Request) -> None:
        prompt = request.prefix.token_ids()
        recorded = Recorded(request, prompt, self._wave(request.order[0], prompt))
        self.recorded.append(recorded)
        self._open[request] = recorded
        self._engine.submit(request)

    def cancel(self, request: Request) -> None:
        self._open.pop(request, None)
        self._engine.cancel(request)

    def step(self) -> list[Result]:
        results = self._engine.step()
        self._fresh.clear()
        for result in results:
            if isinstance(result, RequestError):
                continue
            recorded = self._open.pop(result.request)
            if isinstance(result, GenResult):
                recorded.after, recorded.text = result.prefix.token_ids(), result.text
                recorded.num_tokens = result.num_sampled + result.num_forced
            row = recorded.row
            self._fresh.setdefault(row, []).append(recorded)
            self._deepest[row] = max(self._deepest.get(row, 0), recorded.wave)
        return results

    def gens(self) -> dict[int, list[Recorded]]:
        """The gens of each row, in program order."""
        rows: dict[int, list[Recorded]] = {}
        for recorded in sorted(self.recorded, key=lambda recorded: recorded.request.order):
            if isinstance(recorded.request, GenRequest):
                rows.setdefault(recorded.row, []).append(recorded)
        return rows

    def _wave(self, row: int, prompt: list[int]) -> int:
        fresh = self._fresh.get(row, [])
        before = [r for r in fresh if r.after and prompt[: len(r.after)] == r.after]
        waves = [recorded.wave for recorded in before or fresh]
        return 1 + max(waves, default=self._deepest.get(row, -1))
