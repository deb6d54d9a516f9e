"""Results of deterministic requests, remembered for the rows to come.

Law: a result that is taken from here is the one that the engine would give again. What is kept is
token ids, text and numbers; KV is not: a remembered result refers to its prefix weakly, and where
no row holds that any more, the prefix is made anew from the tokens and computed again if something
goes on from it. Only what is shared by all rows keeps its prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import overload
from weakref import ref

from sglc.runtime.engine.request import (
    Engine,
    GenRequest,
    GenResult,
    Prefix,
    Request,
    RequestError,
    Result,
    ScoreRequest,
    ScoreResult,
)
from sglc.runtime.machine.memory import Memory

MAX_BYTES = 64 << 20
# about what a CPython 3.12 process holds for an entry, a token or an alternative of one
_ENTRY_BYTES, _TOKEN_BYTES, _LOGPROB_BYTES = 1000, 36, 150

MergeKey = tuple[object, ...]
_Again = Callable[[Request], Result]


class Reuse:
    def __init__(self, engine: Engine, max_bytes: int = MAX_BYTES) -> None:
        self._engine = engine
        self._memory: Memory[_Again] = Memory(max_bytes)

    def find(self, key: MergeKey, request: Request) -> Result | None:
        """The answer to `request`, if one with its key was answered before."""
        again = self._memory.get(key)
        return None if again is None else again(request)

    def keep(self, key: MergeKey, result: Result, *, is_shared: bool) -> None:
        """Remember a result; errors are not."""
        match result:
            case GenResult():
                again: _Again = _KeptGen(self._engine, result, is_shared)
                num_alternatives = sum(1 + len(logprob.top) for logprob in result.logprobs)
                size = len(result.text) + _TOKEN_BYTES * len(result.token_ids)
                size += _LOGPROB_BYTES * num_alternatives
            case ScoreResult():
                again = _KeptScores(self._engine, result, is_shared)
                size = 3 * _TOKEN_BYTES * sum(map(len, result.logprobs))
            case RequestError():
                return
        self._memory.put(key, again, _ENTRY_BYTES + size, is_kept=is_shared)

    def clear(self) -> None:
        self._memory.clear()


class _KeptGen:
    """Answers requests as one was answered. `_result` has neither its request nor its prefix; the
    prefix of a shared gen lives as long as this, others as long as someone else needs them."""

    __slots__ = ("_engine", "_prefix", "_result", "_shared_prefix")

    def __init__(self, engine: Engine, result: GenResult, is_shared: bool) -> None:
        self._engine = engine
        self._shared_prefix = result.prefix if is_shared else None
        self._prefix = ref(result.prefix)
        request = replace(result.request, prefix=engine.root)
        self._result = replace(result, request=request, prefix=engine.root)

    def __call__(self, request: Request) -> Result:
        assert isinstance(request, GenRequest)
        prefix = self._prefix()
        if prefix is None:
            prefix = self._engine.extend(request.prefix, self._result.token_ids)
            self._prefix = ref(prefix)
        return replace(self._result, request=request, prefix=prefix)


class _KeptScores:
    """The same of a score request."""

    __slots__ = ("_engine", "_logprobs", "_shared_prefixes", "_unconditional")

    def __init__(self, engine: Engine, result: ScoreResult, is_shared: bool) -> None:
        self._engine = engine
        self._logprobs = result.logprobs
        self._unconditional = result.unconditional
        self._shared_prefixes = result.prefixes if is_shared else None

    def __call__(self, request: Request) -> Result:
        assert isinstance(request, ScoreRequest)
        prefixes = self._shared_prefixes or _Extended(self._engine, request)
        return ScoreResult(request, self._logprobs, self._unconditional, prefixes)


@dataclass(frozen=True, slots=True)
class _Extended(Sequence[Prefix]):
    """A request's prefix extended by each of its choices, made when it is looked at: one is."""

    engine: Engine
    request: ScoreRequest

    def __len__(self) -> int:
        return len(self.request.choices)

    @overload
    def __getitem__(self, index: int) -> Prefix: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Prefix]: ...
    def __getitem__(self, index: int | slice) -> Prefix | Sequence[Prefix]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return self.engine.extend(self.request.prefix, self.request.choices[index])
