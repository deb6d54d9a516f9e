"""From a step's logits to every lane's next token, stop state and automaton state, on the device.

Shapes: logits [R, V] fp32, rows [R] int32 (the lane of each row, -1 for rows that only pad); lanes
as in lane_tensors.py.
Order:  penalties on the tokens of the gen, biases, masks (banned tokens, then the constraint, which
near the end of max_tokens allows only states from which the value can still be closed), then
temperature, top-k, top-p, min-p and a Gumbel-max draw keyed by (seed, count); at temperature 0 the
highest logit. Ties go to the lowest id. Then the token is written and the lane advances by one.
Moves:  one pass over the logits; rows with top-k, top-p or min-p about five, `raw` two.
Nothing waits for the device, so a step can be captured into a graph.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sglc.kernels.contract import require
from sglc.kernels.cuda_kernel import cuda_kernel
from sglc.kernels.lane_tensors import (
    ENDED,
    ENDS,
    FORCED,
    FULL,
    MAY_STOP,
    RUNNING,
    LaneTensors,
)
from sglc.kernels.sample import draw_keys, filter_logits, penalise, sample

# threads of a row: many where rows do not fill the device, else so few that blocks overlap
MANY_THREADS, FEW_THREADS = 1024, 256
COLDEST, HOTTEST = 1e-6, 1e30  # temperatures by which fp32 logits can be divided


def sample_step(
    logits: Tensor, rows: Tensor, lanes: LaneTensors, raw: Tensor | None = None
) -> None:
    """Advance the RUNNING lanes of `rows` by a token each; `logits` may be overwritten.

    With `raw`, the model's logits in another tensor [R, V], the token's log-probability in the
    model's own distribution is written to `logprobs`. No lane is named twice.
    """
    R, V = logits.shape
    require(logits.dtype == torch.float32, "sample_step", f"fp32 logits, got {logits.dtype}")
    require(logits.is_contiguous(), "sample_step", "contiguous logits")
    require(rows.shape == (R,), "sample_step", f"a lane for each of {R} rows")
    require(rows.dtype == torch.int32, "sample_step", f"int32 rows, got {rows.dtype}")
    if logits.device.type != "cuda":
        return sample_step_ref(logits, rows, lanes, raw)
    processors = torch.cuda.get_device_properties(logits.device).multi_processor_count
    threads = MANY_THREADS if processors >= R else FEW_THREADS
    kernel = cuda_kernel("sample_step", "sample_step", THREADS=threads)
    kernel((R, 1, 1), threads, logits, raw, rows, lanes.pointers, V, overlaps=True)


def sample_step_ref(
    logits: Tensor, rows: Tensor, lanes: LaneTensors, raw: Tensor | None = None
) -> None:
    """The meaning of `sample_step`: one row at a time, with the functions of sample.py."""
    for row, lane in enumerate(rows.tolist()):
        if lane >= 0 and int(lanes.status[lane]) == RUNNING:
            x = logits[row : row + 1].clone()
            _edit(x, lanes, lane)
            x[0, ~_allowed(lanes, lane, x.shape[1])] = -torch.inf
            token = _pick(x, lanes, lane)
            if raw is not None:
                logprob = raw[row].log_softmax(-1)[token]
                lanes.logprobs[lane, int(lanes.counts[lane])] = logprob
            _advance(token, lanes, lane)


def _edit(x: Tensor, lanes: LaneTensors, lane: int) -> None:
    tokens = lanes.sampled[lane, : int(lanes.counts[lane])].long()
    options = (lanes.repetition[lane], lanes.frequency[lane], lanes.presence[lane])
    penalise(x, torch.zeros_like(tokens), tokens, *(o.expand(len(tokens)) for o in options))
    biases = slice(int(lanes.bias_start[lane]), int(lanes.bias_end[lane]))
    x[0].index_add_(0, lanes.bias_ids[biases].long(), lanes.bias_values[biases])


def _allowed(lanes: LaneTensors, lane: int, V: int) -> Tensor:
    """Tokens that the lane may sample, [V] bool."""
    count = int(lanes.counts[lane])
    is_early = count < int(lanes.min_tokens[lane])
    allowed = ~_bits(lanes.masks[(lanes.early_mask if is_early else lanes.mask)[lane]], V)
    if int(lanes.table[lane]) < 0:
        return allowed
    tables = lanes.tables
    at_class, at_next, at_state, num_classes, may_end = tables.directory[lanes.table[lane]].tolist()
    state = int(lanes.states[lane])
    classes = tables.token_class.view(-1)[at_class : at_class + V].long() & 0xFFFF
    at_next += state * num_classes
    after = tables.next[at_next : at_next + num_classes][classes].long()  # [V]
    fits = after >= 0
    left = int(lanes.max_tokens[lane]) - count - 1
    if left <= int(tables.reach[at_state + state]):
        fits &= tables.distance[at_state + after.clamp_min(0)] <= left
    ends = bool(may_end) and bool(tables.is_final[at_state + state])
    return allowed & torch.where(_bits(lanes.eos, V), ends, fits)


def _bits(words: Tensor, V: int) -> Tensor:
    bits = np.unpackbits(words.contiguous().numpy().view(np.uint8), bitorder="little")[:V]
    return torch.from_numpy(bits.astype(np.bool_))


def _pick(x: Tensor, lanes: LaneTensors, lane: int) -> int:
    temperature = float(lanes.temperature[lane])
    if temperature == 0 or bool((x == -torch.inf).all()):
        return int(x.argmax())
    x.div_(min(max(temperature, COLDEST), HOTTEST))
    one = slice(lane, lane + 1)
    filter_logits(x, lanes.top_k[one].long(), lanes.top_p[one], lanes.min_p[one])
    seed = lanes.seeds[one].numpy().view(np.uint64)
    return int(sample(x, draw_keys(seed, lanes.counts[one].numpy().astype(np.uint64))))


def _advance(token: int, lanes: LaneTensors, lane: int) -> None:
    count = int(lanes.counts[lane])
    code = int(lanes.stop_codes[lanes.stop_way[lane], token])
    status = ENDED if code == ENDS else RUNNING
    q = int(lanes.table[lane])
    if q >= 0 and status == RUNNING:
        tables = lanes.tables
        at_class, at_next, at_state, num_classes, _ = tables.directory[q].tolist()
        token_class = int(tables.token_class.view(-1)[at_class + token]) & 0xFFFF
        state = int(tables.next[at_next + int(lanes.states[lane]) * num_classes + token_class])
        lanes.states[lane] = max(state, 0)
        status = int(tables.after[at_state + state]) if state >= 0 else ENDED  # nothing was allowed
    if count + 1 >= int(lanes.max_tokens[lane]) and status in (RUNNING, FORCED):
        status = FULL
    if code == MAY_STOP and int(lanes.may_stop[lane]) == 0:
        lanes.may_stop[lane] = count + 1
    lanes.sampled[lane, count] = token
    lanes.tokens[lane] = token
    lanes.counts[lane] += 1
    lanes.positions[lane] += 1
    lanes.status[lane] = status


def bytes_moved(R: int, V: int, *, is_filtered: bool) -> int:
    """Bytes that one call reads at least, masks and tables aside, which stay in the caches."""
    return R * V * 4 * (5 if is_filtered else 1)
