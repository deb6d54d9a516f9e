"""Small vocabularies with real merges, the embedded model's, and texts drawn from automata."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from sglc.codegen.automata.closing import Closing, State
from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.vocabulary import Vocabulary, vocabulary_of
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate

TRAINING = [
    '{"name":"Ann","age":31,"tags":["a","b"]}',
    '{"name":"","age":-1,"tags":[]}',
    '{"text":"(hello) world... don\'t\\n","when":"2024-01-02"}',
    "the weather is fine, the wind is mild; colour and color",
    "été naïve 日本語 日本 😀😀",
    "aab abb abab  a  b   c",
] * 5


@pytest.fixture(scope="session", params=["words", "anything"])
def bpe_vocabulary(request) -> Vocabulary:
    """Byte pair encoding of about 400 tokens; "anything" merges over the borders of words too."""
    return trained(is_cut=request.param == "words")


@pytest.fixture(scope="session")
def word_vocabulary() -> Vocabulary:
    return trained(is_cut=True)


@cache
def trained(*, is_cut: bool) -> Vocabulary:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=is_cut)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<end>", "<mark>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    spelling = _byte_of_character()
    tokens = [
        b"" if piece in ("<end>", "<mark>") else bytes(spelling[c] for c in piece)
        for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    ]
    # two more ids for the bytes of others, as byte fallback has
    tokens += [b"a", b'"']
    end = tokenizer.token_to_id("<end>")
    return Vocabulary(tokens, lambda text: tokenizer.encode(text).ids, frozenset({end}))


def _byte_of_character() -> dict[str, int]:
    coder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelling = {coder.pre_tokenize_str(chr(byte))[0][0]: byte for byte in range(128)}
    for point in (*range(0x80, 0x800), 0x800, 0x1000, *range(0x2000, 0x10000, 0x1000), 0xD000):
        if not 0xD800 <= point < 0xE000:
            spelling |= _spelling_of(coder, chr(point))
    for point in range(0x10000, 0x110000, 0x10000):
        spelling |= _spelling_of(coder, chr(point))
    others = {*pre_tokenizers.ByteLevel.alphabet()} - {*spelling}
    unused = sorted({*range(256)} - {*spelling.values()})  # bytes that no text has
    return spelling | dict(zip(sorted(others), unused, strict=True))


def _spelling_of(coder, character: str) -> dict[str, int]:
    spelt = "".join(piece for piece, _ in coder.pre_tokenize_str(character))
    return dict(zip(spelt, character.encode(), strict=True))


@pytest.fixture(scope="session")
def embedded_vocabulary() -> Vocabulary:
    return vocabulary_of(load_spec(locate(None)).tokenizer)


@pytest.fixture(scope="session")
def accepts() -> Callable[[ByteDfa, str], bool]:
    def accepts(dfa: ByteDfa, text: str) -> bool:
        state = 0
        for byte in text.encode():
            state = dfa.next[state, dfa.classes[byte]]
            if state < 0:
                return False
        return bool(dfa.is_final[state])

    return accepts


@pytest.fixture(scope="session")
def draw() -> Callable[[ByteDfa, random.Random], str]:
    """A text of the language; about 20 bytes long where the language has longer ones."""

    def draw(dfa: ByteDfa, rng: random.Random) -> str:
        padded = np.append(bytes_to_end(dfa), len(dfa.is_final))  # the last for -1
        state, text = 0, bytearray()
        while not (dfa.is_final[state] and rng.random() < 0.15):
            targets = dfa.next[state]
            allowed = targets >= 0
            if len(text) > 20:
                allowed &= padded[targets] < padded[state]
            bytes_ = np.flatnonzero(allowed[dfa.classes])
            if not bytes_.size:
                break
            text.append(int(rng.choice(bytes_)))
            state = targets[dfa.classes[text[-1]]]
        return text.decode()

    return draw


@pytest.fixture(scope="session")
def wander() -> Callable[..., str]:
    """A text of the rules that a tracker follows: at random for `size` bytes, then as short as can
    be. Classes of bytes are equally likely, so that structure is as common as characters."""

    def wander(closing: Closing, rng: random.Random, size: int = 40) -> str:
        state, text = closing.start(), bytearray()
        while not (state.is_whole and (not state.frames or rng.random() < 0.2)):
            if len(text) >= size:
                return (bytes(text) + closing.completion(state)).decode()
            text.append(rng.choice(sorted(_some_of_each_class(state))))
            state = closing.advance(state, text[-1:])
        return text.decode()

    return wander


@cache
def _by_class(classes: bytes) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for byte, class_ in enumerate(classes):
        members.setdefault(class_, []).append(byte)
    return members


def _some_of_each_class(state: State) -> set[int]:
    found: set[int] = set()
    for frame in state.frames:
        for class_, target in enumerate(frame.node.next[frame.place]):
            if target >= 0:
                members = _by_class(frame.node.classes)[class_]
                found |= {members[0], members[-1], members[len(members) // 2]}
    return found


@pytest.fixture(scope="session")
def follows() -> Callable[[Closing, str], bool]:
    """Whether a text is one of a tracker's rules."""

    def follows(closing: Closing, text: str) -> bool:
        state = closing.advance(closing.start(), text.encode())
        return state is not None and state.is_whole

    return follows


def bytes_to_end(dfa: ByteDfa) -> np.ndarray:
    left = np.where(dfa.is_final, 0, len(dfa.is_final))
    while True:
        closer = np.minimum(left, 1 + np.append(left, len(left))[dfa.next].min(axis=1))
        if (closer == left).all():
            return left
        left = closer
