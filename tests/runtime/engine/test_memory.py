"""Slots: no two live extents overlap, nothing is lost, nothing fails while there is room."""

from __future__ import annotations

import random

import pytest
import torch

from sglc.kernels.tree_attention import BLOCK
from sglc.runtime.engine.memory import Extent, KVPool, SlotAllocator, slots_for
from sglc.runtime.model.errors import ModelError
from sglc.runtime.models.device import free_bytes


@pytest.mark.parametrize("seed", range(20))
def test_random_use(seed) -> None:
    rng = random.Random(seed)
    slots = SlotAllocator(1000)
    owner = [None] * 1000
    live: list[list[Extent]] = []
    for turn in range(400):
        if rng.random() < 0.55 and slots.num_free:
            count = rng.randint(1, min(rng.choice([3, 40, 1000]), slots.num_free))
            extents = slots.allocate(count)
            assert sum(extent.num_tokens for extent in extents) == count
            for extent in extents:
                for slot in range(extent.slot, extent.end):
                    assert owner[slot] is None
                    owner[slot] = turn
            live.append(extents)
        elif live:
            extents = live.pop(rng.randrange(len(live)))
            slots.free(extents)
            for extent in extents:
                owner[extent.slot : extent.end] = [None] * extent.num_tokens
        assert slots.num_used == sum(place is not None for place in owner)
    for extents in live:
        slots.free(extents)
    # what was freed has grown together again
    assert slots.allocate(1000) == [Extent(0, 1000)]


def test_starts_a_block_where_there_is_room() -> None:
    slots = SlotAllocator(4 * BLOCK)
    assert slots.allocate(5) == [Extent(0, 5)]
    assert slots.allocate(BLOCK) == [Extent(BLOCK, BLOCK)]
    assert slots.allocate(2 * BLOCK - 1) == [Extent(2 * BLOCK, 2 * BLOCK - 1)]
    # no whole block is free any more
    assert slots.allocate(BLOCK - 5) == [Extent(5, BLOCK - 5)]


def test_cuts_where_nothing_is_long_enough() -> None:
    slots = SlotAllocator(100)
    first, _, last = (slots.allocate(n)[0] for n in (30, 40, 30))
    slots.free([first])
    slots.free([last])
    assert sum(extent.num_tokens for extent in slots.allocate(55)) == 55


def test_a_pool_holds_finite_values_only() -> None:
    pool = KVPool(40, 1, 2, 4, torch.float32, torch.device("cpu"))
    bad = torch.full((2, 2, 4), float("nan"))
    pool.write(0, torch.tensor([3, 5]), bad, bad)
    assert pool.v[0].isfinite().all()
    assert pool.k[0].shape == (64, 2, 4) and pool.scratch == 40


def test_kv_memory_is_in_bytes() -> None:
    assert slots_for(1000, 96, room=5000) == 10
    assert slots_for(None, 96, room=5000) == 2000 // 96
    assert slots_for(None, 1 << 20, free_bytes(torch.device("cpu"))) > 10
    assert slots_for(500, 1000, room=5000) == 0  # each row is told what it needs
    with pytest.raises(ModelError, match=r"400\.0 GB .* asked for, but only 64\.0 GB .* give less"):
        slots_for(400 * 10**9, 1000, room=64 * 10**9)
    with pytest.raises(ModelError, match=r"no memory left for KV .* smaller model"):
        slots_for(None, 1000, room=0)


def test_what_goes_on_from_a_slot_lies_behind_it() -> None:
    slots = SlotAllocator(1024)
    [first] = slots.allocate(128)
    [second] = slots.allocate(64)
    slots.free([Extent(first.slot + 40, 88)])
    assert slots.allocate(60, after=40) == [Extent(40, 60)]
    slots.free([Extent(40, 60)])
    behind, elsewhere = slots.allocate(89, after=40)
    assert behind == Extent(40, 88) and elsewhere.slot >= second.end
    assert slots.num_used == 40 + 64 + 89
