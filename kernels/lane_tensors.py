"""What the device knows of every running gen, as arrays by lane, and the tables lanes share.

| letter | counts            | | letter | counts                            |
|---|---|---|---|---|
| N | lanes                  | | W | words of 32 bits that hold V bits      |
| L | most tokens of a gen   | | M, P, B, Q | masks, ways to stop, biases, tables |

The kernel finds them through `pointers`, a block on the device, so a captured graph goes on when a
tensor is replaced by a larger one: set the attribute, then `refresh`.
Law: the field order of `LaneTensors` and `ConstraintTables` is that of `struct Lanes` in
cuda/sample_step.cu.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RUNNING, ENDED, FULL, COMPLETE, FORCED = range(5)  # status of a lane
GOES_ON, ENDS, MAY_STOP = range(3)  # what a token does, in `stop_codes`
BITS = 32


class TableArrays(Protocol):
    """The part of a `TokenTable` that sampling needs."""

    @property
    def token_class(self) -> NDArray[np.uint16]: ...  # [V]
    @property
    def next(self) -> NDArray[np.int16]: ...  # [S, C]
    @property
    def is_final(self) -> NDArray[np.bool_]: ...  # [S]
    @property
    def distance(self) -> NDArray[np.int32]: ...  # [S]
    @property
    def reach(self) -> NDArray[np.int32]: ...  # [S]


@dataclass(slots=True)
class ConstraintTables:
    """Tables one after the other. `directory` [Q, 5] int64: where its classes, its transitions and
    its states begin, how many classes it has, and whether EOS may come at a final state.

    `after` tells what reaching a state means: RUNNING, COMPLETE or FORCED.
    """

    directory: Tensor  # [Q, 5] int64
    token_class: Tensor  # [Q, V or a little more] int16, the bits of uint16
    next: Tensor  # int16
    is_final: Tensor  # uint8
    distance: Tensor  # int32
    reach: Tensor  # int32
    after: Tensor  # int32

    @classmethod
    def pack(
        cls,
        tables: Sequence[TableArrays],
        after: Sequence[NDArray[np.int32]],
        may_end: Sequence[bool],
        device: torch.device,
        V: int = 0,
    ) -> ConstraintTables:
        """`after[q]` [S] and `may_end[q]` (EOS ends the value at a final state) of each table.
        Tokens from a table's own vocabulary up to the model's `V` are in class 0."""
        directory = np.zeros((max(len(tables), 1), 5), dtype=np.int64)
        # four classes are read at a time
        width = -(-max((V, *(table.token_class.size for table in tables))) // 4) * 4
        token_class = np.zeros((max(len(tables), 1), width), dtype=np.int16)
        at_next = at_state = 0
        for q, table in enumerate(tables):
            num_classes = table.next.shape[1]
            directory[q] = q * width, at_next, at_state, num_classes, may_end[q]
            token_class[q, : table.token_class.size] = table.token_class.view(np.int16)
            at_next += table.next.size
            at_state += len(table.is_final)

        def joined(parts: list[NDArray[np.generic]], dtype: np.dtype[np.generic]) -> Tensor:
            whole = np.concatenate([part.ravel() for part in parts] or [np.zeros(1)])
            return torch.from_numpy(whole.astype(dtype)).to(device)

        return cls(
            torch.from_numpy(directory).to(device),
            torch.from_numpy(token_class).to(device),
            joined([table.next for table in tables], np.dtype(np.int16)),
            joined([table.is_final for table in tables], np.dtype(np.uint8)),
            joined([table.distance for table in tables], np.dtype(np.int32)),
            joined([table.reach for table in tables], np.dtype(np.int32)),
            joined(list(after), np.dtype(np.int32)),
        )


@dataclass(slots=True)
class LaneTensors:
    """One value a lane unless a shape says otherwise; int32 unless a type does.

    The first part is what a step advances. `tokens` are the last sampled ones, the next inputs, and
    `positions` theirs. A lane whose `status` is not RUNNING stays as it is until the host sets it.
    `may_stop` is the count at the first token that MAY_STOP since the host last set it to 0.

    The second part are options: `temperature` 0 is greedy, `top_k` 0, `top_p` 1, `min_p` 0,
    `repetition` 1, `frequency` and `presence` 0 do nothing; `mask` and, below `min_tokens` tokens,
    `early_mask` are rows of `masks`, whose bits are tokens that are never sampled; `stop_way` is a
    row of `stop_codes`; biases [bias_start, bias_end) name each token once; `table` -1 is no
    constraint.
    """

    counts: Tensor
    positions: Tensor
    tokens: Tensor  # int64
    states: Tensor
    status: Tensor
    may_stop: Tensor
    sampled: Tensor  # [N, L]
    logprobs: Tensor  # [N, L] fp32

    seeds: Tensor  # int64
    temperature: Tensor  # fp32
    top_k: Tensor
    top_p: Tensor  # fp32
    min_p: Tensor  # fp32
    repetition: Tensor  # fp32
    frequency: Tensor  # fp32
    presence: Tensor  # fp32
    max_tokens: Tensor
    min_tokens: Tensor
    mask: Tensor
    early_mask: Tensor
    stop_way: Tensor
    bias_start: Tensor
    bias_end: Tensor
    table: Tensor

    masks: Tensor  # [M, W]
    eos: Tensor  # [W], bits
    stop_codes: Tensor  # [P, V] uint8
    bias_ids: Tensor  # [B]
    bias_values: Tensor  # [B] fp32
    tables: ConstraintTables

    pointers: Tensor  # int64, of all the above, then L

    @classmethod
    def new(cls, num_lanes: int, most_tokens: int, V: int, device: torch.device) -> LaneTensors:
        """Lanes that are greedy, unmasked and never stop before `most_tokens` tokens."""

        def full(value: float, dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.full((num_lanes,), value, dtype=dtype, device=device)

        def zeros(*shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        words = -(-V // BITS)
        lanes = cls(
            counts=full(0),
            positions=full(0),
            tokens=full(0, torch.int64),
            states=full(0),
            status=full(RUNNING),
            may_stop=full(0),
            sampled=zeros(num_lanes, most_tokens),
            logprobs=zeros(num_lanes, most_tokens, dtype=torch.float32),
            seeds=full(0, torch.int64),
            temperature=full(0, torch.float32),
            top_k=full(0),
            top_p=full(1, torch.float32),
            min_p=full(0, torch.float32),
            repetition=full(1, torch.float32),
            frequency=full(0, torch.float32),
            presence=full(0, torch.float32),
            max_tokens=full(most_tokens),
            min_tokens=full(0),
            mask=full(0),
            early_mask=full(0),
            stop_way=full(0),
            bias_start=full(0),
            bias_end=full(0),
            table=full(-1),
            masks=zeros(1, words),
            eos=zeros(words),
            stop_codes=zeros(1, V, dtype=torch.uint8),
            bias_ids=zeros(1),
            bias_values=zeros(1, dtype=torch.float32),
            tables=ConstraintTables.pack([], [], [], device),
            pointers=zeros(1, dtype=torch.int64),
        )
        lanes.pointers = zeros(len(lanes._addresses()), dtype=torch.int64)
        lanes.refresh()
        return lanes

    def refresh(self) -> None:
        """Tell the device where the tensors lie; after one of them was replaced. Work that was
        launched before keeps reading the old ones: they must live until it is done."""
        addresses = torch.tensor(self._addresses(), dtype=torch.int64)
        self.pointers.copy_(addresses)

    def _addresses(self) -> list[int]:
        addresses = []
        for field in fields(self):
            if field.name not in ("tables", "pointers"):
                addresses.append(getattr(self, field.name).data_ptr())
        addresses += [getattr(self.tables, field.name).data_ptr() for field in fields(self.tables)]
        return [*addresses, self.sampled.shape[1]]


def bit_mask(ids: Sequence[int], V: int) -> Tensor:
    """[W] int32 on the host with the bits of `ids` set: a row of `masks`, or `eos`."""
    bits = np.zeros(-(-V // BITS) * BITS, dtype=np.uint8)
    bits[list(ids)] = 1
    return torch.from_numpy(np.packbits(bits, bitorder="little").view(np.int32).copy())
