"""What follows from a gen's newest token: nothing, forced text after it, or the gen's end.

Law: it follows from the gen's tokens and its constraint alone, whichever engine sampled them.
Knows nothing of lanes, steps and KV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sglc.ir.host.regex import SearchFailed
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.request import TokenLogprob
from sglc.runtime.engine.stop import Kept, find_stop, keep
from sglc.runtime.engine.walk import Ended, Forced
from sglc.runtime.model.spec import Tokenizer


@dataclass(frozen=True, slots=True)
class Finished:
    """A gen that is over. `tokens` are all generated ones; the first `kept.num_tokens` stay. With a
    `failure`, which says why, it has no answer."""

    job: GenJob
    tokens: list[int]
    kept: Kept
    finish_reason: str = "stop"
    logprobs: tuple[TokenLogprob, ...] = ()
    failure: str | None = None


@dataclass(slots=True)
class Left:
    """Gens that leave the batch: over, or with forced tokens added at the end of the job's, and
    how many of the job's have KV."""

    over: list[Finished] = field(default_factory=list)
    forced: list[tuple[GenJob, int]] = field(default_factory=list)


class LastTokens:
    """Also keeps what gens report of their tokens until they are over."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.token_bytes = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
        self._logprobs: dict[GenJob, list[TokenLogprob]] = {}

    def note(self, job: GenJob, reports: Sequence[TokenLogprob]) -> None:
        """The next tokens of `job` report their log-probabilities."""
        self._logprobs.setdefault(job, []).extend(reports)

    def forget(self, job: GenJob) -> None:
        self._logprobs.pop(job, None)

    def look(
        self,
        job: GenJob,
        tokens: list[int],
        left: Left,
        *,
        ends: bool,
        may_stop: bool,
        stands: bool = False,
    ) -> None:
        """`job` has `tokens`, the last of them new: note it in `left` if it leaves the batch. The
        last one `ends` the gen, as EOS and stop ids do, or `may_stop` it, completing a stop text.
        Where the lane `stands`, it took no step beyond this token, since text may be forced."""
        pieces = [self.token_bytes[token] for token in tokens]
        reason = "stop"
        ended: Ended | None = None
        if ends:
            pieces.pop()
            ended = Ended()
        elif job.walk is not None:
            step = job.walk.look(b"".join(pieces), job.growth - len(tokens))
            if isinstance(step, Forced) or (step is None and stands):
                # a lane that stands starts again, whether the text has room or not
                job.force(tokens, () if step is None else step.ids)
                left.forced.append((job, len(tokens) - 1))
                return
            ended = step
        elif may_stop:
            try:
                stop_at = find_stop(pieces, job.gen.sampling)
            except SearchFailed as failed:
                left.over.append(
                    Finished(job, tokens, keep(pieces, None), failure=f"stop_regex: {failed}")
                )
                return
            ended = None if stop_at is None else Ended(stop_at)
        if ended is None:
            if len(tokens) < job.growth:
                return
            # the budget of a constrained gen ends where its value is whole
            reason = "length" if job.walk is None else "stop"
            ended = Ended()
        kept = keep(pieces, ended.end, ended.completion)
        logprobs = self._logprobs.pop(job, [])[: kept.num_tokens]
        left.over.append(Finished(job, tokens, kept, reason, tuple(logprobs)))
