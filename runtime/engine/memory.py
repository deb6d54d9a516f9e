"""KV memory: which slots are free, and the tensors behind them.

A slot holds one token's K and V in every layer. Extents are handed out lowest address first, so
that what is alive lies close together and a small run touches little memory, or far from each
other, so that a context can grow in one piece; when no free range is long enough a request is cut
into several extents, so fragmentation never fails a call.
Law: no two live extents overlap, and `num_used` is their sum. Knows nothing of tokens or requests.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sglc.kernels.tree_attention import BLOCK
from sglc.runtime.model.errors import ModelError

DEFAULT_SHARE = 0.4  # of the memory that is free when the engine starts


class Extent(NamedTuple):
    """Slots [slot, slot + num_tokens)."""

    slot: int
    num_tokens: int

    @property
    def end(self) -> int:
        return self.slot + self.num_tokens


class SlotAllocator:
    """The free slots among `num_slots`, as ranges sorted by address that never touch.

    Extents come lowest address first; or, if they are `spread`, from the middle of the longest
    range, so that each has room behind it for what goes on from it. That also takes no search.
    """

    def __init__(self, num_slots: int, *, spread: bool = False) -> None:
        self.num_slots = num_slots
        self.num_used = 0
        self.peak_used = 0
        self._spread = spread
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._by_len: list[tuple[int, int]] = []  # heap of (-length, start), outdated ones too
        if num_slots:
            self._add(0, 0, num_slots)

    @property
    def num_free(self) -> int:
        return self.num_slots - self.num_used

    def allocate(self, count: int, after: int = -1) -> list[Extent]:
        """`count` slots in as few extents as come easily: one from slot `after` on, else one
        anywhere (of the lowest, one that starts a block where there is room for it), else the
        longest ranges. Lowest first, what is free from `after` on is filled before the rest goes
        elsewhere. The caller made sure of room."""
        assert 0 < count <= self.num_free
        self.num_used += count
        self.peak_used = max(self.peak_used, self.num_used)
        taken: list[Extent] = []
        index = bisect_left(self._starts, after)
        if after in self._starts[index : index + 1]:
            room = self._ends[index] - after
            if room >= count:
                return [self._take(index, after, count)]
            if not self._spread:  # else a context's later blocks are all that much emptier
                taken.append(self._take(index, after, room))
                count -= room
        found, start = self._longest_middle(count) if self._spread else self._lowest(count)
        if found is not None:
            return [*taken, self._take(found, start, count)]
        while count:
            index = self._longest()
            part = min(count, self._ends[index] - self._starts[index])
            taken.append(self._take(index, self._starts[index], part))
            count -= part
        return taken

    def free(self, extents: Iterable[Extent]) -> None:
        for slot, count in extents:
            self.num_used -= count
            begin, end = slot, slot + count
            index = bisect_left(self._starts, slot)
            if index < len(self._starts) and self._starts[index] == end:
                _, end = self._remove(index)
            if index and self._ends[index - 1] == begin:
                index -= 1
                begin, _ = self._remove(index)
            self._add(index, begin, end)

    def _lowest(self, count: int) -> tuple[int | None, int]:
        """The lowest range with room for `count` slots from a block's start, else the lowest at
        all; and where to begin."""
        anywhere: int | None = None
        for index, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):
            if end - start < count:
                continue
            aligned = -(-start // BLOCK) * BLOCK
            if end - aligned >= count:
                return index, aligned
            if anywhere is None:
                anywhere = index
        return anywhere, 0 if anywhere is None else self._starts[anywhere]

    def _longest_middle(self, count: int) -> tuple[int | None, int]:
        """The longest range if it has room for `count` slots, and where to begin: half of the room
        stays with whom the range lies behind."""
        index = self._longest()
        start = self._starts[index]
        room = self._ends[index] - start - count
        return (index, start + room // 2 if start else 0) if room >= 0 else (None, 0)

    def _longest(self) -> int:
        while True:
            length, start = self._by_len[0]
            index = bisect_left(self._starts, start)
            if start in self._starts[index : index + 1] and start - self._ends[index] == length:
                return index
            heappop(self._by_len)

    def _take(self, index: int, slot: int, count: int) -> Extent:
        start, end = self._remove(index)
        if slot + count < end:
            self._add(index, slot + count, end)
        if start < slot:
            self._add(index, start, slot)
        return Extent(slot, count)

    def _add(self, index: int, start: int, end: int) -> None:
        self._starts.insert(index, start)
        self._ends.insert(index, end)
        heappush(self._by_len, (start - end, start))
        if len(self._by_len) > 4 * len(self._starts) + 64:  # mostly outdated
            ranges = zip(self._starts, self._ends, strict=True)
            self._by_len = sorted((start - end, start) for start, end in ranges)

    def _remove(self, index: int) -> tuple[int, int]:
        return self._starts.pop(index), self._ends.pop(index)


def cut(extents: list[Extent], count: int) -> list[Extent]:
    """Take the first `count` slots off `extents`, in place."""
    taken = []
    while count:
        slot, length = extents[0]
        part = min(length, count)
        taken.append(Extent(slot, part))
        if part == length:
            del extents[0]
        else:
            extents[0] = Extent(slot + part, length - part)
        count -= part
    return taken


class KVPool:
    """K and V of every layer, [N, K, D] each. Slot `scratch` is nobody's: rows that must not be
    kept go there. Both pools are always finite (`kernels/tree_attention.py` relies on it)."""

    def __init__(
        self,
        num_slots: int,
        num_layers: int,
        num_kv_heads: int,
        head_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.scratch = num_slots
        num_rows = (num_slots // BLOCK + 1) * BLOCK
        shape = (num_rows, num_kv_heads, head_size)
        self.k = [_zeros(shape, dtype, device) for _ in range(num_layers)]
        self.v = [_zeros(shape, dtype, device) for _ in range(num_layers)]

    def write(self, layer: int, slots: Tensor, k: Tensor, v: Tensor) -> None:
        """Keep rows k and v [T, K, D] at `slots` [T]."""
        self.k[layer].index_copy_(0, slots, k.nan_to_num(0.0, 0.0, 0.0))
        self.v[layer].index_copy_(0, slots, v.nan_to_num())


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros; on the CPU the pages are not touched until they are written."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    num_bytes = int(np.prod(shape)) * dtype.itemsize
    return torch.from_numpy(np.zeros(num_bytes, dtype=np.uint8)).view(dtype).view(shape)


def slots_for(
    kv_memory: int | None, bytes_per_slot: int, room: int, share: float = DEFAULT_SHARE
) -> int:
    """How many slots `kv_memory` bytes hold of the `room` bytes that can be had; None stands for a
    share of them. Raises ModelError where that is more than there is, or nothing."""
    slots = (int(room * share) if kv_memory is None else kv_memory) // bytes_per_slot
    if kv_memory is not None and kv_memory > room:
        raise ModelError(
            f"{kv_memory / 1e9:.1f} GB of KV memory were asked for, but only {room / 1e9:.1f} GB "
            "are free beside the model and what a step takes: give less --kv-memory, or none"
        )
    if kv_memory is None and not slots:
        raise ModelError(
            "the device has no memory left for KV beside the model and what a step takes: "
            "free some, or take a smaller model, or --device cpu"
        )
    return slots
