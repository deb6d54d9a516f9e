"""A tokenizer as data: a pipeline without any control token, and the control tokens by name.

`pipeline` has the layout of a tokenizer.json (the `tokenizers` library reads it). Law: no id of a
control token can come out of it, whatever the text spells: their entries and the merges that would
make them are gone, and so is every added token, BOS template and dummy space.
Knows nothing of files; `hf_vocabulary.py` and `gguf_vocabulary.py` make these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A special or added token. `strips_left` and `strips_right`: in a template it takes the white
    space beside it along."""

    name: str
    id: int
    strips_left: bool = False
    strips_right: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`bos_id` is set when the model wants one at the start. `dummy_space` says that the reference
    tokenizer puts a space before a text (SentencePiece). `special_names` are what a chat template
    may call `bos_token`, `eos_token` and so on."""

    pipeline: dict[str, Any]
    controls: tuple[ControlToken, ...]
    bos_id: int | None
    eos_ids: frozenset[int]
    is_byte_level: bool
    dummy_space: bool
    special_names: dict[str, str]

    @property
    def pieces(self) -> dict[str, int]:
        """Text of each token -> id, control tokens not among them."""
        pieces: dict[str, int] = self.pipeline["model"]["vocab"]
        return pieces

    def with_eos(self, ids: Iterable[int]) -> Vocabulary:
        """The same with more ids that end a turn."""
        return replace(self, eos_ids=self.eos_ids | frozenset(ids))

    def hash(self) -> str:
        """sha256 of all that encoding depends on, in hex."""
        parts = (
            self.pipeline,
            [
                (token.name, token.id, token.strips_left, token.strips_right)
                for token in self.controls
            ],
            self.bos_id,
            sorted(self.eos_ids),
            self.dummy_space,
        )
        text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def without_controls(
    vocab: dict[str, int], merges: Iterable[tuple[str, str]], controls: Iterable[ControlToken]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and merges of a BPE model from which no control token can come."""
    names = {token.name for token in controls}
    ids = {token.id for token in controls}
    kept = {text: id for text, id in vocab.items() if text not in names and id not in ids}
    return kept, [
        (left, right)
        for left, right in merges
        if left in kept and right in kept and left + right in kept
    ]
