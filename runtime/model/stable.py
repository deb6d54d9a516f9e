"""How much of a text is encoded for good, whatever text may follow.

A cut between two neighbouring characters is *settled* when no token and no match of the
pre-tokenizer can lie across it and nothing before it looks past it: both sides encode on their own.

Byte-level models: their patterns scan from left to right without looking back, so a cut is settled
when no alternative can match across it; every match before it then ends at it at the latest, and
the greedy ones stop there as at the end of a text. In each of `KNOWN_PATTERNS` no alternative
matches across
  1. a character that is not white space and a space (only the first character of a match may be a
     space, if the rest is not white space),
  2. a letter and what is neither letter nor mark,
  3. a digit and a non-digit;
and `\\s+(?!\\S)`, the only look ahead, starts and ends on white space. Letters and the rest are
taken from ranges that no version of Unicode classes otherwise and that NFC neither changes nor
joins to what stands before, so a normalizer to NFC does not matter.

SentencePiece models: BPE runs over the whole text, but if no piece has a space after something
else, no merge ever lies across such a place, and merges on its two sides do not see each other.

Both hold for BPE that always merges alike: one with dropout has no settled cuts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sglc.runtime.model.pretokens import GPT2_PATTERN, KNOWN_PATTERNS, steps_of
from sglc.runtime.model.vocabulary import Vocabulary

_LETTERS = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff\u0391-\u03a1\u03a3-\u03a9\u03b1-\u03c9"
    "\u0410-\u044f\u3041-\u3094\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
_DIGITS = "0-9"
_OTHERS = "\x00-/:-@\\[-`{-\x7f\u3001-\u3003\u3008-\u3011"
_NOT_SPACE = "[^\\s\u180e\u200b]"

_SENTENCEPIECE_NOT_SPACE = "[^ \u2581]"
_SPACE_INSIDE = re.compile("[^\u2581]\u2581")

# settings of a model by which a text's pieces depend on where the text begins and ends
_NOT_BY_MERGES = ("ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")

# a cut is nearly always near the end: look there first
_WINDOWS = (64, 4096)

StableLen = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where texts may be cut: `settled` matches, without width, at settled cuts; `spaces` matches
    those spaces before which there is one."""

    settled: re.Pattern[str]
    spaces: re.Pattern[str]


def _spaces(before: str) -> re.Pattern[str]:
    # the space first: it is found fast
    return re.compile(f" (?<={before} )")


_BYTE_LEVEL_CUTS = Cuts(
    settled=re.compile(
        f"(?<={_NOT_SPACE})(?= )"
        f"|(?<=[{_LETTERS}])(?=[{_DIGITS}{_OTHERS}])"
        f"|(?<=[{_DIGITS}])(?=[{_LETTERS}{_OTHERS}])"
    ),
    spaces=_spaces(_NOT_SPACE),
)
_SENTENCEPIECE_CUTS = Cuts(
    settled=re.compile(f"(?<={_SENTENCEPIECE_NOT_SPACE})(?= )"),
    spaces=_spaces(_SENTENCEPIECE_NOT_SPACE),
)


def cuts_of(vocabulary: Vocabulary) -> Cuts | None:
    """Where this tokenizer's texts may be cut; None without a proof."""
    if vocabulary.pipeline["model"].get("dropout"):
        return None
    if vocabulary.is_byte_level:
        return _BYTE_LEVEL_CUTS if _has_proof(vocabulary.pipeline) else None
    return _SENTENCEPIECE_CUTS if _keeps_words_apart(vocabulary) else None


def stable_len_of(cuts: Cuts | None) -> StableLen:
    """The function text -> number of settled characters; always 0 without cuts."""
    if cuts is None:
        return _nothing
    pattern = cuts.settled
    return lambda text: _last_cut(pattern, text)


def _nothing(text: str) -> int:
    return 0


def _last_cut(cut: re.Pattern[str], text: str) -> int:
    for window in _WINDOWS:
        start = max(len(text) - window, 0)
        found = _last_in(cut, text[start:])
        if found:
            return start + found
        if start == 0:
            return 0
    return _last_in(cut, text)


def _last_in(cut: re.Pattern[str], text: str) -> int:
    last = 0
    for match in cut.finditer(text):
        last = match.start()
    return last


def _has_proof(pipeline: dict[str, Any]) -> bool:
    """The pre-tokenizer is one of the known patterns, maybe after a split at digits."""
    normalizers = steps_of(pipeline.get("normalizer"), "normalizers")
    if any(step["type"] != "NFC" for step in normalizers):
        return False
    patterns = []
    for step in steps_of(pipeline.get("pre_tokenizer"), "pretokenizers"):
        if step["type"] == "ByteLevel":
            patterns.extend([GPT2_PATTERN] if step.get("use_regex", True) else [])
        elif step["type"] == "Split":
            if step["behavior"] != "Isolated" or step["invert"]:
                return False
            patterns.append(step["pattern"].get("Regex"))
        elif step["type"] != "Digits":
            return False
    return bool(patterns) and KNOWN_PATTERNS.issuperset(patterns)


def _keeps_words_apart(vocabulary: Vocabulary) -> bool:
    """No piece holds a space after another character, nothing but merges makes pieces, and the
    pipeline does no more than spell spaces as U+2581."""
    model = vocabulary.pipeline["model"]
    if any(model.get(name) for name in _NOT_BY_MERGES):
        return False
    steps = [
        *steps_of(vocabulary.pipeline.get("normalizer"), "normalizers"),
        *steps_of(vocabulary.pipeline.get("pre_tokenizer"), "pretokenizers"),
    ]
    return all(map(_spells_spaces, steps)) and not any(
        _SPACE_INSIDE.search(piece) for piece in vocabulary.pieces
    )


def _spells_spaces(step: dict[str, Any]) -> bool:
    if step["type"] == "Replace":
        return bool(step["pattern"] == {"String": " "} and step["content"] == "\u2581")
    return bool(step["type"] == "Metaspace" and step["replacement"] == "\u2581")
