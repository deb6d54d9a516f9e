"""What the compiler and the runtime both need to know of a model, without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sglc.codegen.plan import Markup, ModelIdentity


class Tokenizer(Protocol):
    """Text to ids and back, with control tokens only by name.

    `encode` never yields a control token, whatever the text spells, and adds nothing (no BOS, no
    dummy space): encoding is a function of the stretch's text alone.
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def eos_ids(self) -> frozenset[int]:
        """Every id that ends a turn or a text (EOS, end of turn)."""
        ...

    @property
    def bos_id(self) -> int | None:
        """Set when the model wants a BOS at the start of a context."""
        ...

    @property
    def control_ids(self) -> frozenset[int]:
        """All control and added tokens: masked when sampling, EOS aside."""
        ...

    def control_id(self, name: str) -> int | None:
        """The id of the control token spelt `name`, or None."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def stable_len(self, text: str) -> int:
        """A number of characters c, as large as can be proved, such that for every x
        encode(text + x) == encode(text[:c]) + encode(text[c:] + x); 0 where nothing can."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that the token stands for; empty for control tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The tokens' bytes as UTF-8, undecodable bytes as U+FFFD; control tokens yield nothing."""
        ...

    def spell(self, ids: Sequence[int]) -> str:
        """Like `decode`, with control tokens as their names."""
        ...


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the compiler sees it. `sees_images` is False for a model without a vision tower.
    `thinking` are the texts that open and close the model's reasoning."""

    identity: ModelIdentity
    tokenizer: Tokenizer
    markup: Markup
    sees_images: bool = False
    thinking: tuple[str, str] = ("<think>", "</think>")
