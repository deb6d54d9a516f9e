"""What a host expression may ask of its surroundings: the model's tokenizer, where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sglc.ir.host.error import HostError


class TextTokenizer(Protocol):
    """The part of a tokenizer that `tokens` and `truncate` need."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True, slots=True)
class HostEnv:
    tokenizer: TextTokenizer | None = None

    def need_tokenizer(self, function: str) -> TextTokenizer:
        if self.tokenizer is None:
            raise HostError("unsupported", f"`{function}` needs a model's tokenizer")
        return self.tokenizer


NO_ENV = HostEnv()
