"""Text to token ids and back, over the `tokenizers` library.

Implements `spec.Tokenizer`: control tokens only by name, nothing added, every id with its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property

import tokenizers

from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.stable import cuts_of, stable_len_of
from sglc.runtime.model.vocabulary import Vocabulary
from sglc.runtime.model.words import WordMemory

_SPACE = "\u2581"  # how SentencePiece spells a space


class BpeTokenizer:
    """A byte-level or SentencePiece BPE tokenizer for a model with `vocab_size` ids.

    Ids that the vocabulary does not name (padding of the embedding) count as control ids: they are
    never sampled and have no bytes. Batches remember words where that is sure to change no id;
    `library` does all else.
    """

    def __init__(self, vocabulary: Vocabulary, vocab_size: int) -> None:
        pieces = vocabulary.pieces
        if pieces and max(pieces.values()) >= vocab_size:
            raise ModelError(
                f"the tokenizer has ids up to {max(pieces.values())}, "
                f"but the model has only {vocab_size}"
            )
        try:
            self.library = tokenizers.Tokenizer.from_str(json.dumps(vocabulary.pipeline))
        except Exception as error:  # the library raises Exception itself
            raise ModelError(f"the tokenizer cannot be built: {error}") from error
        self._vocabulary = vocabulary
        self._vocab_size = vocab_size
        self._control_ids_by_name = {
            token.name: token.id for token in vocabulary.controls if token.id < vocab_size
        }
        self._control_ids = frozenset(range(vocab_size)) - frozenset(pieces.values())
        cuts = cuts_of(vocabulary)
        self._stable_len = stable_len_of(cuts)
        self._words = None if cuts is None else WordMemory(self.library, cuts.spaces)

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    @property
    def eos_ids(self) -> frozenset[int]:
        return self._vocabulary.eos_ids

    @property
    def bos_id(self) -> int | None:
        return self._vocabulary.bos_id

    @property
    def control_ids(self) -> frozenset[int]:
        return self._control_ids

    def control_id(self, name: str) -> int | None:
        return self._control_ids_by_name.get(name)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.library.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        if self._words is not None:
            return self._words.encode_batch(texts)
        encodings = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def stable_len(self, text: str) -> int:
        return self._stable_len(text)

    def token_bytes(self, token_id: int) -> bytes:
        return self._bytes[token_id]

    def decode(self, ids: Sequence[int]) -> str:
        table = self._bytes
        return b"".join([table[id] for id in ids]).decode("utf-8", errors="replace")

    def spell(self, ids: Sequence[int]) -> str:
        table, names = self._bytes, self._control_names
        parts = [names.get(id) or table[id] for id in ids]
        return b"".join(parts).decode("utf-8", errors="replace")

    @cached_property
    def _control_names(self) -> dict[int, bytes]:
        return {id: name.encode() for name, id in self._control_ids_by_name.items()}

    @cached_property
    def _bytes(self) -> list[bytes]:
        spell = _byte_level_bytes if self._vocabulary.is_byte_level else _sentencepiece_bytes
        table = [b""] * self._vocab_size
        for piece, id in self._vocabulary.pieces.items():
            table[id] = spell(piece)
        return table


def byte_characters() -> dict[int, str]:
    """GPT-2's spelling of bytes as printable characters: printable Latin-1 stands for itself, the
    other 68 bytes take the code points from 256 on, in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    spelling = {byte: chr(256 + place) for place, byte in enumerate(others)}
    return {byte: spelling.get(byte, chr(byte)) for byte in range(256)}


_BYTES_BY_CHARACTER = {character: byte for byte, character in byte_characters().items()}


def _byte_level_bytes(piece: str) -> bytes:
    try:
        return bytes([_BYTES_BY_CHARACTER[character] for character in piece])
    except KeyError:  # a piece that was added as text
        return piece.encode()


def _sentencepiece_bytes(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(_SPACE, " ").encode()
