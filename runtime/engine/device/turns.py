"""Whose turn it is: a prefill step, or a decode step of the gens that run.

A prefill holds the running gens up by a step; gens that wait leave their place in the decode steps
empty. What fills a step well goes at once. A few short prompts wait for others, until what the
waiting has cost (places left empty, over the steps) is what a prefill step costs (a step of every
gen): the rule that is never more than twice as dear as knowing when the others come.
"""

from __future__ import annotations

from sglc.runtime.engine.job import Job
from sglc.runtime.engine.tree import Node

FULL_STEP = 2048  # prompt tokens from which a prefill is bound by arithmetic, not by the weights
MOST_STEPS = 16  # decode steps that a prompt waits at most


class Turns:
    def __init__(self, step_tokens: int) -> None:
        self._full_step = min(FULL_STEP, step_tokens)
        self._num_pending = 0  # prompt tokens that wait, about
        self._counted: dict[Node, int] = {}  # how many of a node's tokens were, for all jobs below
        self._cost = 0  # of waiting so far, in places left empty
        self._num_steps = 0  # decode steps since the last prefill

    def add(self, job: Job) -> None:
        """`job` was admitted, or has more text to run."""
        self._num_pending += 1
        for node in job.prompt():
            known = max(node.num_computed, self._counted.get(node, 0))
            if len(node.tokens) > known:
                self._num_pending += len(node.tokens) - known
                self._counted[node] = len(node.tokens)

    def is_prefill_due(self, num_waiting: int, num_running: int) -> bool:
        return (
            not num_running
            or self._num_pending >= self._full_step
            or self._cost >= num_running + num_waiting
            or self._num_steps >= MOST_STEPS
        )

    def note_prefill(self, num_tokens: int, num_waiting: int) -> None:
        """A prefill was launched, which left so many jobs with more to run."""
        self._num_pending = max(0, self._num_pending - num_tokens) if num_waiting else 0
        if not num_waiting:
            self._counted.clear()
        self._cost = self._num_steps = 0

    def note_decode(self, num_waiting: int) -> None:
        """A decode step was launched while so many gens waited."""
        self._cost += num_waiting
        self._num_steps = self._num_steps + 1 if num_waiting else 0
