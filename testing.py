"""A model without weights, for testing programs: every gen and select is answered by the test.

    model = sglc.testing.Model({"grade": "A", "What is 2+2?": "4"})
    program = sglc.compile("judge.sgl", model=model)

Usable wherever a model's name is. Its tokens are bytes and its chat template is ChatML's, so
everything but the model's mind is the real thing: roles, stretches, stops, types, select, merging
and errors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sglc.codegen.automata.acceptance import accepts, lead_text
from sglc.codegen.plan import Markup, ModelIdentity
from sglc.ir.host.expr import Value
from sglc.ir.host.regex import spans
from sglc.ir.host.text import json_text, parse_json, to_text
from sglc.runtime.engine.outlook import Outlook
from sglc.runtime.engine.request import (
    EngineStats,
    GenRequest,
    GenResult,
    Prefix,
    Request,
    RequestError,
    Result,
    Sampling,
    ScoreRequest,
    ScoreResult,
    TokenLogprob,
)
from sglc.runtime.model.spec import ModelSpec

CONTEXT_LEN = 1 << 20  # tokens, which are bytes here
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Question:
    """What a gen or select asks. `prompt` is all text before it, control tokens spelt out; `row`
    the row's index; `choices` are of a select and empty for a gen; `sample` counts the samples of a
    gen with `n`. Equal prompts at temperature 0 are asked once (rule 6), even when rows differ."""

    name: str
    prompt: str
    row: int
    choices: tuple[str, ...] = ()
    sample: int = 0


Answer = Callable[[Question], Value]


class NoAnswer(Exception):
    """The test has no answer for a question; the row fails with this message."""


class Model:
    """A model that is told what to say.

    `answers` is a function from a `Question` to an answer, or a mapping whose values are answers or
    such functions. A key that is an identifier is the name of a gen or select; any other str is
    looked for in the prompt, a compiled regex is searched there; names go first, then the mapping's
    order. An answer is the text itself, or a value (dict, list, int, float, bool, None) that is
    written as compact JSON. A gen's answer is cut at its stop; that of one with a type or another
    constraint must be what the constraint allows; a select's must be one of its choices. A question
    without such an answer fails its row with code "no_answer".

    A record `x` may be generated in pieces; each asks for `x` anew and takes its field.
    """

    def __init__(
        self,
        answers: Answer | Mapping[str | re.Pattern[str], Value | Answer],
        *,
        context_len: int = CONTEXT_LEN,
    ) -> None:
        self._answers = answers
        self.spec = ModelSpec(_identity(context_len), ByteTokenizer(), _markup())

    def engine(self) -> ToldEngine:
        """A fresh engine for one run."""
        return ToldEngine(self.answer)

    def answer(self, question: Question) -> Value:
        """The answer to a question; raises NoAnswer."""
        if not isinstance(self._answers, Mapping):
            return self._answers(question)
        for answer in self._found(self._answers, question):
            return answer(question) if callable(answer) else answer
        what = "select" if question.choices else "gen"
        tail = question.prompt[-60:]
        raise NoAnswer(f"no answer for {what} `{question.name}` after {tail!r}")

    @staticmethod
    def _found(
        answers: Mapping[str | re.Pattern[str], Value | Answer], question: Question
    ) -> Iterator[Value | Answer]:
        """All that would do, the best first."""
        if question.name in answers:
            yield answers[question.name]
        for key, answer in answers.items():
            if isinstance(key, re.Pattern):
                if key.search(question.prompt):
                    yield answer
            elif not key.isidentifier() and key in question.prompt:
                yield answer


class ByteTokenizer:
    """Ids 0 to 255 are bytes of UTF-8; the control tokens come after them."""

    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    vocab_size = 256 + len(names)
    bos_id = None
    eos_ids = frozenset({256, 258})
    control_ids = frozenset(range(256, vocab_size))

    def control_id(self, name: str) -> int | None:
        return 256 + self.names.index(name) if name in self.names else None

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def stable_len(self, text: str) -> int:
        return len(text)

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def spell(self, ids: Sequence[int]) -> str:
        """Like `decode`, with control tokens as their names."""
        parts = (bytes([i]) if i < 256 else self.names[i - 256].encode() for i in ids)
        return b"".join(parts).decode("utf-8", "replace")


class TextPrefix:
    """A sequence of tokens as a chain of pieces."""

    __slots__ = ("__weakref__", "_before", "_ids", "num_tokens")

    def __init__(self, before: TextPrefix | None, ids: Sequence[int]) -> None:
        self._before = before
        self._ids = tuple(ids)
        self.num_tokens: int = (before.num_tokens if before else 0) + len(self._ids)

    def token_ids(self) -> list[int]:
        ids: list[int] = []
        for piece in reversed(list(self._pieces())):
            ids += piece
        return ids

    def _pieces(self) -> Iterator[tuple[int, ...]]:
        prefix: TextPrefix | None = self
        while prefix is not None:
            yield prefix._ids
            prefix = prefix._before


class ToldEngine:
    """An engine that answers each request at the next step with what `answer` says."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tokenizer = ByteTokenizer()
        self._root = TextPrefix(None, ())
        self._waiting: dict[Request, None] = {}
        self.stats = EngineStats()
        self.max_batch = 256

    @property
    def root(self) -> TextPrefix:
        return self._root

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def expect(self, outlook: Outlook | None) -> None:
        """No use for it: nothing is computed."""

    def extend(self, prefix: Prefix, tokens: Sequence[int]) -> TextPrefix:
        assert isinstance(prefix, TextPrefix), "a prefix of another engine"
        return TextPrefix(prefix, tokens)

    def submit(self, request: Request) -> None:
        self._waiting[request] = None

    def cancel(self, request: Request) -> None:
        self._waiting.pop(request, None)

    def step(self) -> list[Result]:
        requests = self.due()
        for request in requests:
            del self._waiting[request]
        self.stats.steps += 1
        return [self.reply(request) for request in requests]

    def due(self) -> list[Request]:
        """What of all that waits the next step answers, in order: all of it."""
        return sorted(self._waiting, key=lambda request: request.order)

    def reply(self, request: Request) -> Result:
        """The result of one request."""
        self.stats.prompt_tokens += request.prefix.num_tokens
        try:
            if isinstance(request, GenRequest):
                return self._generated(request)
            return self._scored(request)
        except NoAnswer as error:
            return RequestError(request, "no_answer", str(error))
        except Exception as error:  # of the test's own function
            said = f"{type(error).__name__}: {error}"
            return RequestError(request, "no_answer", f"the answer for `{request.name}`: {said}")

    def _generated(self, request: GenRequest) -> GenResult:
        text = self._text(request)
        ids = tuple(self._tokenizer.encode(text))
        self.stats.decoded_tokens += len(ids)
        logprobs: tuple[TokenLogprob, ...] = ()
        if request.sampling.logprobs is not None:
            top = 1 if request.sampling.logprobs else 0
            logprobs = tuple(TokenLogprob(i, 0.0, ((i, 0.0),) * top) for i in ids)
        prefix = self.extend(request.prefix, ids)
        return GenResult(request, prefix, text, "", ids, len(ids), "stop", logprobs)

    def _text(self, request: GenRequest) -> str:
        """What a gen writes. A piece of a record is called after its place in it: `x.field`."""
        question = self._question(request)
        whole, *path = question.name.split(".")
        answer = self._answer(replace(question, name=whole))
        for field in path:
            if isinstance(answer, str):
                answer = parse_json(answer)
            if not isinstance(answer, dict) or field not in answer:
                raise NoAnswer(f"the answer for `{whole}` has no `{'.'.join(path)}`")
            answer = answer[field]
        if request.constraint is None:
            return until_stop(to_text(answer), request.sampling)
        texts = [to_text(answer)]
        if path and isinstance(answer, str):
            # a str of a record is quoted, here or in the text around it
            texts = [json_text(answer), json_text(answer)[1:-1]]
        for text in texts:
            written = lead_text(request.constraint) + text
            if accepts(request.constraint, written):
                return written
        raise NoAnswer(f"the answer {texts[0]!r} for `{request.name}` does not fit its constraint")

    def _scored(self, request: ScoreRequest) -> ScoreResult:
        """The answer's tokens have log-probability 0, all others -1: it wins by every method."""
        question = self._question(request)
        answer = to_text(self._answer(question))
        if answer not in question.choices:
            raise NoAnswer(
                f"the answer {answer!r} for select `{request.name}` is none of its choices: "
                + ", ".join(map(repr, question.choices))
            )
        best = question.choices.index(answer)
        logprobs = tuple(
            (0.0 if index == best else -1.0,) * len(ids)
            for index, ids in enumerate(request.choices)
        )
        alone = tuple((0.0,) * len(ids) for ids in request.choices)
        self.stats.scored_tokens += sum(map(len, request.choices))
        prefixes = tuple(self.extend(request.prefix, ids) for ids in request.choices)
        unconditional = alone if request.unconditional else None
        return ScoreResult(request, logprobs, unconditional, prefixes)

    def _question(self, request: Request) -> Question:
        prompt = self._tokenizer.spell(request.prefix.token_ids())
        row = request.order[0] if request.order else 0
        if isinstance(request, ScoreRequest):
            choices = tuple(self._tokenizer.decode(ids) for ids in request.choices)
            return Question(request.name, prompt, row, choices)
        return Question(request.name, prompt, row, sample=request.order[-1])


def until_stop(text: str, sampling: Sampling) -> str:
    """The text before its first stop string or match of a stop regex."""
    found = [text.find(stop) for stop in sampling.stop]
    for pattern in sampling.stop_regex:
        matches = spans("search", pattern, text)
        found.append(matches[0][0][0] if matches else -1)
    return text[: min((place for place in found if place >= 0), default=len(text))]


def _identity(context_len: int) -> ModelIdentity:
    digest = hashlib.sha256(b"sglc.testing").hexdigest()
    return ModelIdentity("testing", "testing", digest, digest, context_len)


def _markup() -> Markup:
    tokenizer = ByteTokenizer()
    start, end = tokenizer.control_id("<|im_start|>"), tokenizer.control_id("<|im_end|>")
    assert start is not None and end is not None
    opening: dict[tuple[str, str], tuple[str | int, ...]] = {
        (previous, role): (start, f"{role}\n") for previous in ("", *ROLES) for role in ROLES
    }
    return Markup(opening, dict.fromkeys(ROLES, (end, "\n")), ())
