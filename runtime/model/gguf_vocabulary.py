"""The tokenizer that a GGUF file carries in its metadata.

Two kinds: byte-level BPE with explicit merges ("gpt2") whose pre-tokenizer has a name, and
SentencePiece BPE ("llama") whose merges follow from the pieces' scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sglc.runtime.model import pretokens
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.vocabulary import ControlToken, Vocabulary, without_controls

# token types of the GGUF specification
_NORMAL, _BYTE = 1, 6

_NFC = {"type": "NFC"}

# tokenizer.ggml.pre -> (normalizer, pre-tokenizer, takes whole pretokens from the vocabulary, BOS)
_PRETOKENIZERS: dict[str, tuple[dict[str, Any] | None, dict[str, Any], bool, bool]] = {
    "gpt-2": (None, pretokens.byte_level(use_regex=True), False, False),
    "smollm": (
        None,
        pretokens.sequence(pretokens.digit_by_digit(), pretokens.byte_level(use_regex=True)),
        False,
        False,
    ),
    "llama-bpe": (None, pretokens.by_pattern(pretokens.LLAMA3_PATTERN), True, True),
    "qwen2": (_NFC, pretokens.by_pattern(pretokens.QWEN2_PATTERN), False, False),
    "tekken": (None, pretokens.by_pattern(pretokens.TEKKEN_PATTERN), True, True),
}

_SPECIAL_KEYS = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}
_EOS_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


def gguf_vocabulary(metadata: Mapping[str, Any]) -> Vocabulary:
    """Raises ModelError for a kind of tokenizer or a pre-tokenizer that is not known."""
    tokens: list[str] | None = metadata.get("tokenizer.ggml.tokens")
    if not tokens:
        raise ModelError("the GGUF file has no tokenizer")
    types: Sequence[int] = metadata.get("tokenizer.ggml.token_type") or [_NORMAL] * len(tokens)
    controls = tuple(
        ControlToken(text, id)
        for id, (text, type) in enumerate(zip(tokens, types, strict=True))
        if type not in (_NORMAL, _BYTE)
    )
    kind = metadata.get("tokenizer.ggml.model")
    if kind == "gpt2":
        pipeline, wants_bos = _byte_level(metadata, tokens, controls)
    elif kind == "llama":
        pipeline, wants_bos = _sentencepiece(metadata, tokens, types, controls), True
    else:
        raise ModelError(f"the GGUF tokenizer `{kind}` is not supported; known: gpt2, llama")
    bos_id = metadata.get("tokenizer.ggml.bos_token_id")
    has_bos = bool(metadata.get("tokenizer.ggml.add_bos_token", wants_bos)) and bos_id is not None
    eos_ids = {metadata.get(f"tokenizer.ggml.{key}") for key in _EOS_KEYS} - {None}
    return Vocabulary(
        pipeline=pipeline,
        controls=controls,
        bos_id=int(bos_id) if has_bos and bos_id is not None else None,
        eos_ids=frozenset(int(id) for id in eos_ids if id is not None and id < len(tokens)),
        is_byte_level=kind == "gpt2",
        dummy_space=kind == "llama" and bool(metadata.get("tokenizer.ggml.add_space_prefix", True)),
        special_names={
            name: tokens[metadata[key]]
            for name, key in _SPECIAL_KEYS.items()
            if metadata.get(key, len(tokens)) < len(tokens)
        },
    )


def _byte_level(
    metadata: Mapping[str, Any], tokens: list[str], controls: tuple[ControlToken, ...]
) -> tuple[dict[str, Any], bool]:
    name = metadata.get("tokenizer.ggml.pre")
    if name not in _PRETOKENIZERS:
        raise ModelError(
            f"the GGUF pre-tokenizer `{name}` is not supported; known: {', '.join(_PRETOKENIZERS)}"
        )
    normalizer, pre_tokenizer, ignores_merges, wants_bos = _PRETOKENIZERS[name]
    pairs = (merge.partition(" ") for merge in metadata.get("tokenizer.ggml.merges", ()))
    vocab, merges = without_controls(
        {text: id for id, text in enumerate(tokens)},
        ((left, right) for left, _, right in pairs),
        controls,
    )
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "model": {
            "type": "BPE",
            "ignore_merges": ignores_merges,
            "vocab": vocab,
            "merges": merges,
        },
    }, wants_bos


def _sentencepiece(
    metadata: Mapping[str, Any],
    tokens: list[str],
    types: Sequence[int],
    controls: tuple[ControlToken, ...],
) -> dict[str, Any]:
    if metadata.get("tokenizer.ggml.precompiled_charsmap") or metadata.get(
        "tokenizer.ggml.remove_extra_whitespaces"
    ):
        raise ModelError("a SentencePiece model that normalizes its text is not supported")
    if list(types).count(_BYTE) != 256:
        raise ModelError("a SentencePiece model without byte fallback is not supported")
    scores = metadata["tokenizer.ggml.scores"]
    mergeable = {text: scores[id] for id, text in enumerate(tokens) if types[id] == _NORMAL}
    vocab, merges = without_controls(
        {text: id for id, text in enumerate(tokens)}, merges_by_score(mergeable), controls
    )
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        "model": {"type": "BPE", "byte_fallback": True, "vocab": vocab, "merges": merges},
    }


def merges_by_score(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """SentencePiece joins the neighbours whose whole has the best score, the leftmost first.

    As a list of merges: every split of every piece, by score; of one piece's splits the longest
    left part first, which is the leftmost in a run of one repeated text."""
    splits = [
        (-score, -cut, piece[:cut], piece[cut:])
        for piece, score in scores.items()
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    ]
    splits.sort()
    return [(left, right) for _, _, left, right in splits]
