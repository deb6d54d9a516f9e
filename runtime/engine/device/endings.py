"""What the host makes of the tokens it reads: which gens are over, and what they leave.

Law: only lanes that the device stopped, or whose token may complete a stop text, are looked at one
by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.lane_tensors import ENDED, FORCED, MAY_STOP, RUNNING
from sglc.runtime.engine.device.lane_options import LaneOptions
from sglc.runtime.engine.device.lanes import DeviceLanes
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.last_token import LastTokens, Left
from sglc.runtime.engine.request import TokenLogprob
from sglc.runtime.engine.table_rows import TableWalk
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]


@dataclass(slots=True)
class Landed(Left):
    """What came of the `num_tokens` tokens of one step."""

    num_tokens: int = 0


class Endings:
    def __init__(self, lanes: DeviceLanes, options: LaneOptions, tokenizer: Tokenizer) -> None:
        self._lanes = lanes
        self._options = options
        self._last = LastTokens(tokenizer)

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
            lane, status = int(rows[row]), int(statuses[row])
            job = lanes.lane(lane).job
            if isinstance(job.walk, TableWalk):
                job.walk.state = int(states[row])
            self._last.look(
                job,
                lanes.history[lane, : lanes.read[lane]].tolist(),
                landed,
                ends=status == ENDED,
                may_stop=int(codes[row]) == MAY_STOP,
                stands=status == FORCED,
            )
        return landed

    def note(self, job: GenJob, report: TokenLogprob) -> None:
        """The next token of `job` reports its log-probability."""
        self._last.note(job, [report])

    def forget(self, job: GenJob) -> None:
        self._last.forget(job)
