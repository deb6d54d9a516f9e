"""What the host makes of the tokens it reads: which gens are over, and what they leave.

Law: only lanes that the device stopped, or whose token may complete a stop text, are looked at one
by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.lane_tensors import ENDED, FORCED, MAY_STOP, RUNNING
from sglc.runtime.engine.device.lane_options import LaneOptions
from sglc.runtime.engine.device.lanes import DeviceLanes
from sglc.runtime.engine.generation import Finished
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.request import TokenLogprob
from sglc.runtime.engine.stop import find_stop, keep
from sglc.runtime.engine.table_rows import TableWalk
from sglc.runtime.engine.walk import Ended, Forced
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]


@dataclass(slots=True)
class Landed:
    """What came of the tokens of one step: gens that are over, and gens to which forced tokens
    were added, with how many of their tokens have KV."""

    num_tokens: int = 0
    over: list[Finished] = field(default_factory=list)
    forced: list[tuple[GenJob, int]] = field(default_factory=list)


class Endings:
    def __init__(self, lanes: DeviceLanes, options: LaneOptions, tokenizer: Tokenizer) -> None:
        self._lanes = lanes
        self._options = options
        self._token_bytes = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
        self._logprobs: dict[GenJob, list[TokenLogprob]] = {}

    def read(self, rows: Indices, serials: Indices, outcome: NDArray[np.int32]) -> Landed:
        """Take in a step's outcome [R, 3] of lanes `rows`, which were those of `serials` when it
        was launched. Gens that are over keep their lanes; the caller takes them."""
        lanes = self._lanes
        is_alive = lanes.serial[rows] == serials
        rows, outcome = rows[is_alive], outcome[is_alive]
        tokens, statuses, states = outcome.T
        lanes.history[rows, lanes.read[rows]] = tokens
        lanes.read[rows] += 1
        codes = self._options.codes[self._options.stop_way[rows], tokens]
        may_end = (statuses != RUNNING) | (codes == MAY_STOP) | lanes.is_walked[rows]
        landed = Landed(num_tokens=len(rows))
        for row in np.flatnonzero(may_end).tolist():
            job = lanes.lane(int(rows[row])).job
            if isinstance(job.walk, TableWalk):
                job.walk.state = int(states[row])
            self._check(job, int(statuses[row]), int(codes[row]), landed)
        return landed

    def note(self, job: GenJob, report: TokenLogprob) -> None:
        """The next token of `job` reports its log-probability."""
        self._logprobs.setdefault(job, []).append(report)

    def forget(self, job: GenJob) -> None:
        self._logprobs.pop(job, None)

    def _check(self, job: GenJob, status: int, code: int, landed: Landed) -> None:
        """Note it in `landed` if `job` is over after the last token read, or has text forced."""
        count = int(self._lanes.read[job.lane])
        tokens: list[int] = self._lanes.history[job.lane, :count].tolist()
        pieces = [self._token_bytes[token] for token in tokens]
        reason = "stop"
        ended: Ended | None = None
        if status == ENDED:
            pieces.pop()
            ended = Ended()
        elif job.walk is not None:
            step = job.walk.look(b"".join(pieces), job.growth - count)
            if isinstance(step, Forced) or (step is None and status == FORCED):
                # the lane stands still: it starts again after the forced text, if there is any
                job.force(tokens, () if step is None else step.ids)
                landed.forced.append((job, len(tokens) - 1))
                return
            ended = step
        elif code == MAY_STOP:
            stop_at = find_stop(pieces, job.gen.sampling)
            ended = None if stop_at is None else Ended(stop_at)
        if ended is None:
            if count < job.growth:
                return
            # the budget of a constrained gen ends where its value is whole
            reason = "length" if job.walk is None else "stop"
            ended = Ended()
        kept = keep(pieces, ended.end, ended.completion)
        logprobs = self._logprobs.pop(job, [])[: kept.num_tokens]
        landed.over.append(Finished(job, tokens, kept, reason, tuple(logprobs)))
