"""Built-ins on text: Python's string methods, regexes, JSON, and the model's tokens."""

from __future__ import annotations

import re
from collections.abc import Callable

from sglc.ir.host import regex
from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import HostError, check_items, check_text, kind, type_error, value_error
from sglc.ir.host.expr import Value
from sglc.ir.host.number_functions import shorten
from sglc.ir.host.operators import items_of
from sglc.ir.host.text import json_text, to_text
from sglc.ir.host.text import parse_json as parse


def join(env: HostEnv, items: Value, separator: Value = "") -> Value:
    glue = _text("join", separator)
    texts = [to_text(item) for item in items_of(items)]
    check_text(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def split(env: HostEnv, text: Value, separator: Value = None, max: Value = -1) -> Value:
    whole = _text("split", text)
    at = None if separator is None else _text("split", separator)
    if at == "":
        raise value_error("`split` at an empty separator")
    check_items(len(whole) // 2 + 1 if at is None else whole.count(at) + 1)
    parts: list[Value] = [*whole.split(at, _int("split", max))]
    return parts


def strip(env: HostEnv, text: Value, chars: Value = None) -> Value:
    return _text("strip", text).strip(None if chars is None else _text("strip", chars))


def lower(env: HostEnv, text: Value) -> Value:
    return _text("lower", text).lower()


def upper(env: HostEnv, text: Value) -> Value:
    return _text("upper", text).upper()


def replace(env: HostEnv, text: Value, old: Value, new: Value) -> Value:
    whole, before, after = (_text("replace", part) for part in (text, old, new))
    check_text(len(whole) + whole.count(before) * (len(after) - len(before)))
    return whole.replace(before, after)


def startswith(env: HostEnv, text: Value, prefix: Value) -> Value:
    return _text("startswith", text).startswith(_text("startswith", prefix))


def endswith(env: HostEnv, text: Value, suffix: Value) -> Value:
    return _text("endswith", text).endswith(_text("endswith", suffix))


def find(env: HostEnv, pattern: Value, text: Value) -> Value:
    groups = _groups("find", "search", pattern, text)
    return None if groups is None else groups[1 if len(groups) > 1 else 0]


def match(env: HostEnv, pattern: Value, text: Value) -> Value:
    groups = _groups("match", "match", pattern, text)
    return None if groups is None else [*groups[1 if len(groups) > 1 else 0 :]]


def to_json(env: HostEnv, value: Value) -> Value:
    text = json_text(value)
    check_text(len(text))
    return text


def parse_json(env: HostEnv, text: Value) -> Value:
    return parse(_text("parse_json", text))


def count_tokens(env: HostEnv, text: Value) -> Value:
    return len(env.need_tokenizer("tokens").encode(_text("tokens", text)))


def truncate(env: HostEnv, text: Value, max_tokens: Value) -> Value:
    tokenizer = env.need_tokenizer("truncate")
    whole, limit = _text("truncate", text), _int("truncate", max_tokens)
    if limit < 0:
        raise value_error("`truncate` to a negative number of tokens")
    ids = tokenizer.encode(whole)
    if len(ids) <= limit:
        return whole
    end = common_prefix_len(whole, tokenizer.decode(ids[:limit]))
    # a cut text may encode otherwise than it did as a part; go back until it fits
    while end > 0 and len(tokenizer.encode(whole[:end])) > limit:
        end -= 1
    return whole[:end]


def common_prefix_len(a: str, b: str) -> int:
    """The number of characters that two texts begin with in common."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def _text(function: str, value: Value) -> str:
    if isinstance(value, str):
        return value
    raise type_error(f"`{function}` takes a str, not {kind(value)}")


def _int(function: str, value: Value) -> int:
    if isinstance(value, int):
        return value
    raise type_error(f"`{function}` takes an int, not {kind(value)}")


def _groups(
    function: str, method: regex.Method, pattern: Value, text: Value
) -> list[str | None] | None:
    """What the first match and each of its groups hold; None where nothing matches."""
    source, whole = _text(function, pattern), _text(function, text)
    try:
        found = regex.spans(method, source, whole)
    except regex.SearchFailed as failed:
        raise HostError("timeout", f"`{function}`: {failed}") from None
    except (re.error, OverflowError, RecursionError) as error:
        raise value_error(f"`{shorten(source)}` is not a regex: {error}") from None
    if not found:
        return None
    return [whole[begin:end] if begin >= 0 else None for begin, end in found[0]]


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "join": join,
    "split": split,
    "strip": strip,
    "lower": lower,
    "upper": upper,
    "replace": replace,
    "startswith": startswith,
    "endswith": endswith,
    "find": find,
    "match": match,
    "json": to_json,
    "parse_json": parse_json,
    "truncate": truncate,
    "tokens": count_tokens,
}
