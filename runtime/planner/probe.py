"""What stands before the first request of each row, found without a model or a tokenizer.

Rows run in a machine of their own, on an engine that never answers, up to their first gen or
select. A text that stands before it is one token, which stands for its bytes: where two rows have
beginnings in common in bytes they have them in tokens, and that is all that is asked here.
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

MOST = 1 << 13  # bytes of a beginning that are looked at


def beginnings(plan: Plan, spec: ModelSpec, rows: Iterable[BoundRow]) -> dict[int, bytes]:
    """The beginning of each row by its index, as bytes that start alike where the rows do; rows
    that do not come to a request are left out. The plan has no externs."""
    assert not plan.externs, "an extern is not to be called twice"
    tokenizer = _TextTokenizer(spec.tokenizer)
    engine = _Deaf()
    alone = replace(spec, tokenizer=tokenizer)
    machine = Machine(replace(plan, reuses_results=False), alone, engine)
    for row in rows:
        machine.start(row)
    machine.step()
    found = {
        index: tokenizer.spelled(prefix.token_ids())[:MOST]
        for index, prefix in engine.prefixes.items()
    }
    machine.close()
    return found


class _TextTokenizer:
    """The model's tokenizer, but that texts that go to the model are one token each, with ids
    behind the model's; and where the program itself counts tokens, or cuts by them, bytes are the
    tokens."""

    def __init__(self, real: Tokenizer) -> None:
        self._real = real
        self._ids: dict[str, int] = {}
        self._texts: list[bytes] = []
        self.vocab_size = real.vocab_size
        self.eos_ids = real.eos_ids
        self.bos_id = real.bos_id
        self.control_ids = real.control_ids

    def control_id(self, name: str) -> int | None:
        return self._real.control_id(name)

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8", "replace"))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [[self._id(text)] for text in texts]

    def _id(self, text: str) -> int:
        id = self._ids.get(text)
        if id is None:
            id = self._ids[text] = self.vocab_size + len(self._texts)
            self._texts.append(text[:MOST].encode("utf-8", "replace"))
        return id

    def spelled(self, ids: Iterable[int]) -> bytes:
        """Texts as they are; of other tokens (control tokens, the plan's constants) the low byte.
        Two of those may then look alike: that costs nothing but an order that is not the best."""
        first = self.vocab_size
        return b"".join(
            [self._texts[id - first] if id >= first else bytes((id & 255,)) for id in ids]
        )

    def stable_len(self, text: str) -> int:
        return len(text)

    def token_bytes(self, token_id: int) -> bytes:
        return self._real.token_bytes(token_id)

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(id & 255 for id in ids).decode("utf-8", "replace")

    def spell(self, ids: Sequence[int]) -> str:
        return self.decode(ids)


class _Tokens:
    """A prefix: some tokens after others."""

    __slots__ = ("__weakref__", "before", "num_tokens", "tokens")

    def __init__(self, before: _Tokens | None, tokens: Sequence[int]) -> None:
        self.before = before
        self.tokens = tokens
        self.num_tokens: int = len(tokens) + (before.num_tokens if before else 0)

    def token_ids(self) -> list[int]:
        return [*(self.before.token_ids() if self.before else ()), *self.tokens]


class _Deaf:
    """An engine that takes requests and answers none; `prefixes` are those of each row's first."""

    def __init__(self) -> None:
        self.stats = EngineStats()
        self.max_batch = 1
        self.root = _Tokens(None, ())
        self.prefixes: dict[int, _Tokens] = {}

    @property
    def is_idle(self) -> bool:
        return False

    def expect(self, outlook: Outlook | None) -> None:
        pass

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> Prefix:
        assert isinstance(prefix, _Tokens)
        return _Tokens(prefix, tokens)

    def submit(self, request: Request) -> None:
        assert isinstance(request.prefix, _Tokens)
        self.prefixes.setdefault(request.order[0], request.prefix)

    def cancel(self, request: Request) -> None:
        pass  # it would never have been answered

    def step(self) -> list[Result]:
        return []
