"""The options of a gen, from host values to the engine's `Sampling`.

Options are host values, so they may come from a row: each is checked where the gen runs, and a bad
one fails the row with a sentence. `None` means "not given".
Knows nothing about registers or requests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sglc.ir.host.expr import Value
from sglc.ir.host.text import to_text
from sglc.runtime.engine.request import Sampling
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.row import RowFailure

MAX_SAMPLES = 1024
MAX_LOGPROBS = 100


@dataclass(frozen=True, slots=True)
class GenOptions:
    """`seed` is the explicit one; `num_samples` is None without the option `n`."""

    sampling: Sampling
    seed: int | None = None
    num_samples: int | None = None


def gen_options(
    values: Mapping[str, Value], tokenizer: Tokenizer, *, allows_thinking: bool = False
) -> GenOptions:
    """Check the options and gather them. Raises `RowFailure` "bad_option" for the first bad one."""
    given = {name: value for name, value in values.items() if value is not None}
    seed = _int("seed", given.pop("seed")) if "seed" in given else None
    samples = _int("n", given.pop("n"), 1, MAX_SAMPLES) if "n" in given else None
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if name == "logit_bias":
            fields[name] = _logit_bias(value, tokenizer)
        elif name == "stop_token_ids":
            fields[name] = _token_ids(value, tokenizer)
        elif name in _READERS:
            fields[name] = _READERS[name](name, value)
        else:
            raise RowFailure("bad_option", f"`{name}` is not an option of gen")
    sampling = Sampling(**fields, allows_thinking=allows_thinking)
    if sampling.min_tokens > sampling.max_tokens:
        raise RowFailure(
            "bad_option",
            f"min_tokens is {sampling.min_tokens}, above max_tokens {sampling.max_tokens}",
        )
    return GenOptions(sampling, seed, samples)


def temperature_of(value: Value) -> float:
    """The temperature of a select; 0 when not given."""
    return 0.0 if value is None else _float("temperature", value, 0.0)


def _int(name: str, value: Value, low: int | None = None, high: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not _within(value, low, high):
        raise _bad(name, value, f"an int{_range(low, high)}")
    return value


def _float(name: str, value: Value, low: float | None = None, high: float | None = None) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not math.isfinite(number) or not _within(number, low, high):
        raise _bad(name, value, f"a number{_range(low, high)}")
    return number


def _within(value: Any, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _ints(low: int, high: int | None = None) -> Callable[[str, Value], int]:
    return lambda name, value: _int(name, value, low, high)


def _floats(low: float | None = None, high: float | None = None) -> Callable[[str, Value], float]:
    return lambda name, value: _float(name, value, low, high)


def _positive(name: str, value: Value) -> float:
    number = _float(name, value)
    if number <= 0:
        raise _bad(name, value, "a number above 0")
    return number


def _top_p(name: str, value: Value) -> float:
    number = _float(name, value)
    if not 0 < number <= 1:
        raise _bad(name, value, "a number above 0 and up to 1")
    return number


def _bool(name: str, value: Value) -> bool:
    if not isinstance(value, bool):
        raise _bad(name, value, "true or false")
    return value


def _top_k(name: str, value: Value) -> int:
    """-1 and 0 both mean all tokens."""
    return max(0, _int(name, value, -1))


def _texts(name: str, value: Value) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str) or not text:
            raise _bad(name, text, "a text that is not empty, or a list of such")
    return tuple(dict.fromkeys(texts))  # type: ignore[arg-type]


def _regexes(name: str, value: Value) -> tuple[str, ...]:
    patterns = _texts(name, value)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise RowFailure("bad_option", f"{name} is not a regex: {error}") from None
    return patterns


def _token_ids(value: Value, tokenizer: Tokenizer) -> tuple[int, ...]:
    ids = value if isinstance(value, list) else [value]
    last = tokenizer.vocab_size - 1
    return tuple(_int("stop_token_ids", token_id, 0, last) for token_id in ids)


def _logit_bias(value: Value, tokenizer: Tokenizer) -> tuple[tuple[int, float], ...]:
    """A dict from token to bias. A key of digits is an id; any other is the text of one token."""
    if not isinstance(value, dict):
        raise _bad("logit_bias", value, "a dict from token to bias")
    biases: dict[int, float] = {}
    for key, bias in value.items():
        biases[_token(key, tokenizer)] = _float("logit_bias", bias, -100.0, 100.0)
    return tuple(sorted(biases.items()))


def _token(key: str, tokenizer: Tokenizer) -> int:
    if key.isascii() and key.isdigit():
        token_id = int(key)
        if token_id >= tokenizer.vocab_size:
            raise RowFailure(
                "bad_option",
                f"logit_bias: there is no token {key}; the model has {tokenizer.vocab_size}",
            )
        return token_id
    ids = tokenizer.encode(key)
    if len(ids) != 1:
        raise RowFailure("bad_option", f"logit_bias: {key!r} is {len(ids)} tokens, not one")
    return ids[0]


def _bad(name: str, value: Value, expected: str) -> RowFailure:
    return RowFailure("bad_option", f"{name} is {to_text(value)}, expected {expected}")


def _range(low: float | None, high: float | None) -> str:
    if high is not None:
        return f" of {low}..{high}"
    return "" if low is None else f" of at least {low}"


_READERS: dict[str, Callable[[str, Value], Any]] = {
    "max_tokens": _ints(1),
    "min_tokens": _ints(0),
    "stop": _texts,
    "stop_regex": _regexes,
    "temperature": _floats(0.0),
    "top_p": _top_p,
    "top_k": _top_k,
    "min_p": _floats(0.0, 1.0),
    "frequency_penalty": _floats(-2.0, 2.0),
    "presence_penalty": _floats(-2.0, 2.0),
    "repetition_penalty": _positive,
    "ignore_eos": _bool,
    "logprobs": _ints(0, MAX_LOGPROBS),
}
