"""A submitted request on its way: where it ends in the tree, and what it holds while admitted."""

from __future__ import annotations

from sglc.runtime.engine.choices import Choices
from sglc.runtime.engine.request import GenRequest, Request, ScoreRequest
from sglc.runtime.engine.tree import Handle, Node


class Job:
    """`handle` is the prefix that is run (never empty). `growth` is how many slots it may fill
    beyond the nodes that it names."""

    growth = 0

    def __init__(self, request: Request, handle: Handle) -> None:
        self.request = request
        self.handle = handle
        self.order = request.order
        self.is_admitted = False

    @property
    def node(self) -> Node:
        return self.handle.node

    def nodes(self) -> list[Node]:
        """All nodes that must be in memory, parents first."""
        return self.node.path()


class GenJob(Job):
    """`tail` is the node of the generated tokens, while the job is admitted; `lane` its place in
    the running batch, once the first token is sampled."""

    def __init__(self, request: GenRequest, handle: Handle) -> None:
        super().__init__(request, handle)
        self.gen = request
        self.growth = request.sampling.max_tokens
        self.tail: Node | None = None
        self.lane = -1


class ScoreJob(Job):
    """`ends` are the prefix extended by each choice. `unconditional` are the known values of
    choices after the start token alone; the job that finds the others has this one as its `outer`,
    and is this one's `inner` until it is done."""

    def __init__(self, request: ScoreRequest, handle: Handle, ends: list[Handle]) -> None:
        super().__init__(request, handle)
        self.score = request
        self.ends = ends
        self.choices = Choices(request.choices)
        self.unconditional: dict[tuple[int, ...], tuple[float, ...]] = {}
        self.outer: ScoreJob | None = None
        self.inner: ScoreJob | None = None

    def choice_nodes(self) -> list[Node]:
        """The nodes below the prefix, parents first, each once."""
        nodes: dict[Node, None] = {}
        for end in self.ends:
            nodes.update(dict.fromkeys(n for n in end.node.path() if n.start >= self.node.end))
        return list(nodes)

    def nodes(self) -> list[Node]:
        return self.node.path() + self.choice_nodes()
