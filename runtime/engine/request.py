"""What the machine asks of an engine, and what comes back.

A `Prefix` is the engine's side of a context: a place in its tree of token extents. Prefixes are
values: extending one yields another and leaves the first as it was; nothing is computed until a
request needs it, and KV that no live prefix leads to is freed.
Law: the engine deals in token ids, seeds and numbers only; roles, types and rows are unknown to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sglc.codegen.automata.constraint import Constraint

if TYPE_CHECKING:
    from sglc.runtime.engine.outlook import Outlook


class Prefix(Protocol):
    """A handle on a sequence of settled tokens. Dropping the last reference frees what only it
    held; a weak reference is none."""

    @property
    def num_tokens(self) -> int: ...

    def token_ids(self) -> list[int]:
        """All tokens from the start (for tests and traces; walks the tree)."""
        ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """Options of one gen, validated. Meanings and defaults are `compiler/LANGUAGE.md`'s.

    `stop` are texts; `logit_bias` is (token id, bias) pairs; `logprobs` is the number of
    alternatives to report a token, None for no report, 0 for the sampled token alone.
    """

    max_tokens: int = 128
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    stop_regex: tuple[str, ...] = ()
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    allows_thinking: bool = False  # the model's thinking marks may be sampled

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0.0


@dataclass(frozen=True, slots=True, eq=False)
class GenRequest:
    """Generate after `prefix`. `seed` is 64 bits and alone decides the draws. `order` sorts
    requests: lower runs first where memory forces a choice (row, then program order). `name` is the
    author's name for the value, for `sglc.testing`; a real engine has no use for it.

    With a `constraint` the gen writes a whole value of it within max_tokens, which is at least the
    fewest tokens to its end. `written` is the part of lead + value that `prefix` ends with already.
    Text that the constraint forces is not sampled: it is appended, and counts in max_tokens."""

    prefix: Prefix
    sampling: Sampling
    seed: int
    order: tuple[int, ...] = ()
    name: str = ""
    constraint: Constraint | None = None
    written: bytes = b""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One generated token. `top` are the (id, log-probability) of the likeliest tokens, best first.
    Log-probabilities are of the model's distribution, before temperature and filters."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GenResult:
    """`prefix` ends after the kept tokens (rule 3 of the language: those that end at or before the
    stop, back to a character boundary); `rest` is the text between them and the stop, which starts
    the next stretch. `text` is all of the bound text: the kept tokens' text + rest.

    A constrained gen yields lead + value: a forced end of it is not in `prefix` but in `rest`, and
    what a token wrote of the follow text is in neither `text` nor `rest`. `num_forced` of
    `token_ids` were appended without sampling.

    finish_reason: "stop" (EOS, a stop text, regex or token id, the end of a value) or "length".
    """

    request: GenRequest
    prefix: Prefix
    text: str
    rest: str
    token_ids: tuple[int, ...]  # the kept tokens
    num_sampled: int  # kept or not
    finish_reason: str
    logprobs: tuple[TokenLogprob, ...] = ()
    num_forced: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRequest:
    """Score continuations of `prefix`: `choices` are token lists that all start right after it.

    Each distinct token prefix among the choices is run once. With `unconditional`, each choice's
    tokens are also scored with nothing before them but the start token (cached over the run).
    """

    prefix: Prefix
    choices: tuple[tuple[int, ...], ...]
    unconditional: bool = False
    order: tuple[int, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreResult:
    """`logprobs[i][j]` is log p(choices[i][j] | prefix, choices[i][:j]), natural log, fp32 softmax.
    `prefixes[i]` is the prefix extended by choices[i]; what scoring ran of it keeps its KV."""

    request: ScoreRequest
    logprobs: tuple[tuple[float, ...], ...]
    unconditional: tuple[tuple[float, ...], ...] | None
    prefixes: Sequence[Prefix]


@dataclass(frozen=True, slots=True, eq=False)
class RequestError:
    """The request cannot be served (too long for the model, or for the KV memory). `message` says
    what was needed and what there is; other requests go on."""

    request: GenRequest | ScoreRequest
    code: str
    message: str


Request = GenRequest | ScoreRequest
Result = GenResult | ScoreResult | RequestError


@dataclass(slots=True)
class EngineStats:
    """Counts since the start. Prompt tokens are the lengths of all prefixes asked for; prefilled
    are those that went through the model other than by decoding; recomputed are those of the
    prefilled that had been computed before and were evicted; scored those run only to score
    choices; repeated those run again, with their KV in memory, only for their logits. Forced tokens
    are those a constraint left no choice about: they count as prefilled, not as decoded.
    `requests` were asked for, one a sample; `merged_requests` were not, since an equal one was:
    these two are counted by who asks.

    `seconds` are by phase: dense, attention, masks, sampling, planning. `model_seconds` tell dense
    and attention by what ran: "prefill" and "decode" in steps that did nothing else, and "prefill,
    mixed" and "decode, mixed", the parts of other steps by their shares of the rows. Both have what
    an engine can tell."""

    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    recomputed_tokens: int = 0
    decoded_tokens: int = 0
    scored_tokens: int = 0
    repeated_tokens: int = 0
    forced_tokens: int = 0
    requests: int = 0
    merged_requests: int = 0
    steps: int = 0
    kv_tokens: int = 0  # slots in use at the end of the last step
    peak_kv_tokens: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    model_seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # sentences for people, each once

    def note_model(self, seconds: float, num_prefills: int, num_decodes: int) -> None:
        """A step ran the model over so many rows."""
        mixed = ", mixed" if num_prefills and num_decodes else ""
        for kind, rows in (("prefill", num_prefills), ("decode", num_decodes)):
            if rows:
                spent = seconds * rows / (num_prefills + num_decodes)
                name = kind + mixed
                self.model_seconds[name] = self.model_seconds.get(name, 0.0) + spent


class Engine(Protocol):
    """The step loop's other side. All calls come from one thread."""

    stats: EngineStats
    max_batch: int  # requests that run together

    @property
    def root(self) -> Prefix:
        """The empty prefix."""
        ...

    def expect(self, outlook: Outlook | None) -> None:
        """From now on requests are those of rows, whose course `outlook` tells (None: nobody knows
        it); their orders begin with the row's number. An engine may make use of it."""
        ...

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        """`prefix` + `tokens`. Shares the longest run of tokens that a live prefix already has
        there. Plans only: no computation."""
        ...

    def submit(self, request: Request) -> None: ...

    def cancel(self, request: Request) -> None:
        """Forget a submitted request; no result will come. Unknown requests are ignored."""
        ...

    def step(self) -> list[Result]:
        """One forward pass over whatever is most useful; the results that became complete."""
        ...

    @property
    def is_idle(self) -> bool:
        """No submitted request is unanswered."""
        ...
