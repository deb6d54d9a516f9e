"""What the host makes of the tokens it reads: which gens are over, and what they leave.

Law: only lanes that the device stopped, or whose token may complete a stop text, are looked at one
by one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.lane_tensors import ENDED, FORCED, MAY_STOP, RUNNING
from sglc.runtime.engine.device.lane_options import LaneOptions
from sglc.runtime.engine.device.lanes import DeviceLanes, Lane
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.last_token import LastTokens, Left
from sglc.runtime.engine.request import TokenLogprob
from sglc.runtime.engine.table_rows import TableWalk
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Token:
    """The last token of what `held` has in lane `lane`, as the device left it."""

    lane: int
    held: Lane
    status: int
    code: int
    state: int


class Endings:
    def __init__(self, lanes: DeviceLanes, options: LaneOptions, tokenizer: Tokenizer) -> None:
        self._lanes = lanes
        self._options = options
        self._last = LastTokens(tokenizer)
        self._still: deque[_Token] = deque()  # of gens that stand still

    def read(self, rows: Indices, serials: Indices, outcome: NDArray[np.int32]) -> tuple[int, Left]:
        """Take in a step's outcome [R, 3] of lanes `rows`, which were those of `serials` when it
        was launched: how many of them got a token, and which running gens leave after it. Those
        keep their lanes until the caller takes them; so do the gens that the device stopped, which
        `next_still` is for."""
        lanes = self._lanes
        is_alive = lanes.serial[rows] == serials
        rows, outcome = rows[is_alive], outcome[is_alive]
        tokens, statuses, states = outcome.T
        lanes.history[rows, lanes.read[rows]] = tokens
        lanes.read[rows] += 1
        codes = self._options.codes[self._options.stop_way[rows], tokens]
        is_still = statuses != RUNNING
        may_end = is_still | (codes == MAY_STOP) | lanes.is_walked[rows]
        left = Left()
        for row in np.flatnonzero(may_end).tolist():
            lane = int(rows[row])
            token = _Token(
                lane, lanes.lane(lane), int(statuses[row]), int(codes[row]), int(states[row])
            )
            if is_still[row]:
                self._still.append(token)
            else:
                self._look(token, left)
        lanes.leave(rows[is_still])
        return len(rows), left

    def next_still(self, count: int) -> Left:
        """What comes of the next `count` gens that the device stopped."""
        left = Left()
        for _ in range(min(count, len(self._still))):
            token = self._still.popleft()
            if self._lanes.held[token.lane] is token.held:  # else it was cancelled
                self._look(token, left)
        return left

    def _look(self, token: _Token, left: Left) -> None:
        lanes, job = self._lanes, token.held.job
        if isinstance(job.walk, TableWalk):
            job.walk.state = token.state
        self._last.look(
            job,
            lanes.history[token.lane, : lanes.read[token.lane]].tolist(),
            left,
            ends=token.status == ENDED,
            may_stop=token.code == MAY_STOP,
            stands=token.status == FORCED,
        )

    def note(self, job: GenJob, report: TokenLogprob) -> None:
        """The next token of `job` reports its log-probability."""
        self._last.note(job, [report])

    def forget(self, job: GenJob) -> None:
        self._last.forget(job)
