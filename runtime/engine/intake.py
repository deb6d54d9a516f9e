"""From a submitted request to a job, or to the error that says why it cannot be served."""

from __future__ import annotations

from sglc.runtime.engine.constrained import Constrained
from sglc.runtime.engine.job import GenJob, Job, ScoreJob
from sglc.runtime.engine.request import GenRequest, Request, RequestError, ScoreRequest
from sglc.runtime.engine.tree import Handle, Tree
from sglc.runtime.model.spec import Tokenizer


class Intake:
    """Knows what can be served: contexts of `context_len` tokens, memory for `num_slots`. Unless
    they `share`, each request gets a copy of its prefix."""

    def __init__(
        self,
        tree: Tree,
        tokenizer: Tokenizer,
        constrained: Constrained,
        context_len: int,
        num_slots: int,
        *,
        share: bool = True,
    ) -> None:
        self._share = share
        self._tree = tree
        self._constrained = constrained
        self._context_len = context_len
        self._num_slots = num_slots
        eos = min(tokenizer.eos_ids, default=None)
        self._start_token = tokenizer.bos_id if tokenizer.bos_id is not None else eos

    def start(self) -> Handle | None:
        """The prefix of a context with nothing in it: BOS, else EOS, else none."""
        if self._start_token is None:
            return None
        return self._tree.extend(self._tree.root, [self._start_token])

    def job(self, request: Request) -> Job | RequestError:
        assert isinstance(request.prefix, Handle)
        handle = request.prefix if request.prefix.num_tokens else self.start()
        is_unconditional = isinstance(request, ScoreRequest) and request.unconditional
        if handle is None or (is_unconditional and self.start() is None):
            message = "the model has neither a BOS nor an EOS token to start an empty context with"
            return RequestError(request, "no_start_token", message)
        if not self._share:
            handle = self._tree.copy(handle.node)
        if isinstance(request, GenRequest):
            return self._gen(request, handle)
        return self._score(request, handle)

    def _gen(self, request: GenRequest, handle: Handle) -> GenJob | RequestError:
        have, most = handle.num_tokens, request.sampling.max_tokens
        what = f"the context of {have} tokens and max_tokens={most}"
        refusal = self._refusal(request, what, have + most, have + most)
        if refusal is not None:
            return refusal
        walk = self._constrained.walk(request)
        if walk is not None and walk.fewest_tokens > most:
            message = f"max_tokens={most}, but the shortest value takes {walk.fewest_tokens} tokens"
            return RequestError(request, "budget_too_small", message)
        return GenJob(request, handle, walk)

    def _score(self, request: ScoreRequest, handle: Handle) -> ScoreJob | RequestError:
        ends = [self._tree.extend(handle.node, choice) for choice in request.choices]
        job = ScoreJob(request, handle, ends)
        longest = max((end.num_tokens for end in ends), default=handle.num_tokens)
        needed = sum(len(node.tokens) for node in job.nodes())
        what = f"the context of {handle.num_tokens} tokens and {len(ends)} choices"
        return self._refusal(request, what, longest, needed) or job

    def _refusal(
        self, request: Request, what: str, length: int, num_slots: int
    ) -> RequestError | None:
        if length > self._context_len:
            message = f"{what} make {length} tokens, but the model takes {self._context_len}"
            return RequestError(request, "context_too_long", message)
        if num_slots > self._num_slots:
            message = (
                f"{what} need KV memory for {num_slots} tokens, but it holds {self._num_slots}: "
                "give more --kv-memory"
            )
            return RequestError(request, "kv_memory_too_small", message)
        return None
