"""A submitted request on its way: where it ends in the tree, and what it holds while admitted."""

from __future__ import annotations

from collections.abc import Sequence

from sglc.runtime.engine.choices import Choices
from sglc.runtime.engine.request import GenRequest, Request, ScoreRequest
from sglc.runtime.engine.tree import Handle, Node
from sglc.runtime.engine.walk import Ended, Forced, Walk


class Job:
    """`handle` is the prefix that is run (never empty): the request's, or its start, or a copy that
    this job alone has. `growth` is how many slots it may fill beyond the nodes that it names."""

    growth = 0

    def __init__(self, request: Request, handle: Handle) -> None:
        self.request = request
        self.handle = handle
        self.order = request.order
        self.is_admitted = False

    @property
    def node(self) -> Node:
        return self.handle.node

    @property
    def is_copy(self) -> bool:
        """Nothing that the job computes is for others."""
        return self.handle.node.is_private and not self.handle.node.is_generated

    def nodes(self) -> list[Node]:
        """All nodes that must be in memory, parents first."""
        return self.node.path()

    def prompt(self) -> list[Node]:
        """The nodes that are run before the job's own business, parents first."""
        return self.node.path()


class GenJob(Job):
    """`tail` is the node of the generated tokens, while the job is admitted; `lane` its place in
    the running batch, or -1 while its prompt is run.

    `tokens` are those generated when it last was in no lane: the forced ones at their end are a
    part of the prompt, `forced` are the places of all forced ones, and the log-probabilities of
    the last `num_unreported` are wanted. `walk` is where a constrained gen is in its
    constraint."""

    def __init__(self, request: GenRequest, handle: Handle, walk: Walk | None = None) -> None:
        super().__init__(request, handle)
        self.gen = request
        self.growth = request.sampling.max_tokens
        if walk is not None and walk.most_tokens is not None:
            self.growth = min(self.growth, walk.most_tokens)
        self.tail: Node | None = None
        self.lane = -1
        self.tokens: list[int] = []
        self.forced: list[int] = []
        self.num_unreported = 0
        self.walk = walk

    def begin(self) -> str | None:
        """Look what stands fixed at the start: the text of a gen that is over before its first
        token is sampled, else None."""
        step = None if self.walk is None else self.walk.look(b"", self.growth)
        if isinstance(step, Forced):
            self.force([], step.ids)
        if isinstance(step, Ended):
            return step.completion
        # a value for which there is no token left is whole already
        return None if self.growth else ""

    def force(self, tokens: list[int], ids: Sequence[int]) -> None:
        """`tokens` are generated, and `ids` come next without sampling."""
        self.forced += range(len(tokens), len(tokens) + len(ids))
        self.tokens = [*tokens, *ids]
        self.num_unreported = 0 if self.gen.sampling.logprobs is None else len(ids)

    def prompt(self) -> list[Node]:
        path = self.node.path()
        return [*path, self.tail] if self.tail is not None and self.tokens else path


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
