"""The ten workloads, one of them also with longer texts: their rows, and the least time that their
bytes and operations take.

Texts are made of words that are one token each, with the space before them, so a number of words
is a number of tokens. The programs lie in `workloads/`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.spec import Tokenizer

Row = dict[str, Any]
BF16 = 2  # bytes


@dataclass(frozen=True, slots=True)
class Decode:
    """`steps` steps of `lanes` sequences. When they begin they see `kv_tokens` distinct tokens
    together; each step adds one a sequence."""

    lanes: int
    steps: int
    kv_tokens: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a workload asks for at least: distinct tokens to prefill, logits aside, and decoding."""

    prefilled: int
    decodes: tuple[Decode, ...] = ()

    @property
    def decoded(self) -> int:
        return sum(decode.lanes * decode.steps for decode in self.decodes)


@dataclass(frozen=True, slots=True)
class Workload:
    """`rows(words, count)` makes `count` rows, `load(count)` says what they ask for; `is_valid`
    judges a row's output, where there is something to judge."""

    name: str
    geometry: str
    num_rows: int
    rows: Callable[[Words, int], list[Row]]
    load: Callable[[int], Load]
    peer_seconds: float | None  # the better of SGLang and vLLM on an H100 80GB HBM3
    is_valid: Callable[[Any], bool] | None = None


class Words:
    """Random texts of exactly `n` tokens, the same for one seed everywhere."""

    def __init__(self, tokenizer: Tokenizer, seed: str) -> None:
        self._rng = random.Random(seed)
        found = []
        for id in range(tokenizer.vocab_size):
            piece = tokenizer.token_bytes(id)
            if re.fullmatch(rb" [a-z]{3,9}", piece) and tokenizer.encode(piece.decode()) == [id]:
                found.append(piece.decode())
        self._words = found[:4000]

    def text(self, n: int) -> str:
        return "".join(self._rng.choices(self._words, k=n))

    def around(self, mean: float, spread: float, least: int) -> str:
        """A text of about `mean` tokens."""
        return self.text(max(least, round(self._rng.gauss(mean, spread))))


def _plain(length: int) -> Callable[[Words, int], list[Row]]:
    return lambda words, count: [{"prompt": words.text(length)} for _ in range(count)]


def _shared(header: int, name: str, length: int) -> Callable[[Words, int], list[Row]]:
    def rows(words: Words, count: int) -> list[Row]:
        text = words.text(header)
        return [{"header": text, name: words.text(length)} for _ in range(count)]

    return rows


def _documents(words: Words, count: int) -> list[Row]:
    return [
        {"document": words.text(1024), "asks": [words.text(96) for _ in range(8)]}
        for _ in range(count)
    ]


def _endings(words: Words, count: int) -> list[Row]:
    """Lengths as in HellaSwag: 30 +- 9 tokens, endings 14 +- 7."""
    shots = words.text(836)
    return [
        {
            "shots": shots,
            "ctx": words.around(29.5, 9, 13),
            "endings": [words.around(14, 7, 3) for _ in range(4)],
        }
        for _ in range(count)
    ]


def _questions(words: Words, count: int) -> list[Row]:
    steps = {name: words.text(24) for name in ("propose", "refine", "conclude")}
    return [{"question": words.text(64), **steps} for _ in range(count)]


def _is_character(least: int) -> Callable[[Any], bool]:
    """Judges W7's records, whose texts have `least` characters or more."""
    texts = {"name": 24, "wood": 16, "core": 16, "patronus": 16, "bogart": 16}
    choices = {
        "house": {"Gryffindor", "Slytherin", "Ravenclaw", "Hufflepuff"},
        "blood": {"Pure-blood", "Half-blood", "Muggle-born"},
        "occupation": {"student", "teacher", "auror", "shopkeeper"},
    }
    numbers = {"length": range(5, 21), "age": range(151)}

    def is_text(value: object, most: int) -> bool:
        return isinstance(value, str) and least <= len(value) <= most

    def is_valid(record: Any) -> bool:
        friends = record["friends"]
        return (
            record.keys() == {*texts, *choices, *numbers, "alive", "friends"}
            and all(is_text(record[name], most) for name, most in texts.items())
            and all(record[name] in allowed for name, allowed in choices.items())
            and all(type(record[n]) is int and record[n] in span for n, span in numbers.items())
            and type(record["alive"]) is bool
            and 1 <= len(friends) <= 3
            and all(is_text(friend, 12) for friend in friends)
        )

    return is_valid


def _tree_load(count: int) -> Load:
    decodes, kv, lanes = [], count * 88, count
    prefilled = kv
    for level in range(3):
        lanes *= 3
        decodes.append(Decode(lanes, 128, kv))
        kv += lanes * 128
        if level < 2:
            kv += lanes * 24
            prefilled += lanes * 24
    return Load(prefilled, tuple(decodes))


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("w1", "8b", 512, _plain(256),
                 lambda n: Load(n * 256, (Decode(n, 256, n * 256),)), 8.68),
        Workload("w2", "8b", 1024, _shared(1024, "item", 64),
                 lambda n: Load(1024 + n * 64, (Decode(n, 32, 1024 + n * 64),)), 5.07),
        Workload("w3", "8b", 256, _plain(2048), lambda n: Load(n * 2048), 12.22),
        Workload("w4", "8b", 64, _documents,
                 lambda n: Load(n * 1792, (Decode(n * 8, 128, n * 1792),)), 6.45),
        Workload("w5", "8b", 16, _shared(768, "question", 256),
                 lambda n: Load(768 + n * 256, (Decode(n * 64, 256, 768 + n * 256),)), 14.6),
        Workload("w6", "8b", 960, _endings, lambda n: Load(836 + round(n * 82)), 15.5),
        Workload("w7", "8b", 512, _shared(256, "subject", 32),
                 lambda n: Load(256 + n * 32, (Decode(n, 138, 256 + n * 32),)), 36.8,
                 _is_character(0)),
        Workload("w7_long", "8b", 512, _shared(256, "subject", 32),
                 lambda n: Load(256 + n * 32, (Decode(n, 138, 256 + n * 32),)), None,
                 _is_character(8)),
        Workload("w8", "135m", 1024, _plain(128),
                 lambda n: Load(n * 128, (Decode(n, 128, n * 128),)), 2.14),
        Workload("w9", "8b", 64, _questions, _tree_load, 20.6),
        Workload("w10", "8b", 1, _plain(128), lambda n: Load(128, (Decode(1, 256, 128),)), 1.58),
    )
}  # fmt: skip


def floor_seconds(load: Load, config: ModelConfig, bandwidth: float, matmul: float) -> float:
    """The serial floor: the prefill's arithmetic at `matmul` operations/s; then, step by step, the
    weights' bytes at `bandwidth` bytes/s or their arithmetic, whichever takes longer, and each
    distinct KV byte once."""
    per_token = config.kv_elements_per_token * BF16
    weights = num_weights(config)
    seconds = 2 * weights * load.prefilled / matmul
    for decode in load.decodes:
        step = max(weights * BF16 / bandwidth, 2 * weights * decode.lanes / matmul)
        growth = decode.lanes * decode.steps * (decode.steps - 1) // 2
        kv_bytes = (decode.steps * decode.kv_tokens + growth) * per_token
        seconds += decode.steps * step + kv_bytes / bandwidth
    return seconds


def num_weights(config: ModelConfig) -> int:
    """Weights that a token is multiplied by: all but the embedding, the head included."""
    E, D = config.hidden_size, config.head_size
    attention = E * D * (2 * config.num_heads + 2 * config.num_kv_heads)
    layer = attention + 3 * E * config.intermediate_size
    return config.num_layers * layer + config.vocab_size * E


def chosen(names: Sequence[str]) -> list[Workload]:
    """The workloads called `names`; all of them for none."""
    return [WORKLOADS[name] for name in names or WORKLOADS]
