"""Stand-ins for the machine's surroundings: a tokenizer that merges, an engine that answers in
random order, and a way to write plans by hand (with `plan_code.py`, made importable here)."""

from __future__ import annotations

import hashlib
import random
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sglc import testing
from sglc.codegen import instruction as p
from sglc.codegen.plan import LengthBounds, Markup, ModelIdentity, Param, Plan
from sglc.runtime.engine.request import (
    EngineStats,
    GenRequest,
    GenResult,
    RequestError,
    ScoreResult,
    TokenLogprob,
)
from sglc.runtime.machine.machine import Machine
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow

sys.path.insert(0, str(Path(__file__).parent))

WORDS = [
    "ab",
    "abc",
    "bc",
    "  ",
    "\n\n",
    "e:",
    "e: A",
    " A",
    " B",
    "er",
    "user\n",
    "\nG",
    "aaa",
    "éx",
]
CONTROLS = ["<s>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<x>"]


class GreedyTokenizer:
    """Longest match first over WORDS and the bytes: which token a character falls into depends on
    what follows it, so encoding in parts differs from encoding the whole."""

    def __init__(self) -> None:
        self._pieces = [bytes([b]) for b in range(256)] + [word.encode() for word in WORDS]
        self._ids = {piece: i for i, piece in enumerate(self._pieces)}
        self._longest = max(map(len, self._pieces))
        self.vocab_size = len(self._pieces) + len(CONTROLS)
        self.bos_id = None
        self.eos_ids = frozenset({self._control("<|im_end|>")})
        self.control_ids = frozenset(range(len(self._pieces), self.vocab_size))
        self.num_encoded = 0  # characters, ever

    def _control(self, name: str) -> int:
        return len(self._pieces) + CONTROLS.index(name)

    def control_id(self, name: str) -> int | None:
        return self._control(name) if name in CONTROLS else None

    def encode(self, text: str) -> list[int]:
        self.num_encoded += len(text)
        return [token_id for _, token_id in self._tokens(text.encode())]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def _tokens(self, data: bytes) -> list[tuple[int, int]]:
        found, at = [], 0
        while at < len(data):
            size = self._longest
            while data[at : at + size] not in self._ids:
                size -= 1
            found.append((at, self._ids[data[at : at + size]]))
            at += len(data[at : at + size])
        return found

    def stable_len(self, text: str) -> int:
        data = text.encode()
        stable = 0
        for at, _ in self._tokens(data):  # a token is fixed once all bytes it could take are there
            try:
                stable = len(data[:at].decode())
            except UnicodeDecodeError:
                continue
            if at + self._longest > len(data):
                break
        return stable

    def token_bytes(self, token_id: int) -> bytes:
        return self._pieces[token_id] if token_id < len(self._pieces) else b""

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")


class ScriptedEngine:
    """Answers are a hash of what was asked, so they depend on nothing else; which of the submitted
    requests a step answers is random. `say` may override the text of a gen, `refuse` a request."""

    def __init__(self, tokenizer: Any, rng: random.Random | None = None) -> None:
        self._tokenizer = tokenizer
        self._rng = rng
        self._root = testing.TextPrefix(None, ())
        self.alive: weakref.WeakSet[testing.TextPrefix] = weakref.WeakSet()
        self.waiting: list[Any] = []
        self.submitted: list[Any] = []
        self.cancelled: list[Any] = []
        self.stats = EngineStats()
        self.max_batch = 256
        self.say: Callable[[GenRequest], str | tuple[str, str] | None] = lambda request: None
        self.refuse: Callable[[Any], str | None] = lambda request: None

    @property
    def root(self) -> testing.TextPrefix:
        return self._root

    @property
    def is_idle(self) -> bool:
        return not self.waiting

    def expect(self, outlook: Any) -> None:
        pass

    def extend(self, prefix: Any, tokens: Sequence[int]) -> testing.TextPrefix:
        extended = testing.TextPrefix(prefix, tokens)
        self.alive.add(extended)
        return extended

    def submit(self, request: Any) -> None:
        self.waiting.append(request)
        self.submitted.append(request)

    def cancel(self, request: Any) -> None:
        if request in self.waiting:
            self.waiting.remove(request)
            self.cancelled.append(request)

    def step(self) -> list[Any]:
        self.stats.steps += 1
        chosen = list(self.waiting)
        if self._rng is not None:
            self._rng.shuffle(chosen)
            chosen = chosen[: self._rng.randint(1, len(chosen))]
        self.waiting = [request for request in self.waiting if request not in chosen]
        return [self._reply(request) for request in chosen]

    def _reply(self, request: Any) -> Any:
        refusal = self.refuse(request)
        if refusal is not None:
            return RequestError(request, "kv_memory", refusal)
        return self._gen(request) if isinstance(request, GenRequest) else self._score(request)

    def _gen(self, request: GenRequest) -> GenResult:
        said = self.say(request)
        if said is None:
            draws = None if request.sampling.is_greedy else request.seed
            noise = self._noise(request.prefix.token_ids(), draws)
            said = "".join(noise.choice(["ab", "c", " A", "é", "\n", "e"]) for _ in range(4))
            said = (said, noise.choice(["", "a", " "]))
        kept, rest = said if isinstance(said, tuple) else (said, "")
        ids = tuple(self._tokenizer.encode(kept))
        logprobs = tuple(TokenLogprob(i, -0.5, ((i, -0.5),)) for i in ids)
        shown = logprobs if request.sampling.logprobs is not None else ()
        prefix = self.extend(request.prefix, ids)
        return GenResult(request, prefix, kept + rest, rest, ids, len(ids) + 1, "stop", shown)

    def _score(self, request: Any) -> ScoreResult:
        before = request.prefix.token_ids()
        logprobs = tuple(
            tuple(
                self._noise(before + list(ids[: n + 1]), None).uniform(-5, 0)
                for n in range(len(ids))
            )
            for ids in request.choices
        )
        alone = tuple(
            tuple(self._noise([i], None).uniform(-5, 0) for i in ids) for ids in request.choices
        )
        prefixes = tuple(self.extend(request.prefix, ids) for ids in request.choices)
        return ScoreResult(request, logprobs, alone if request.unconditional else None, prefixes)

    @staticmethod
    def _noise(ids: Sequence[int], draws: int | None) -> random.Random:
        return random.Random(hashlib.sha256(repr((list(ids), draws)).encode()).digest())


def assemble(code: Sequence[Any]) -> tuple[p.Instruction, ...]:
    """Instructions with targets by name: a str in the list is a label of what follows it."""
    labels: dict[str, int] = {}
    instructions: list[Any] = []
    for item in code:
        if isinstance(item, str):
            labels[item] = len(instructions)
        else:
            instructions.append(item)
    targets = {"to", "otherwise", "done", "entry", "handler"}
    return tuple(
        replace(
            item,
            **{
                field.name: labels[getattr(item, field.name)]
                for field in fields(item)
                if field.name in targets and isinstance(getattr(item, field.name), str)
            },
        )
        for item in instructions
    )


@pytest.fixture
def tokenizer() -> GreedyTokenizer:
    return GreedyTokenizer()


@pytest.fixture(scope="session")
def greedy_tokenizer() -> GreedyTokenizer:
    """One for tests with many examples."""
    return GreedyTokenizer()


@pytest.fixture
def markup(tokenizer: GreedyTokenizer) -> Markup:
    """ChatML; the first opening states a default system text, as some templates do."""
    start, end = tokenizer.control_id("<|im_start|>"), tokenizer.control_id("<|im_end|>")
    roles = ("system", "user", "assistant")
    opening = {(a, b): (start, f"{b}\n") for a in ("", *roles) for b in roles}
    opening["", "user"] = (start, "system\nBe good.", end, "\n", start, "user\n")
    closing = dict.fromkeys(roles, (end, "\n"))
    return Markup(opening, closing, ())


@pytest.fixture
def plan_of(markup: Markup) -> Callable[..., Plan]:
    def make(code: Sequence[Any], params: Sequence[str] = (), **changes: Any) -> Plan:
        """Parameters of type json in registers 0, 1, ...; the code has 32 registers."""
        from sglc.ir.types import JSON

        plan = Plan(
            program="test",
            doc=None,
            params=tuple(Param(name, JSON, reg, False) for reg, name in enumerate(params)),
            result=None,
            result_is_names=False,
            externs=(),
            code=assemble(code),
            num_regs=32,
            model=ModelIdentity("toy", "toy", "0", "0", 10_000),
            markup=markup,
            constants=(),
            bounds=LengthBounds(0, None),
            sources=(),
            stages=(),
            ir="",
            compiler_version="0",
        )
        return replace(plan, **changes)

    return make


@pytest.fixture
def engine_of(tokenizer: GreedyTokenizer) -> Callable[..., ScriptedEngine]:
    return lambda rng=None: ScriptedEngine(tokenizer, rng)


@pytest.fixture
def run_plan(tokenizer: GreedyTokenizer) -> Callable[..., Any]:
    def run(
        plan: Plan,
        rows: Sequence[dict[str, Any]] = ({},),
        *,
        rng: random.Random | None = None,
        say: Callable[[GenRequest], Any] | None = None,
        refuse: Callable[[Any], str | None] | None = None,
        order: Sequence[int] | None = None,
        keys: Sequence[bytes] | None = None,
        **options: Any,
    ) -> Any:
        """Run rows to their end: `.outcomes` by index, `.engine`, `.machine` (closed)."""
        engine = ScriptedEngine(tokenizer, rng)
        engine.say = say or engine.say
        engine.refuse = refuse or engine.refuse
        spec = ModelSpec(plan.model, tokenizer, plan.markup)
        machine = Machine(plan, spec, engine, **options)
        for index in order or range(len(rows)):
            key = keys[index] if keys else b"row %d" % index
            machine.start(BoundRow(index, key, rows[index]))
        outcomes = []
        while machine.num_active:
            outcomes += machine.step()
        machine.close()
        outcomes.sort(key=lambda outcome: outcome.index)
        return SimpleNamespace(outcomes=outcomes, engine=engine, machine=machine)

    return run
