"""What one step runs, row by row.

Rows are the running gens' last tokens, then the segments being prefilled. Logits are read of the
running gens' rows, then of each (node, offset) that a prefilled request reads, once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.runtime.engine.lanes import Lanes
from sglc.runtime.engine.prefill import Prefill, Read, Segment

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StepRows:
    """Rows 0 .. len(lanes) - 1 decode; then come the segments, each from its `first_row`.

    `tokens`, `positions` and `slots` are [T], `logit_rows` [R]. `places[i]` is where in the logits
    read i of the prefill lies.
    """

    lanes: Lanes
    segments: list[Segment]
    tokens: Tensor
    positions: Tensor
    slots: Tensor
    logit_rows: Tensor
    places: dict[Read, int]


def lay_out(lanes: Lanes, prefill: Prefill, scratch: int, device: torch.device) -> StepRows:
    """Number the rows and look up their tokens, positions and slots. Tokens that are run again
    write their KV to slot `scratch`."""
    if lanes.jobs:
        last_tokens, last_positions, last_slots = lanes.feed()
    else:
        last_tokens = torch.zeros(0, dtype=torch.int64, device=device)
        last_positions = last_slots = np.zeros(0, dtype=np.int64)
    segments = list(prefill.segments.values())
    tokens: list[Indices] = [np.zeros(0, dtype=np.int64)]
    positions: list[Indices] = [last_positions]
    slots: list[Indices] = [last_slots]
    num_rows = len(lanes)
    for segment in segments:
        node, begin, end = segment.node, segment.begin, segment.end
        segment.first_row = num_rows
        num_rows += len(segment)
        tokens.append(np.array(node.tokens[begin:end], dtype=np.int64))
        positions.append(np.arange(node.start + begin, node.start + end))
        fresh = max(begin, min(node.num_computed, end))
        slots.append(np.full(fresh - begin, scratch))
        slots.extend(np.arange(extent.slot, extent.end) for extent in node.slots(fresh, end))
    logit_rows, places = _logit_rows(len(lanes), prefill)
    return StepRows(
        lanes,
        segments,
        torch.cat([last_tokens, torch.from_numpy(np.concatenate(tokens)).to(device)]),
        torch.from_numpy(np.concatenate(positions)).to(device),
        torch.from_numpy(np.concatenate(slots)).to(device),
        torch.tensor(logit_rows, dtype=torch.int64).to(device),
        places,
    )


def _logit_rows(num_decodes: int, prefill: Prefill) -> tuple[list[int], dict[Read, int]]:
    rows = list(range(num_decodes))
    place_of_row: dict[int, int] = {}
    places: dict[Read, int] = {}
    for read in prefill.reads:
        segment = prefill.segments[read.node]
        row = segment.first_row + read.offset - segment.begin
        if row not in place_of_row:
            place_of_row[row] = len(rows)
            rows.append(row)
        places[read] = place_of_row[row]
    return rows, places
