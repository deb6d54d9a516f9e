"""A tiny random model and tokenizer, and what greedy decoding means without any engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from sglc.codegen.automata.build import seq
from sglc.codegen.automata.compile import compile_constraint, rules_of
from sglc.codegen.automata.constraint import Constraint
from sglc.codegen.automata.expr import Rules
from sglc.codegen.automata.grammar import compile_grammar
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.runtime.engine.engine import TreeEngine
from sglc.runtime.engine.request import Engine, GenRequest, Request, Result, Sampling
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.models.naive_attend import naive_attend
from sglc.runtime.models.parameters import empty_parameters, named_tensors
from sglc.runtime.models.transformer import Transformer

VOCAB = 97


class ByteTokenizer:
    """Ids 1 to 96 are printable ASCII and newline, some of them pairs; id 0 ends a text."""

    vocab_size = VOCAB
    eos_ids = frozenset({0})
    bos_id = None
    control_ids = frozenset({0, 95})

    def __init__(self) -> None:
        self._bytes = [bytes([31 + id]) for id in range(VOCAB)]
        self._bytes[0] = self._bytes[95] = b""
        self._bytes[90:94] = [b"ab", b"b\n", "é".encode(), "é".encode()[:1]]
        self._bytes[94] = "é".encode()[1:]

    def control_id(self, name: str) -> int | None:
        return {"<eos>": 0, "<think>": 95}.get(name)

    def token_bytes(self, token_id: int) -> bytes:
        return self._bytes[token_id]

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self._bytes[id] for id in ids).decode("utf-8", "replace")


WORDS = [
    '{"', '"name"', '":', '","', '"}', "true", "false", "null", "12", "0.", ",2", "[1", '"a":',
    "the", "er", "ab", "abc", " th", "é", "alpha",
]  # fmt: skip


class WordTokenizer:
    """All bytes, some words, EOS and a control token; longest match first."""

    bos_id = None

    def __init__(self) -> None:
        self._pieces = [bytes([byte]) for byte in range(256)] + [word.encode() for word in WORDS]
        self._ids = {piece: id for id, piece in enumerate(self._pieces)}
        self._longest = max(map(len, self._pieces))
        self.vocab_size = len(self._pieces) + 2
        self.eos_ids = frozenset({len(self._pieces)})
        self.control_ids = self.eos_ids | {len(self._pieces) + 1}

    def control_id(self, name: str) -> int | None:
        return {"<eos>": len(self._pieces), "<think>": len(self._pieces) + 1}.get(name)

    def encode(self, text: str) -> list[int]:
        data, ids = text.encode(), []
        while data:
            size = next(n for n in range(self._longest, 0, -1) if data[:n] in self._ids)
            ids.append(self._ids[data[:size]])
            data = data[size:]
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def stable_len(self, text: str) -> int:
        """Bytes further from the end than the longest word are in tokens that stay."""
        ids, ends = self.encode(text), [0]
        for id in ids:
            ends.append(ends[-1] + len(self.token_bytes(id)))
        settled = [end for end in ends if ends[-1] - end >= self._longest]
        while settled:
            try:
                return len(text.encode()[: settled.pop()].decode())
            except UnicodeDecodeError:
                continue
        return 0

    def token_bytes(self, token_id: int) -> bytes:
        return self._pieces[token_id] if token_id < len(self._pieces) else b""

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")


def tiny_config(**changes: object) -> ModelConfig:
    fields: dict[str, object] = {
        "architecture": "LlamaForCausalLM",
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "head_size": 8,
        "intermediate_size": 48,
        "rms_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "max_positions": 1024,
        "sliding_window": None,
        "ties_embeddings": False,
        "has_qkv_bias": False,
        "has_output_bias": False,
        "has_mlp_bias": False,
        "has_qk_norm": False,
    }
    return ModelConfig(**{**fields, **changes})  # type: ignore[arg-type]


def tiny_model(dtype: torch.dtype = torch.float32, **changes: object) -> Transformer:
    """Weights large enough that the next token hangs on the whole context."""
    config = tiny_config(**changes)
    parameters = empty_parameters(config, torch.device("cpu"), dtype)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in named_tensors(parameters):
        scale = 1.0 if name.endswith("norm") or name == "embedding" else 0.3
        values = torch.randn(tensor.shape, generator=generator) * scale
        tensor.copy_(values.abs() + 0.5 if name.endswith("norm") else values)
    return Transformer(config, parameters)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Transformer]:
    return tiny_model


@pytest.fixture(scope="session")
def model() -> Transformer:
    return tiny_model()


@pytest.fixture(scope="session")
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()


@pytest.fixture(scope="session")
def words() -> WordTokenizer:
    return WordTokenizer()


@pytest.fixture(scope="session")
def words_model(words: WordTokenizer) -> Transformer:
    return tiny_model(vocab_size=words.vocab_size)


@pytest.fixture
def words_engine(words_model: Transformer, words: WordTokenizer) -> Callable[..., TreeEngine]:
    """An engine over a model whose tokens can spell any text."""

    def make(*, slots: int = 8192, **options: object) -> TreeEngine:
        config = words_model.config
        num_bytes = slots * config.kv_elements_per_token * words_model.dtype.itemsize
        return TreeEngine(words_model, words, kv_memory=num_bytes, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def constraint_of(words: WordTokenizer) -> Callable[..., Constraint]:
    """What a source is compiled to; `as_grammar` even where it could be a table."""

    def make(source: ConstraintSource, *, as_grammar: bool = False) -> Constraint:
        vocabulary = vocabulary_of(words)
        if as_grammar:
            rules = rules_of(source)
            whole = Rules(seq(source.lead, rules.root), rules.rules)
            num_lead = len(source.lead.encode())
            return compile_grammar(whole, vocabulary, num_lead=num_lead, follow=source.follow)
        return compile_constraint(source, vocabulary)

    return make


@pytest.fixture
def new_engine(model: Transformer, tokenizer: ByteTokenizer) -> Callable[..., TreeEngine]:
    """An engine over the tiny model; `slots` bounds its KV memory in tokens."""

    def make(*, slots: int = 4096, model: Transformer = model, **options: object) -> TreeEngine:
        num_bytes = slots * model.config.kv_elements_per_token * model.dtype.itemsize
        return TreeEngine(model, tokenizer, kv_memory=num_bytes, **options)  # type: ignore[arg-type]

    return make


def _logits(model: Transformer, tokens: Sequence[int]) -> torch.Tensor:
    """Logits [T, V] of a context, nothing cached."""
    ids = torch.tensor(list(tokens))
    return model.forward(ids, torch.arange(len(ids)), naive_attend, torch.arange(len(ids)))


@pytest.fixture
def naive_logits(model: Transformer) -> Callable[[Sequence[int]], torch.Tensor]:
    return lambda tokens: _logits(model, tokens)


@pytest.fixture
def naive_greedy(model: Transformer) -> Callable[[Sequence[int], int], list[int]]:
    """The likeliest tokens after a context, by recomputing all of it for each; no stop, no EOS."""

    def greedy(context: Sequence[int], count: int) -> list[int]:
        tokens = list(context)
        for _ in range(count):
            last = _logits(model, tokens)[-1].clone()
            last[[0, 95]] = -torch.inf
            tokens.append(int(last.argmax()))
        return tokens[len(context) :]

    return greedy


@pytest.fixture
def run() -> Callable[[Engine, Sequence[Request]], dict[Request, Result]]:
    """Submit all, step until idle."""

    def run_all(engine: Engine, requests: Sequence[Request]) -> dict[Request, Result]:
        for request in requests:
            engine.submit(request)
        results = {}
        for _ in range(100_000):
            if engine.is_idle:
                break
            results.update({result.request: result for result in engine.step()})
        assert engine.is_idle
        return results

    return run_all


@pytest.fixture
def gen() -> Callable[..., GenRequest]:
    """A greedy request that neither stops nor ends early, unless options say so."""

    def make(
        prefix: object, max_tokens: int = 8, seed: int = 0, order: int = 0, **options: object
    ) -> GenRequest:
        options = {"temperature": 0.0, "ignore_eos": True, **options}
        sampling = Sampling(max_tokens=max_tokens, **options)  # type: ignore[arg-type]
        return GenRequest(prefix, sampling, seed, (order,))  # type: ignore[arg-type]

    return make
