"""What is known of a batch of rows before it runs: plain numbers and names, for people and tools.

Tokens are counted as `request.EngineStats` counts them. Where gens may end early, what they write
is taken at its bound. Knows nothing about how the facts are found (`batch.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Tokens over the whole batch.

    `prompt` is what a system that shares nothing would prefill: each request's whole prefix.
    `prefilled` is what the plan prefills, `recomputed` of it; `least` is the size of the batch's
    trie, below which nobody comes who keeps no results: each distinct token prefix once. `decoded`,
    `scored` and `forced` are what gens sample, selects run, and constraints leave no choice about.
    """

    prompt: int
    prefilled: int
    least: int
    recomputed: int
    scored: int
    decoded: int
    forced: int


@dataclass(frozen=True, slots=True)
class KVFacts:
    """KV memory. `peak_tokens` is never exceeded while the batch runs; `rehearsed_tokens` is what
    it comes to if each gen is as long as its bound. `naive_tokens` is what the same schedule holds
    at its peak if each running request has a copy of its whole context. `budget_tokens` is how many
    fit in memory, None if that is not known."""

    peak_tokens: int
    rehearsed_tokens: int
    naive_tokens: int
    budget_tokens: int | None
    bytes_per_token: int

    @property
    def peak_bytes(self) -> int:
        return self.peak_tokens * self.bytes_per_token

    @property
    def naive_bytes(self) -> int:
        return self.naive_tokens * self.bytes_per_token


@dataclass(frozen=True, slots=True)
class RowKV:
    """The most KV tokens of one row alone, as a sum: `const_tokens`, a term for each use of an
    input's (or a generated value's) text, and max_tokens of the gens in between.

    `inputs` are (name, how often its text stands in the row's contexts); `gens` are (name, most
    tokens; None where the row decides), a gen in a loop or fork once. `is_exact` is false where
    the program loops, forks or branches by values, so that the sum is of one path only."""

    const_tokens: int
    inputs: tuple[tuple[str, int], ...]
    gens: tuple[tuple[str, int | None], ...]
    is_exact: bool

    def __str__(self) -> str:
        terms = [f"{self.const_tokens:,}"]
        terms += [f"len({name})" if n == 1 else f"{n} len({name})" for name, n in self.inputs]
        terms += [f"max_tokens({n})" if most is None else f"{most:,}" for n, most in self.gens]
        return " + ".join(terms)


@dataclass(frozen=True, slots=True)
class TrieNode:
    """What stands in one place of the program, over all rows: a run of tokens below its parent.

    `parent` is an index into the trie's nodes, smaller than the node's own; -1: below the root.
    `kind` is "const" (the same in all rows), "input" (it differs), "gen" or "choice" (of a select);
    `name` is the gen's or select's. `tokens` is the length of one copy (a mean where copies differ;
    of a gen its bound), `copies` how many distinct ones there are in the batch (0 if each is one of
    another place's), `sharers` how many requests have one before them (or are it). `text` is the
    beginning of an example. `place` is the place in program order of the first request that it
    leads to: equal in all rows."""

    parent: int
    kind: str
    name: str
    tokens: float
    copies: int
    sharers: int
    text: str
    place: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step. `prefill_tokens` (of which `recomputed_tokens` were known before), `scored_tokens`
    and `decode_rows` go through the model; `logit_rows` yield logits. They read `read_tokens` of
    KV, a token that many of them see counting once, as `seen_tokens` tells how often they see one.
    `kv_tokens` slots are in use; `evicted_tokens` made room."""

    prefill_tokens: int
    recomputed_tokens: int
    scored_tokens: int
    decode_rows: int
    logit_rows: int
    read_tokens: int
    seen_tokens: int
    kv_tokens: int
    evicted_tokens: int

    @property
    def num_rows(self) -> int:
        """Rows that go through the model."""
        return self.prefill_tokens + self.scored_tokens + self.decode_rows


@dataclass(frozen=True, slots=True)
class Seconds:
    """Predicted time by phase. `prefill` and `decode` are the model's over prompt tokens and over
    one token a running gen, attention included; `sampling` is from logits to tokens; `host` is
    everything else."""

    prefill: float
    decode: float
    sampling: float
    host: float

    @property
    def total(self) -> float:
        return self.prefill + self.decode + self.sampling + self.host


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """`num_failed` rows fail before or while they are rehearsed; `lengths_are_known` says that each
    gen writes exactly its bound, so that all counts are those of the run. `requests` are gens and
    selects that run, `merged_requests` those answered by an equal one. `seconds` is None where the
    device was not calibrated. `planning_seconds` is what finding all this took."""

    rows: int
    num_failed: int
    requests: int
    merged_requests: int
    lengths_are_known: bool
    tokens: TokenFacts
    kv: KVFacts
    row_kv: RowKV
    trie: tuple[TrieNode, ...]
    steps: tuple[StepFacts, ...]
    seconds: Seconds | None
    planning_seconds: float
