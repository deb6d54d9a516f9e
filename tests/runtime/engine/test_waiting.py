"""The waiting queue holds what waits, and nothing of what does not."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from sglc.runtime.engine.waiting import WaitingQueue


def chain(depth: int, root: SimpleNamespace) -> SimpleNamespace:
    node = root
    for _ in range(depth):
        node = SimpleNamespace(parent=node, waiting=[])
    return node


@pytest.mark.parametrize("seed", range(5))
def test_heaps_do_not_grow_with_the_run(seed: int) -> None:
    """A window of jobs waits at any time; thousands pass through, and the root outlives all."""
    rng = random.Random(seed)
    root = SimpleNamespace(parent=None, waiting=[])
    shared = chain(1, root)
    queue = WaitingQueue(root)
    for number in range(2000):
        node = chain(rng.randint(1, 3), rng.choice((root, shared)))
        queue.push(Job(node=node, order=(number,)))
        if number >= 8:
            queue.take(queue.peek())
        assert len(root.waiting) <= 64
        assert len(shared.waiting) <= 64
    while (job := queue.peek()) is not None:
        queue.take(job)
    assert not root.waiting
    assert not shared.waiting


class Job(SimpleNamespace):
    """A job: hashed by identity."""

    __hash__ = object.__hash__
