"""What stands before the first request of each row, found without a model or a tokenizer.

Rows run in a machine of their own, on an engine that never answers, up to their first gen or
select. Text counts a byte as a token: where two rows have beginnings in common in bytes they have
them in tokens, and that is all that is asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sglc.codegen.plan import Plan
from sglc.runtime.engine.outlook import Outlook
from sglc.runtime.engine.request import EngineStats, Prefix, Request, Result
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec, Tokenizer
from sglc.runtime.row import BoundRow

MOST = 1 << 13  # tokens of a beginning that are looked at


def beginnings(plan: Plan, spec: ModelSpec, rows: Iterable[BoundRow]) -> dict[int, bytes]:
    """The beginning of each row by its index, as bytes that start alike where the rows do; rows
    that do not come to a request are left out. The plan has no externs."""
    assert not plan.externs, "an extern is not to be called twice"
    engine = _Deaf()
    alone = replace(spec, tokenizer=_ByteTokenizer(spec.tokenizer))
    machine = Machine(replace(plan, reuses_results=False), alone, engine)
    for row in rows:
        machine.start(row)
    machine.step()
    found = {index: prefix.beginning() for index, prefix in engine.prefixes.items()}
    machine.close()
    return found


class _ByteTokenizer:
    """The model's tokenizer, but that text becomes its bytes."""

    def __init__(self, real: Tokenizer) -> None:
        self._real = real
        self.vocab_size = real.vocab_size
        self.eos_ids = real.eos_ids
        self.bos_id = real.bos_id
        self.control_ids = real.control_ids

    def control_id(self, name: str) -> int | None:
        return self._real.control_id(name)

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8", "replace"))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def stable_len(self, text: str) -> int:
        return len(text)

    def token_bytes(self, token_id: int) -> bytes:
        return self._real.token_bytes(token_id)

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(id & 255 for id in ids).decode("utf-8", "replace")

    def spell(self, ids: Sequence[int]) -> str:
        return self.decode(ids)


class _Text:
    """A prefix: some tokens after others, a byte each."""

    __slots__ = ("__weakref__", "before", "num_tokens", "tokens")

    def __init__(self, before: _Text | None, tokens: Sequence[int]) -> None:
        self.before = before
        self.tokens = _low_bytes(tokens)
        self.num_tokens: int = len(tokens) + (before.num_tokens if before else 0)

    def beginning(self) -> bytes:
        before = self.before.beginning() if self.before else b""
        return (before + self.tokens)[:MOST]

    def token_ids(self) -> list[int]:
        return list(self.beginning())


class _Deaf:
    """An engine that takes requests and answers none; `prefixes` are those of each row's first."""

    def __init__(self) -> None:
        self.stats = EngineStats()
        self.max_batch = 1
        self.root = _Text(None, ())
        self.prefixes: dict[int, _Text] = {}

    @property
    def is_idle(self) -> bool:
        return False

    def expect(self, outlook: Outlook | None) -> None:
        pass

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        assert isinstance(prefix, _Text)
        return _Text(prefix, tokens)

    def submit(self, request: Request) -> None:
        assert isinstance(request.prefix, _Text)
        self.prefixes.setdefault(request.order[0], request.prefix)

    def cancel(self, request: Request) -> None:
        pass  # it would never have been answered

    def step(self) -> list[Result]:
        return []


def _low_bytes(tokens: Sequence[int]) -> bytes:
    """Control tokens and the plan's constants have ids above 255. Two ids may then look alike: that
    costs nothing but an order that is not the best."""
    try:
        return bytes(tokens)
    except ValueError:
        return bytes([token & 255 for token in tokens])
